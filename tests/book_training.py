"""Trains the model of `tests/trained_book.py`, and scores a night without a fault.

    python -m tests.book_training FOLDER KEPT

All in this one process: each process that an installation starts would import TensorFlow anew. The folder holds the
book's two files; the state folder with the model is copied to KEPT. Prints the model's version and the night's digest.
"""

import json
import sys
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from shutil import copytree

from db.ledger.job_lifecycle import cancel_job, get_job
from db.migrations.upgrade import prepare_database
from db.settings import DatabaseSettings
from scheduler.loop.shard_planning import plan_queued_jobs
from scheduler.requests.job_submission import Request, submit_scoring, submit_training
from tests.trained_book import BOOK, LEARNT_FROM, load
from worker.runtime.context import WorkerContext, open_context
from worker.runtime.settings import WorkerSettings
from worker.scoring.model_cache import ModelSlot
from worker.scoring.overlapped_scoring import work_on_shards
from worker.training.next_job import train_next_job

QUICKLY = {"sample": LEARNT_FROM, "quick": True, "trees": False}


def main(folder: Path, kept: Path) -> None:
    """Train, keep the state folder, score."""
    home = folder / "home"
    home.mkdir(mode=0o700)
    with _opened(home) as context:
        prepare_database(context.engine)
        load(context.engine, (folder / "book.toml", folder / "book.csv"))
        version = _train(context)
    copytree(home, kept)  # nobody has its database open
    with _opened(home) as context:
        sys.stdout.write(json.dumps([version, _score(context)]) + "\n")


@contextmanager
def _opened(home: Path) -> Generator[WorkerContext]:
    database = DatabaseSettings(database_url=f"sqlite:///{home / 'tidemark.db'}")
    with closing(open_context(WorkerSettings(home=home), database)) as context:
        yield context


def _train(context: WorkerContext) -> str:
    job_id = submit_training(context.engine, BOOK, Request("test"), options=QUICKLY)
    plan_queued_jobs(context.engine)
    train_next_job(context)
    job = get_job(context.engine, job_id)
    result = job.result or {}
    if not result.get("promoted") or job.model_version is None:
        raise SystemExit(f"expected a champion, got {job.state}: {job.detail or result.get('reason')}")
    cancel_job(context.engine, result["full_training_job"], who="test", why="the quick model is enough")
    return job.model_version


def _score(context: WorkerContext) -> str | None:
    job_id = submit_scoring(context.engine, BOOK, Request("test"))
    plan_queued_jobs(context.engine)
    slot = ModelSlot(context.engine, context.settings.bundles_url)
    while get_job(context.engine, job_id).is_open:
        work_on_shards(context, slot)
    return get_job(context.engine, job_id).digest


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
