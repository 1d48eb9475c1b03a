"""A book whose nights are scored with probabilities that mean something, and its files of outcomes."""

from typing import Any

import numpy as np
from sqlalchemy import Engine

from db.connections.engine import reading, writing
from db.ledger.job_lifecycle import JobRequest, get_job, submit_job
from db.ledger.shard_leases import insert_shards
from db.portfolios.monitoring_policy import NIGHT_OPTION
from db.results.shard_results import ShardResult, complete_scored_shard
from db.retraining.outcomes import OutcomeLoad, load_outcomes
from db.retraining.vintages import Vintage, find_vintage
from db.schema.states import JobKind
from db.sources.source_table import plan_key_ranges
from scheduler.loop.shard_planning import plan_queued_jobs
from tests.building import BOOK, MODEL, add_model, claim, load_book
from worker.monitoring.next_job import monitor_next_job
from worker.runtime.context import WorkerContext
from worker.runtime.settings import WorkerSettings

RECORDS = 600
PROBABILITIES = np.geomspace(0.01, 0.8, RECORDS)
HARDER = 8 * PROBABILITIES / (1 + 7 * PROBABILITIES)  # odds that are eight times higher
KEYS = [str(key) for key in range(RECORDS)]


def open_book(engine: Engine, **changes: Any) -> None:
    """Load the book and make a model its champion."""
    load_book(engine, range(RECORDS), **changes)
    add_model(engine)


def score_night(engine: Engine, date: str) -> int:
    """Score the book of a date, as the model says, and return the job."""
    request = JobRequest(JobKind.SCORING, BOOK, "test", {NIGHT_OPTION: date}, MODEL)
    job = get_job(engine, submit_job(engine, request))
    with reading(engine) as connection:
        ranges = plan_key_ranges(connection, job.definition.records, job.definition.key, shard_rows=RECORDS)
    with writing(engine) as connection:
        insert_shards(connection, job, ranges, inputs=RECORDS)
    points = [int(600 - 100 * one) for one in PROBABILITIES]
    histogram = {str(one): points.count(one) for one in sorted(set(points))}
    result = ShardResult(KEYS, PROBABILITIES.tolist(), points, ["D"] * RECORDS, [], histogram, "1", "2")
    complete_scored_shard(engine, claim(engine), result, worker="w1")
    return job.id


def truth(seed: int, probabilities: np.ndarray = PROBABILITIES) -> np.ndarray:
    """What becomes of the records, as the probabilities say."""
    return (np.random.default_rng(seed).random(RECORDS) < probabilities).astype(int)


def shuffled(outcome: np.ndarray) -> np.ndarray:
    """The same outcomes, against other keys."""
    return np.random.default_rng(99).permutation(outcome)


def load_file(engine: Engine, job_id: int, outcome: np.ndarray, date: str, *, keys: list[str] = KEYS) -> OutcomeLoad:
    """Load the outcomes of a night and have them measured and judged."""
    rows = [(key, int(value), date) for key, value in zip(keys, outcome, strict=True)]
    loaded = load_outcomes(engine, BOOK, rows, who="test", scoring_job=job_id)
    work_off(engine)
    return loaded


def work_off(engine: Engine) -> None:
    """Plan and carry out all monitoring jobs."""
    context, is_working = WorkerContext(engine, WorkerSettings(), "w1"), True
    while is_working:
        plan_queued_jobs(engine, shard_rows=RECORDS)
        is_working = monitor_next_job(context)


def vintage_of(engine: Engine, job_id: int) -> Vintage:
    """The vintage of a scoring job, which must be there."""
    with reading(engine) as connection:
        found = find_vintage(connection, job_id)
    assert found is not None
    return found
