"""Cutting a book into shards: along the key's index, and by sorting all keys."""

from typing import Any

from sqlalchemy import text

from benchmarks.site import Site
from benchmarks.timing import time_alternating
from db.connections.engine import reading, writing
from db.portfolios.definition import Source
from db.portfolios.source_grants import put_grant
from db.sources.source_table import plan_key_ranges

RECORDS, QUICK_RECORDS = 10_000_000, 1_000_000
SHARD_ROWS = 10_000


def measure(site: Site) -> dict[str, Any]:
    records = QUICK_RECORDS if site.quick else RECORDS
    with writing(site.engine) as connection:
        for name in ("planned", "unsorted"):
            connection.execute(
                text(f"CREATE UNLOGGED TABLE {name} AS SELECT i::bigint AS id FROM generate_series(1, {records}) i")  # noqa: S608
            )
            put_grant(connection, Source("planned", name), who="benchmark")
        connection.execute(text("CREATE INDEX ON planned (id)"))
    with site.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE planned"))

    def plan(name: str) -> None:
        with reading(site.engine) as connection:
            ranges = plan_key_ranges(connection, Source("planned", name), "id", shard_rows=SHARD_ROWS)
        assert sum(one.expected for one in ranges) == records

    seconds = time_alternating({"index": lambda: plan("planned"), "no index": lambda: plan("unsorted")}, runs=3)
    with writing(site.engine) as connection:
        connection.execute(text("DROP TABLE planned"))
        connection.execute(text("DROP TABLE unsorted"))
    return {
        "keys": records,
        **{f"seconds, {name}": [round(one, 2) for one in found] for name, found in seconds.items()},
    }
