"""Records with 50 events each, from PostgreSQL to PostgreSQL: a scoring job with 2 warm workers, beside a plain loop.

The other reads both tables with ADBC, makes usual aggregates with Polars and scores them with LightGBM's 500 trees, in
2 processes (`benchmarks/peers/event_pipeline.py`). Tidemark's seconds run from the first claim of a shard to the closed
job; the other's from a common start, with everything loaded, to its last commit.
"""

from statistics import median
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.running import run_together, running_system, tidemark
from benchmarks.scenarios.end_to_end import make_tables
from benchmarks.scenarios.start_up import memory_of_children
from benchmarks.site import Site
from benchmarks.timing import rates, ratio
from db.portfolios.catalog import save_portfolio
from db.portfolios.definition import PortfolioDefinition
from db.sources.event_loading import EventLoad, load_events
from db.sources.loading import load_records
from scheduler.demo.bookings import simulate_bookings
from scheduler.portfolio_files.reader import parse_portfolio

PROCESSES, EVENTS = 2, 50
LEARNT_RECORDS = 8_000  # how fast the result scores does not depend on more
LOADED_ROWS = 200_000  # at a time
WITH_REASONS, BARE = "tidemark, as trained, with reasons", "tidemark, as trained, without reasons"
OTHER = "ADBC, Polars, LightGBM 500 trees and COPY, 2 processes"
PORTFOLIO = """
name = "booked"
title = "Customers with their bookings"
source = "booked_customers"
key = "customer_id"
target = "bad"
moment = "cut_off"

[fields.income]
kind = "numeric"

[events.bookings]
source = "booked_bookings"
key = "customer_id"
at = "booked_at"
type = "kind"

[events.bookings.fields.amount]
kind = "numeric"
"""


def measure(site: Site) -> dict[str, Any]:
    assert site.version  # what the workers score when they start
    events = load_book(site)
    seconds: dict[str, list[float]] = {WITH_REASONS: [], BARE: [], OTHER: []}
    options = {WITH_REASONS: (), BARE: ("--no-reasons",)}
    memory: list[list[int]] = []
    trouble = ""
    with running_system(site, workers=PROCESSES) as process:
        trained = tidemark(site, "train", "booked", "--sample", str(LEARNT_RECORDS))
        for _ in range(site.runs + 1):  # the first one warms up
            for name, own in options.items():
                seconds[name].append(tidemark(site, "score", "booked", *own)["seconds"])
            memory.append(memory_of_children(process.pid))
            found = trouble or run_others(site)
            if isinstance(found, str):
                trouble = found
            else:
                seconds[OTHER].append(found)
    timed = {name: found[1:] for name, found in seconds.items() if found}
    document = {f"{own} against the other": ratio(timed[own], timed[OTHER]) for own in options if OTHER in timed}
    if trouble:
        document[OTHER] = f"not measured: {trouble.strip()[-200:]}"
    return {
        "workers": PROCESSES,
        "records": site.records,
        "events": events,
        "events per second": {name: round(events / median(found)) for name, found in timed.items()},
        "aggregates that the model reads": _count_aggregates(site, trained["model_version"]),
        "ROC AUC of the model": round(trained["metrics"]["roc_auc"], 4),
        "megabytes of the children (peak), job by job": memory,
        "rates": rates(timed, site.records),
        **document,
    }


def _count_aggregates(site: Site, version: str) -> int:
    from transformer.bundles.bundle import load_bundle  # noqa: PLC0415 - TensorFlow only where it is needed

    return sum(len(table.aggregates) for table in load_bundle(str(site.home / "models"), version).schema.events)


def load_book(site: Site) -> int:
    """Load records and events, and return the number of events."""
    definition = parse_portfolio(PORTFOLIO, "the benchmark's portfolio")
    save_portfolio(site.engine, definition, who="benchmark")
    keys = pd.Series(np.arange(1, site.records + 1))
    bookings = simulate_bookings(keys, events=EVENTS)
    random = np.random.default_rng(3)
    is_bad = random.random(site.records) < 1 / (1 + np.exp(1.1 - bookings.habits.log_odds))
    records = pd.DataFrame(
        {
            definition.key: keys.astype("object"),
            "bad": is_bad.astype(np.float64),
            "cut_off": bookings.moments.dt.strftime("%Y-%m-%dT%H:%M:%S"),
            "income": random.normal(0, 1, site.records),
            "tidemark_unreadable": pd.Series([None] * site.records, dtype="object"),
        }
    )
    load_records(site.engine, definition, [records], key_type="integer", who="benchmark")
    log = bookings.log.assign(booked_at=bookings.log["booked_at"].astype(np.int64))
    _load_log(site, definition, log)
    return len(log)


def run_others(site: Site) -> float | str:
    """Return the seconds of the other, or what went wrong."""
    make_tables(site)
    halves = [(part * site.records // PROCESSES, (part + 1) * site.records // PROCESSES) for part in range(PROCESSES)]
    begin = [site.peers_python, "-m", "benchmarks.peers.event_pipeline", site.url.replace("+psycopg", "")]
    begin += ["booked_customers", "booked_bookings"]
    commands = [[*begin, str(first), str(last), str(site.home)] for first, last in halves]
    return run_together(commands, site.environment)


def _load_log(site: Site, definition: PortfolioDefinition, log: pd.DataFrame) -> None:
    load = EventLoad(definition, definition.events[0], "integer", who="benchmark")
    load_events(site.engine, load, (log[row : row + LOADED_ROWS] for row in range(0, len(log), LOADED_ROWS)))
    with site.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in ("VACUUM ANALYZE", "CHECKPOINT"):
            connection.exec_driver_sql(statement)
