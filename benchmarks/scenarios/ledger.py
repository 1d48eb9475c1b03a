"""What the ledger costs a job of 2,000 shards on PostgreSQL: its duties, beside a worker's time for a shard.

Such a job has shards of `MOST_ROWS`; the book is scored in shards of that size, without reasons, by 2 workers.
"""

import os
from typing import Any

from benchmarks.ledger_cost import SHARDS, drive, seconds_per_shard
from benchmarks.running import running_system, tidemark
from benchmarks.site import Site
from scheduler.loop.shard_planning import MOST_ROWS

QUICK_SHARDS = 100


def measure(site: Site) -> dict[str, Any]:
    assert site.version, "the champion is there before the workers start"
    os.environ["TIDEMARK_SHARD_ROWS"] = str(MOST_ROWS)
    try:
        with running_system(site, workers=2):
            tidemark(site, "score", site.definition.name)
            shard_seconds, mean_rows = seconds_per_shard(site.engine)
    finally:
        del os.environ["TIDEMARK_SHARD_ROWS"]
    driven = QUICK_SHARDS if site.quick else SHARDS
    seconds = drive(site.engine, driven)
    each = {duty: round(1000 * one / driven, 2) for duty, one in seconds.items()}
    return {
        "shards": driven,
        "records a shard": MOST_ROWS,
        "milliseconds a shard": each,
        "all together": round(sum(each.values()), 2),
        "seconds of a worker for a shard": round(shard_seconds, 3),
        "records of those shards, mean": mean_rows,
        "share of the ledger": round(sum(each.values()) / 1000 / shard_seconds / MOST_ROWS * mean_rows, 4),
    }
