"""A quick training gives a model at once, and submits the full training that has to pass the gate."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from db.connections.engine import opened_engine
from db.ledger.job_lifecycle import get_job
from db.schema.states import JobKind, JobState
from scheduler.errors import UsageError
from scheduler.loop.shard_planning import plan_queued_jobs
from scheduler.requests.job_submission import Request, submit_training
from tests.building import BOOK, load_book
from worker.runtime.context import WorkerContext
from worker.runtime.settings import WorkerSettings
from worker.training.next_job import train_next_job

pytestmark = pytest.mark.timeout(600)  # it trains


@pytest.fixture
def engine(sqlite_url: str) -> Iterator[Engine]:
    with opened_engine(sqlite_url) as engine:
        load_book(engine, list(range(400)))
        yield engine


@pytest.mark.long
def test_a_quick_training_is_followed_by_the_full_one(engine: Engine, tmp_path: Path) -> None:
    asked = {"quick": True, "seed": 3, "hold": True, "trees": False}
    job_id = submit_training(engine, BOOK, Request("test"), options=asked)
    plan_queued_jobs(engine)
    assert train_next_job(WorkerContext(engine, WorkerSettings(home=tmp_path), "host:7"))
    job = get_job(engine, job_id)
    assert job.state is JobState.DONE
    assert job.result is not None
    follower = get_job(engine, job.result["full_training_job"])
    assert (follower.kind, follower.portfolio, follower.requested_by) == (JobKind.TRAINING, BOOK, "test")
    assert follower.options == {"seed": 3, "hold": True, "trees": False}
    assert follower.state is JobState.QUEUED


@pytest.mark.parametrize("other", [{"folds": 5}, {"epochs": 3}, {"seeds": 2}, {"time_limit": 1.0}])
def test_what_a_quick_training_cannot_keep_is_refused_at_once(engine: Engine, other: dict[str, float]) -> None:
    name = next(iter(other)).replace("_", "-")
    with pytest.raises(UsageError, match=f"--quick and --{name} exclude each other"):
        submit_training(engine, BOOK, Request("test"), options={"quick": True, **other})
