"""Books that mean harm, and a real scheduler that runs beside them in a thread of this process."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from sqlalchemy import Engine, text

from db.connections.engine import open_engine, writing
from db.ledger.job_lifecycle import JobRequest, get_job, submit_job
from db.portfolios.catalog import save_portfolio
from db.portfolios.source_grants import grant_source
from db.registry.versions import register_model
from db.schema.states import JobKind, JobState
from scheduler.loop.hint_dispatch import open_producer
from scheduler.loop.process import Scheduler
from scheduler.settings import SchedulerSettings
from tests.building import book_definition
from tests.waiting import wait_for

# What one select from it takes: far longer than any of these tests, and it ends at once when it is cancelled.
_SLOW = {
    "postgresql": "(SELECT count(pg_sleep(600))) >= 0",
    "sqlite": "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000000) "
    "SELECT count(*) FROM n) > 0",
}


def execute(engine: Engine, statement: str) -> None:
    """Run one statement in its own transaction."""
    with writing(engine) as connection:
        connection.execute(text(statement))


def add_book(engine: Engine, name: str, source: str | None = None) -> None:
    """Save a portfolio with a model of its own; its records are those of `source`, by default a small table."""
    if source is None:
        execute(engine, f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, bad REAL, amount REAL, colour TEXT)")
        execute(engine, f"INSERT INTO {name} VALUES (1, 0, 1, 'red'), (2, 1, 2, 'blue'), (3, 0, 3, 'red')")
    definition = replace(book_definition(), name=name, source=source or name)
    save_portfolio(engine, definition, who="test")
    grant_source(engine, name, source or name, who="test")
    version = f"m-{name}"
    reference = {"points": {"500": 300}, "unscorable": 0}
    with writing(engine) as connection:
        register_model(connection, version=version, job_id=None, definition=definition, metrics={}, reference=reference)


def add_slow_book(engine: Engine, name: str) -> None:
    """Save a portfolio whose source is a view that takes minutes to give a row."""
    add_book(engine, f"{name}_table")
    execute(engine, f"CREATE VIEW {name} AS SELECT * FROM {name}_table WHERE {_SLOW[engine.dialect.name]}")
    add_book(engine, name, source=name)


def submit(engine: Engine, name: str, priority: int = 100) -> int:
    """Ask for a book to be scored."""
    asked = JobRequest(JobKind.SCORING, name, "test", {}, f"m-{name}", priority=priority)
    return submit_job(engine, asked)


def wait_for_state(engine: Engine, job_id: int, state: JobState, seconds: float = 30) -> None:
    """Wait until a job has come to this state."""
    wait_for(lambda: get_job(engine, job_id).state is state, seconds, f"job {job_id} to be {state}")


@contextmanager
def running_scheduler(url: str, redis_url: str, **settings: Any) -> Generator[Scheduler]:
    """Run a scheduler with an engine of its own until the block ends."""
    engine = open_engine(url)
    given: dict[str, Any] = {"redis_url": redis_url, "sweep_seconds": 0.5, "shard_rows": 10} | settings
    scheduler = Scheduler(engine, open_producer(redis_url), SchedulerSettings(**given))
    thread = threading.Thread(target=scheduler.run)
    thread.start()
    try:
        yield scheduler
    finally:
        scheduler.stop()
        thread.join(30)
        assert not thread.is_alive(), "the scheduler did not stop"
        wait_for(lambda: not _threads_left(), 5, "its threads to let go of slow books")
        engine.dispose()


def _threads_left() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith(("planner-", "isolation-"))]
