"""The scheduler process fires schedules by itself, and several of them fire none twice."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from sqlalchemy import update

from db.connections.engine import Engine, opened_engine, writing
from db.ledger.job_lifecycle import list_jobs
from db.migrations.upgrade import prepare_database
from db.operations.processes import list_processes
from db.schedules.due_time_runs import list_runs
from db.schedules.timetable import Schedule, ScheduleRequest
from db.schema.schedule_tables import schedules
from db.schema.states import CatchUp, RunState
from scheduler.requests.schedule_changes import add_schedule
from tests.building import BOOK, add_model, load_book
from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parents[4]
YEARS = 30


def _yearly_schedule(engine: Engine) -> Schedule:
    prepare_database(engine)
    load_book(engine, [1, 2])
    add_model(engine)
    request = ScheduleRequest(BOOK, "0 0 1 1 *", "Europe/Berlin", CatchUp.ALL)
    return add_schedule(engine, request, who="test")[0]


def _let_years_pass(engine: Engine, schedule: Schedule) -> None:
    assert schedule.next_due_at is not None
    with writing(engine) as connection:
        connection.execute(update(schedules).values(next_due_at=schedule.next_due_at - timedelta(days=365 * YEARS)))


def test_three_scheduler_processes_fire_each_due_time_once(any_database_url: str, redis_url: str) -> None:
    with opened_engine(any_database_url) as engine:
        schedule = _yearly_schedule(engine)
        settings = {"TIDEMARK_DATABASE_URL": any_database_url, "TIDEMARK_REDIS_URL": redis_url}
        command = [sys.executable, "-m", "scheduler.loop.process"]
        processes = [subprocess.Popen(command, cwd=ROOT, env=os.environ | settings) for _ in range(3)]
        try:
            wait_for(lambda: len(list_processes(engine)) == 3, 60, "three schedulers to run")
            if sys.platform == "linux":
                assert all((one.memory_bytes or 0) > 10 << 20 for one in list_processes(engine))
            _let_years_pass(engine, schedule)
            wait_for(lambda: list_runs(engine, schedule.id), 60, "the schedule to fire")
        finally:
            for process in processes:
                process.terminate()
            codes = [process.wait(30) for process in processes]
        runs = list_runs(engine, schedule.id, limit=1000)
        assert codes == [0, 0, 0]
        assert {run.state for run in runs} == {RunState.SUBMITTED}
        assert len(runs) >= YEARS - 1  # leap days may shift the first out
        assert sorted(run.job_id or 0 for run in runs) == sorted(job.id for job in list_jobs(engine, limit=1000))
