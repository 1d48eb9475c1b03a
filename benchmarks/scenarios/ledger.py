"""What the ledger costs a shard: planning, hinting, claiming, renewing, completing (see also `ledger_cost`)."""

from typing import Any

from benchmarks.ledger_cost import SHARDS, drive
from benchmarks.site import Site


def measure(site: Site) -> dict[str, Any]:
    assert site.version
    seconds = drive(site.engine)
    each = {name: round(1000 * value / SHARDS, 2) for name, value in seconds.items()}
    return {"shards": SHARDS, "milliseconds a shard": each, "all together": round(sum(each.values()), 2)}
