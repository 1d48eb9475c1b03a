"""Who stops waiting for a job is told whether something works on it."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from db.operations.processes import mark_seen
from scheduler.errors import WaitingTimeoutError
from scheduler.installation.job_waiting import wait_for_job
from scheduler.settings import SchedulerSettings
from tests.building import add_model, load_book, start_scoring


@pytest.fixture
def job_id(sqlite_engine: Engine) -> int:
    load_book(sqlite_engine, range(30))
    add_model(sqlite_engine)
    return start_scoring(sqlite_engine, shard_rows=10).id


def give_up(engine: Engine, job_id: int, home: Path) -> str:
    elsewhere = SchedulerSettings(home=home, redis_url="redis://127.0.0.1:1/0")  # nothing is started here
    silent = {"on_look": lambda _job: None, "on_event": lambda _text: None}
    with pytest.raises(WaitingTimeoutError) as raised:
        wait_for_job(engine, elsewhere, job_id, **silent, timeout_seconds=0.1)
    return str(raised.value)


def test_without_a_process_nothing_works_on_the_job_and_the_way_to_start_is_told(
    sqlite_engine: Engine, job_id: int, tmp_path: Path
) -> None:
    result = give_up(sqlite_engine, job_id, tmp_path)
    assert result.endswith("nothing is processing it: no scheduler is running; start one: tidemark up")
    mark_seen(sqlite_engine, "s", "scheduler")
    result = give_up(sqlite_engine, job_id, tmp_path)
    assert "nothing is processing it: no worker serves the queue scoring" in result
    assert "continues" not in result


def test_with_scheduler_and_worker_the_job_goes_on(sqlite_engine: Engine, job_id: int, tmp_path: Path) -> None:
    mark_seen(sqlite_engine, "s", "scheduler")
    mark_seen(sqlite_engine, "w", "worker:scoring,monitoring")
    assert f"it continues. See: tidemark job show {job_id}" in give_up(sqlite_engine, job_id, tmp_path)
