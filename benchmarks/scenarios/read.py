"""Reading the book's records, in ranges of a shard, as Tidemark does, by `read_sql`, and by bare ADBC."""

import json
from typing import Any

import pandas as pd
from adbc_driver_postgresql import dbapi

from benchmarks.site import Site
from benchmarks.timing import rates, ratio, time_alternating
from db.sources.source_table import KeyRange, read_range

SHARD_ROWS = 10_000


def measure(site: Site) -> dict[str, Any]:
    definition = site.definition
    columns = ", ".join(f'"{name}"' for name in definition.input_columns)
    text = f'SELECT "{definition.key}", {columns} FROM "{definition.source}"'  # noqa: S608 - names of our own portfolio
    address = site.url.replace("+psycopg", "")

    def ours() -> None:
        for first in range(0, site.records, SHARD_ROWS):
            span = KeyRange(json.dumps(str(first)), json.dumps(str(first + SHARD_ROWS)), SHARD_ROWS)
            read_range(site.engine, definition.records, definition.key, definition.input_columns, span)

    def bare() -> None:
        with dbapi.connect(address) as connection, connection.cursor() as cursor:
            cursor.execute(text)
            cursor.fetch_arrow_table()

    acts = {"tidemark": ours, "read_sql": lambda: pd.read_sql(text, site.engine), "bare ADBC, one query": bare}
    seconds = time_alternating(acts, runs=site.runs)
    return {
        "columns": len(definition.input_columns) + 1,
        "rates": rates(seconds, site.records),
        "tidemark against read_sql": ratio(seconds["tidemark"], seconds["read_sql"]),
        "tidemark against bare ADBC": ratio(seconds["tidemark"], seconds["bare ADBC, one query"]),
    }
