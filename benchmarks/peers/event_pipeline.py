"""A nightly run over records and their events as others write it. Says ready, waits for a line, runs.

    python -m benchmarks.peers.event_pipeline ADDRESS RECORDS EVENTS FIRST LAST MODELS

Both tables by ADBC for a range of keys, usual aggregates by Polars on one thread, LightGBM with 500 trees, COPY: one
process a core, each its own range. It keeps no account of anything, and does not survive its death.
"""

import os
import sys
from pathlib import Path
from typing import Any

os.environ["POLARS_MAX_THREADS"] = "1"  # before Polars is imported: a process has a core of its own

import lightgbm
import numpy as np
import polars as pl
import psycopg
import pyarrow as pa
from adbc_driver_postgresql import dbapi

from benchmarks.peers.pipeline import write_scores

CHUNK = 5_000  # records; the fastest of 5,000, 20,000 and 50,000
LEARNT = 20_000
KINDS = ("salary", "cash", "games", "food", "restaurant", "fuel", "transfer", "shop")
WINDOWS, MONTH = (7, 30, 90), 30
KEY = "customer_id"


def main() -> None:
    address, records, events, first, last, models = sys.argv[1:]
    queries = (
        f"SELECT {KEY}, cut_off, income FROM {records} WHERE {KEY} > %s AND {KEY} <= %s",  # noqa: S608 - our own names
        f"SELECT {KEY}, booked_at, kind, amount FROM {events} WHERE {KEY} > %s AND {KEY} <= %s",  # noqa: S608
    )
    with dbapi.connect(address, autocommit=True) as source, psycopg.connect(address) as target:
        booster = load_booster(source, queries, Path(models))
        print("ready", flush=True)
        sys.stdin.readline()
        for start in range(int(first), int(last), CHUNK):
            frame = read_aggregates(source, queries, (start, min(start + CHUNK, int(last))))
            probability = booster.predict(as_values(frame), num_threads=1).clip(1e-6, 1 - 1e-6)
            write_scores(target, frame[KEY].cast(pl.String).to_arrow(), probability)


def read_aggregates(source: Any, queries: tuple[str, str], span: tuple[int, int]) -> pl.DataFrame:
    """Return the records of a range with what their events amount to."""
    book, log = (pl.from_arrow(fetch(source, query % span)) for query in queries)
    assert isinstance(book, pl.DataFrame)
    assert isinstance(log, pl.DataFrame)
    moments = book.select(KEY, pl.col("cut_off").str.to_datetime(time_unit="us"), "income")
    return moments.join(aggregate(moments, log), on=KEY, how="left")


def fetch(source: Any, query: str) -> pa.Table:
    with source.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetch_arrow_table()


def aggregate(moments: pl.DataFrame, log: pl.DataFrame) -> pl.DataFrame:
    """Return the aggregates of each record's events up to its moment."""
    age = (pl.col("cut_off") - pl.col("booked_at")).dt.total_microseconds() / 86_400_000_000
    events = log.lazy().join(moments.lazy().select(KEY, "cut_off"), on=KEY).with_columns(age=age)
    return events.filter(pl.col("age") >= 0).group_by(KEY).agg(list_aggregates()).collect()


def list_aggregates() -> list[pl.Expr]:
    age, amount = pl.col("age"), pl.col("amount")
    made = [pl.len().alias("count"), age.min().alias("since_last"), age.max().alias("since_first")]
    made += [getattr(amount, name)().alias(f"amount_{name}") for name in ("sum", "mean", "min", "max", "std")]
    made.append(amount.get(age.arg_min()).alias("amount_last"))
    for days in WINDOWS:
        is_recent = age <= days
        made += [is_recent.sum().alias(f"count_{days}"), amount.filter(is_recent).sum().alias(f"amount_sum_{days}")]
        made.append(amount.filter(is_recent).mean().alias(f"amount_mean_{days}"))
    for kind in KINDS:
        is_one = pl.col("kind") == kind
        made += [is_one.sum().alias(f"count_{kind}"), (is_one & (age <= MONTH)).sum().alias(f"count_{kind}_month")]
        made += [amount.filter(is_one).sum().alias(f"sum_{kind}"), age.filter(is_one).min().alias(f"since_{kind}")]
    return made


def as_values(frame: pl.DataFrame) -> Any:
    return frame.drop(KEY, "cut_off").cast(pl.Float64).to_numpy()


def load_booster(source: Any, queries: tuple[str, str], models: Path) -> lightgbm.Booster:
    """Return the trees, grown the first time: how fast they are depends on their number and their leaves alone."""
    path = models / "lightgbm_events.txt"
    if path.exists():
        return lightgbm.Booster(model_file=path)
    values = as_values(read_aggregates(source, queries, (0, LEARNT)))
    target = np.random.default_rng(0).random(len(values)) < 0.2
    settings = {"objective": "binary", "num_leaves": 31, "learning_rate": 0.03, "verbose": -1, "num_threads": 1}
    booster = lightgbm.train(settings, lightgbm.Dataset(values, label=target), num_boost_round=500)
    own = path.with_suffix(f".{os.getpid()}")  # two processes grow them at once the first time
    booster.save_model(own)
    own.replace(path)
    return booster


if __name__ == "__main__":
    main()
