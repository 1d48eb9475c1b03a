"""A book larger than memory trains: it lies in a file, and in memory is only what is worked on."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine

from db.connections.engine import opened_engine
from db.ledger.job_lifecycle import JobRequest, get_job, submit_job
from db.portfolios.catalog import save_portfolio
from db.portfolios.definition import FieldDefinition, FieldKind, PortfolioDefinition
from db.schema.states import JobKind, JobState
from db.sources.loading import load_records
from scheduler.loop.shard_planning import plan_queued_jobs

BOOK = "book"
COLUMNS, RECORDS, READ = 100, 1_250_000, 50_000
MEGABYTES = 850  # the columns of the book alone are 1,000 of them
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3000),
    pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's"),
]


@pytest.fixture
def engine(any_database_url: str) -> Iterator[Engine]:
    """A database that holds the book."""
    with opened_engine(any_database_url) as opened:
        fields = tuple(FieldDefinition(f"number_{one}", FieldKind.NUMERIC) for one in range(COLUMNS))
        definition = PortfolioDefinition(BOOK, "A book", BOOK, "id", "bad", fields=fields)
        save_portfolio(opened, definition, who="test")
        frames = (make_frame(start) for start in range(0, RECORDS, READ))
        load_records(opened, definition, frames, key_type="integer", who="test")
        yield opened


def make_frame(start: int) -> pd.DataFrame:
    """Return the records from one key on."""
    random = np.random.default_rng(start)
    numbers = random.normal(size=(READ, COLUMNS))
    frame = pd.DataFrame(numbers, columns=[f"number_{one}" for one in range(COLUMNS)])
    bad = random.random(READ) < 1 / (1 + np.exp(1.5 - 2 * numbers[:, 0] + numbers[:, 1]))
    return frame.assign(id=np.arange(start, start + READ).astype(object), bad=bad * 1.0, tidemark_unreadable=None)


def submit(engine: Engine) -> int:
    """Ask for a training that goes once through the book."""
    job = submit_job(engine, JobRequest(JobKind.TRAINING, BOOK, "test", {"epochs": 1}))
    plan_queued_jobs(engine)
    return job


def train_within(url: str, home: Path, megabytes: int, *, training_memory_mb: int) -> str:
    """Train what waits, in a process with a limit; return what it wrote on standard error, and how it ended."""
    command = [sys.executable, "-m", "tests.integration.worker.training_within", url, str(home), str(megabytes)]
    own = {"TIDEMARK_TRAINING_MEMORY_MB": str(training_memory_mb), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, env=os.environ | own, capture_output=True, text=True, check=False)
    return f"{done.stderr}\nexit status {done.returncode}"


def test_a_book_larger_than_memory_trains_from_a_file(engine: Engine, any_database_url: str, tmp_path: Path) -> None:
    job = submit(engine)
    result = train_within(any_database_url, tmp_path, MEGABYTES, training_memory_mb=50)
    found = get_job(engine, job)
    assert found.state is JobState.DONE, result[-4000:]
    assert found.result is not None
    assert found.result["metrics"]["roc_auc"] > 0.85
    assert list((tmp_path / "scratch").iterdir()) == []
    # The limit is one: kept in memory the same book does not train.
    again = submit(engine)
    result = train_within(any_database_url, tmp_path, MEGABYTES, training_memory_mb=100_000)
    assert any(sign in result for sign in ("MemoryError", "bad_alloc", "dnnl::error", "ReadRecord failed")), result[
        -4000:
    ]
    assert get_job(engine, again).state is not JobState.DONE
