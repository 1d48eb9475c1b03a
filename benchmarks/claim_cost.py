"""What a claim costs among 100,000 waiting shards under a flood: by priority alone, and with turns of the oldest job.

    python -m benchmarks.claim_cost [EMPTY_DATABASE_URL]

Blocks of claims by turns in one process, so that a busy machine disturbs both alike; each pair is one measurement.
"""

import statistics
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

from sqlalchemy import Engine, insert

from benchmarks.report import write_report
from db.connections.engine import open_engine, writing
from db.migrations.upgrade import prepare_database
from db.schema.core_tables import shards
from db.schema.states import PRIORITIES
from tests.building import MODEL, add_model, load_book, start_scoring
from worker.runtime.context import WorkerContext
from worker.runtime.settings import WorkerSettings
from worker.runtime.turns import Turns

NIGHTLY, URGENT = 100_000, 20_000
PAIRS, BLOCK = 20, 40


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{Path(folder) / 'claims.db'}"
        engine = open_engine(url)
        prepare_database(engine)
        fill(engine)
        results = measure(engine) | {
            "database": engine.dialect.name,
            "waiting": {"nightly": NIGHTLY, "interactive": URGENT},
        }
        engine.dispose()
    print(results)
    print(write_report(f"claim_cost_{results['database']}", results))


def fill(engine: Engine) -> None:
    """Two running jobs, the older one of the night, each with more shards than are claimed here."""
    load_book(engine, [1])
    add_model(engine)
    for name, count in (("nightly", NIGHTLY), ("interactive", URGENT)):
        job = start_scoring(engine, priority=PRIORITIES[name], model_version=MODEL)
        row = {"job_id": job.id, "queue": "scoring", "priority": job.priority}
        with writing(engine) as connection:
            for first in range(1, count, 10_000):
                connection.execute(insert(shards), [row | {"ordinal": first + n} for n in range(10_000)])
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")


def measure(engine: Engine) -> dict[str, Any]:
    """Milliseconds a claim: by priority alone, one of eight to the oldest job, and the oldest job's alone."""
    ways = {"priority_alone": 0, "every_8th_oldest": 8, "oldest_alone": 1}
    contexts = {name: WorkerContext(engine, WorkerSettings(), name, turns=Turns(every)) for name, every in ways.items()}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(PAIRS):
        for name, context in contexts.items():
            began = perf_counter()
            for _ in range(BLOCK):
                assert context.claim("scoring") is not None
            times[name].append(1000 * (perf_counter() - began) / BLOCK)
    ratios = [new / old for new, old in zip(times["every_8th_oldest"], times["priority_alone"], strict=True)]
    medians = {name: round(statistics.median(values), 3) for name, values in times.items()}
    quartiles = [round(value, 3) for value in statistics.quantiles(ratios, n=4)]
    return {"milliseconds_a_claim": medians, "ratio_quartiles": quartiles, "pairs": PAIRS, "claims_a_block": BLOCK}


if __name__ == "__main__":
    main()
