"""Writing scores: columns by COPY into the real table, beside row by row, `to_sql`, and a table without a key."""

from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Table, text

from benchmarks.site import Site
from benchmarks.timing import rates, ratio, time_alternating
from db.connections.bulk_insert import copy_columns, copy_rows
from db.connections.engine import writing
from db.schema.core_tables import scores

SHARD_ROWS = 10_000


def measure(site: Site) -> dict[str, Any]:
    random = np.random.default_rng(0)
    count = site.records
    columns = {
        "record_key": np.array([str(key) for key in range(1, count + 1)], dtype=object),
        "probability": np.round(random.random(count), 6),
        "points": random.integers(400, 700, count).astype(np.int32),
        "band": np.array(list("ABCDEFGH"))[random.integers(0, 8, count)],
    }
    with writing(site.engine) as connection:
        connection.execute(text("CREATE TABLE bare (LIKE tidemark_scores)"))
    bare = Table("bare", scores.metadata.__class__(), *(column._copy() for column in scores.columns))

    def by_shards(table: Table, write: Any) -> None:
        with writing(site.engine) as connection:
            connection.execute(text(f"TRUNCATE {table.name}"))
        for first in range(0, count, SHARD_ROWS):
            part = {name: values[first : first + SHARD_ROWS] for name, values in columns.items()}
            with writing(site.engine) as connection:
                write(connection, table, {"job_id": 1, "shard_id": first, "token": 1} | part)

    def row_by_row(connection: Any, table: Table, part: dict[str, Any]) -> None:
        rows = len(part["points"])
        lists = [one.tolist() if hasattr(one, "tolist") else [one] * rows for one in part.values()]
        copy_rows(connection, table, list(part), zip(*lists, strict=True))

    frame = pd.DataFrame({"job_id": 1, "shard_id": 1, "token": 1} | columns)
    acts = {
        "tidemark": lambda: by_shards(scores, copy_columns),
        "COPY row by row": lambda: by_shards(scores, row_by_row),
        "tidemark, no primary key": lambda: by_shards(bare, copy_columns),
        "to_sql, no primary key": lambda: frame.to_sql("written", site.engine, if_exists="replace", index=False),
    }
    seconds = time_alternating(acts, runs=site.runs)
    with writing(site.engine) as connection:
        connection.execute(text("DROP TABLE bare"))
        connection.execute(text("DROP TABLE written"))
        connection.execute(text("TRUNCATE tidemark_scores"))
    names = list(acts)[1:]
    return {
        "rates": rates(seconds, count),
        **{f"tidemark against {name}": ratio(seconds["tidemark"], seconds[name]) for name in names},
    }
