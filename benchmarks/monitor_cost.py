"""What the monitor costs: the same night in 10 shards and in 1,200, each shard with 150 score values.

    python -m benchmarks.monitor_cost [EMPTY_DATABASE_URL] [--columns 23]

Measured are the adding up of the shards when the job closes (once a job, in the last shard's transaction), and the
monitor's own work: reading what is known, the verdict, and the transaction that writes it. The default database is a
new SQLite file.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import Engine, text

from benchmarks.report import write_report
from db.connections.engine import opened_engine, writing
from db.ledger.job_lifecycle import Job, JobRequest, find_follow_up, get_job, submit_job
from db.ledger.shard_histograms import ShardMonitoring, fold_histograms
from db.ledger.shard_leases import claim_shard
from db.migrations.upgrade import prepare_database
from db.monitoring.drift_reports import insert_report
from db.registry.champions import Decision, decide
from db.registry.versions import register_model
from db.results.shard_results import complete_scored_shard
from db.schema.states import JobKind
from scheduler.loop.shard_planning import plan_job
from tests.building import BOOK, MODEL, book_definition, load_book, result_for
from worker.monitoring.night_job import examine, limits_for, read_known, report_of

COLUMNS = 23  # as many as credit_cards has
SHARDS = (10, 1_200)
RECORDS_A_SHARD = 10_000  # that the histograms tell of; the ledger itself is driven with one record a shard
ROUNDS, REPEATS = 8, 150  # the sizes in turn, for half a minute: a shared machine has slow and quick moments


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", nargs="?")
    parser.add_argument("--columns", type=int, default=COLUMNS)
    options = parser.parse_args()
    columns: int = options.columns
    with tempfile.TemporaryDirectory() as folder:
        url = options.url or f"sqlite:///{Path(folder) / 'monitor.db'}"
        with opened_engine(url) as engine:
            prepare_database(engine)
            load_book(engine, range(max(SHARDS)))
            add_champion(engine, columns)
            score_night(engine, 10, columns)  # the night before
            results: dict[str, Any] = {
                "database": engine.dialect.name,
                "columns": columns,
                "records_a_shard": RECORDS_A_SHARD,
            }
            nights = [(shards, score_night(engine, shards, columns), Samples({}, [])) for shards in SHARDS]
            for _ in range(ROUNDS):
                for _, job, samples in nights:
                    time_monitor(engine, job, samples)
            for shards, job, samples in nights:
                results[f"{shards}_shards"] = measure(engine, job, samples)
                print(shards, results[f"{shards}_shards"])
    print(write_report(f"monitor_cost_{results['database']}_{columns}_columns", results))


def add_champion(engine: Engine, columns: int) -> None:
    reference = {"points": points_of(1), "unscorable": 0, "fields": fields_of(columns), "segments": {}}
    decision = Decision(BOOK, MODEL, None, promoted=True, reason="-", figures={}, decided_by="-", job_id=None)
    with writing(engine) as connection:
        register_model(
            connection, version=MODEL, job_id=None, definition=book_definition(), metrics={}, reference=reference
        )
        decide(connection, decision, champion_before=None)


def score_night(engine: Engine, shards: int, columns: int) -> Job:
    """Score a night in so many shards, each of which counted as many records as a real one."""
    job_id = submit_job(engine, JobRequest(JobKind.SCORING, BOOK, "benchmark", {}, MODEL))
    plan_job(engine, job_id, shard_rows=max(SHARDS) // shards)
    counted = ShardMonitoring(
        fields=fields_of(columns),
        segments={"segment": {"1": {"points": points_of(2)}, "2": {"points": points_of(3)}}},
        migration={band: dict.fromkeys("ABCDEFGH", 100) for band in "ABCDEFGH"},
        canary={"records": 100, "mismatches": 0, "largest_difference": 0.0},
    )
    while (claimed := claim_shard(engine, "scoring", worker="w", lease_seconds=600)) is not None:
        result = replace(result_for(engine, claimed), histogram=points_of(claimed.ordinal), monitored=counted)
        complete_scored_shard(engine, claimed, result, worker="w")
    return get_job(engine, job_id)


class Samples(NamedTuple):
    """Milliseconds of each run: by part of the monitor's work, and of this process's own processor time."""

    parts: dict[str, list[float]]
    processor: list[float]


def time_monitor(engine: Engine, job: Job, samples: Samples) -> None:
    """Do the monitor's work some times over, and add the milliseconds to the samples."""
    monitoring = find_follow_up(engine, job.id)
    assert monitoring is not None
    limits = limits_for(read_known(engine, monitoring))
    for _ in range(REPEATS):
        started, busy = perf_counter(), process_time()
        known = read_known(engine, monitoring)
        read = perf_counter()
        report = report_of(known, examine(known, limits))
        judged = perf_counter()
        with writing(engine) as connection:
            assert insert_report(connection, report)
        written = perf_counter()
        samples.processor.append(1000 * (process_time() - busy))
        document = {
            "read": read - started,
            "verdict": judged - read,
            "write": written - judged,
            "all": written - started,
        }
        for name, seconds in document.items():
            samples.parts.setdefault(name, []).append(1000 * seconds)
        with writing(engine) as connection:
            connection.execute(text("DELETE FROM tidemark_drift_reports WHERE job_id = :job"), {"job": job.id})


def measure(engine: Engine, job: Job, samples: Samples) -> dict[str, Any]:
    """Return milliseconds: median and spread of the monitor's work, and what setting limits and adding up cost."""
    monitoring = find_follow_up(engine, job.id)
    assert monitoring is not None
    begun = perf_counter()
    limits_for(read_known(engine, monitoring))
    setting = perf_counter() - begun
    rounds = np.array(samples.parts["all"]).reshape(ROUNDS, REPEATS)
    return {
        "monitor_milliseconds": {name: round(median(values), 2) for name, values in samples.parts.items()},
        "median_of_each_round": sorted(np.median(rounds, axis=1).round(2).tolist()),
        "own_processor_milliseconds": round(median(samples.processor), 2),
        "worst_milliseconds": round(max(samples.parts["all"]), 2),
        "setting_limits_milliseconds": round(1000 * setting, 1),
        "adding_up_milliseconds": round(1000 * time_fold(engine, job.id), 1),
    }


def time_fold(engine: Engine, job_id: int) -> float:
    """Return the seconds of adding up a job's shards again; the row that is there stays."""
    engine.connect().close()  # opened before the clock starts
    begun = perf_counter()
    with writing(engine) as connection:
        fold_histograms(connection, job_id)
    return perf_counter() - begun


def points_of(seed: int) -> dict[str, int]:
    scores = np.random.default_rng(seed).normal(600, 40, RECORDS_A_SHARD).round().astype(int)
    values, counts = np.unique(np.clip(scores, 525, 675), return_counts=True)
    return {str(value): int(count) for value, count in zip(values, counts, strict=True)}


def fields_of(columns: int) -> dict[str, list[int]]:
    return {f"column_{place}": [50, 0, *[995] * 10] for place in range(columns)}


if __name__ == "__main__":
    main()
