"""While a training runs its job shows one bar, moved on all the time, that every reader sees alike."""

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from sqlalchemy import Engine

from db.connections.engine import opened_engine
from db.ledger.job_lifecycle import get_job
from db.schema.states import JobState
from scheduler.loop.shard_planning import plan_queued_jobs
from scheduler.requests.job_submission import Request, submit_training
from tests.building import BOOK, load_book
from worker.runtime.context import WorkerContext
from worker.runtime.settings import WorkerSettings
from worker.training.next_job import train_next_job

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]  # it trains

LOOK_SECONDS = 0.1


@pytest.fixture
def engine(sqlite_url: str) -> Iterator[Engine]:
    with opened_engine(sqlite_url) as engine:
        load_book(engine, list(range(400)))
        yield engine


class Reader(threading.Thread):
    """Somebody who looks at the job all the time, and notes when what is shown changes."""

    def __init__(self, engine: Engine, job_id: int) -> None:
        super().__init__(daemon=True)
        self._engine, self._job_id = engine, job_id
        self.ending = threading.Event()
        self.seen: list[tuple[float, dict[str, Any]]] = []

    def run(self) -> None:
        while not self.ending.wait(LOOK_SECONDS):
            progress = get_job(self._engine, self._job_id).progress
            if progress is not None and (not self.seen or progress != self.seen[-1][1]):
                self.seen.append((time.monotonic(), progress))


def test_a_training_shows_one_bar_that_is_never_old_and_never_goes_back(engine: Engine, tmp_path: Path) -> None:
    job_id = submit_training(engine, BOOK, Request("test"), options={"epochs": 2, "trees": False})
    plan_queued_jobs(engine)
    reader = Reader(engine, job_id)
    reader.start()
    assert train_next_job(WorkerContext(engine, WorkerSettings(home=tmp_path), "host:7"))
    reader.ending.set()
    reader.join()
    assert get_job(engine, job_id).state in {JobState.DONE, JobState.FAILED}
    done = [progress["done"] for _, progress in reader.seen]
    assert done == sorted(done)
    assert done[-1] > 0.8
    assert {"fitting", "training", "gate"} & {progress["stage"] for _, progress in reader.seen}
    times = [at for at, _ in reader.seen]
    gaps = [after - before for before, after in itertools.pairwise(times)]
    # Two seconds between two writes; a machine that is busy may be late once, and not all the time.
    assert median(gaps) <= 3.0
    assert max(gaps) <= 15.0
