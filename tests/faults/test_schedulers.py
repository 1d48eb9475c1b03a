"""Schedulers run twice, are cut off in mid-transaction, and sleep through three nights: each due time happens once."""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, update

from db.connections.engine import opened_engine, writing
from db.ledger.job_lifecycle import list_jobs
from db.migrations.upgrade import prepare_database
from db.operations.processes import list_processes
from db.schedules.due_time_runs import ScheduleRun, list_runs
from db.schedules.timetable import Schedule, ScheduleRequest
from db.schema.schedule_tables import schedules
from db.schema.states import CatchUp, Overlap, RunState
from scheduler.loop.schedule_firing import fire_due_schedules
from scheduler.requests.schedule_changes import add_schedule
from tests.building import BOOK, add_model, load_book
from tests.faults.matrix import Matrix
from tests.servers import Pair, PostgresServer, TcpProxy
from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
BERLIN = ZoneInfo("Europe/Berlin")
YEARS = 10
NIGHTS = {CatchUp.LATEST: (1, 2), CatchUp.ALL: (3, 0), CatchUp.NONE: (0, 3)}  # submitted, missed of three
pytestmark = pytest.mark.faults


@contextmanager
def scheduler_process(database_url: str, redis_url: str) -> Iterator[subprocess.Popen[bytes]]:
    settings = {"TIDEMARK_DATABASE_URL": database_url, "TIDEMARK_REDIS_URL": redis_url}
    process = subprocess.Popen([sys.executable, "-m", "scheduler.loop.process"], cwd=ROOT, env=os.environ | settings)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:  # it waits for a database that never answers
            process.kill()
            process.wait()


def prepare(engine: Engine) -> None:
    prepare_database(engine)
    load_book(engine, [1, 2])
    add_model(engine)


def add(engine: Engine, cron: str, catch_up: CatchUp, zone: str = "Europe/Berlin") -> Schedule:
    return add_schedule(engine, ScheduleRequest(BOOK, cron, zone, catch_up, Overlap.QUEUE), who="test")[0]


def move_due(engine: Engine, schedule: Schedule, back: timedelta) -> None:
    """Let time pass: what was to come has come."""
    assert schedule.next_due_at is not None
    with writing(engine) as connection:
        moved = update(schedules).where(schedules.c.id == schedule.id)
        connection.execute(moved.values(next_due_at=schedule.next_due_at - back))


def assert_each_once(engine: Engine, runs: list[ScheduleRun]) -> None:
    """Every due time is stored once, and its job is there once."""
    assert len({run.due_at for run in runs}) == len(runs)
    submitted = [run.job_id for run in runs if run.job_id is not None]
    assert len(set(submitted)) == len(submitted)
    assert set(submitted) <= {job.id for job in list_jobs(engine, limit=10_000)}


@pytest.mark.slow
@pytest.mark.fault(12)
def test_a_scheduler_that_is_cut_off_in_its_transaction_hands_over_to_another(
    postgres_server: PostgresServer, redis_url: str, matrix: Matrix
) -> None:
    armed, cut_at = [], []

    def cut_when_it_holds_the_schedule(_pair: Pair, data: bytes) -> str:
        if armed and not cut_at and b"tidemark_schedule" in data and b"FOR UPDATE" in data:
            cut_at.append(time.time())
            proxy.silence_after_this()
        return "pass"

    proxy = TcpProxy(postgres_server.port, on_request=cut_when_it_holds_the_schedule)
    with postgres_server.fresh_database() as url, opened_engine(url) as engine:
        prepare(engine)
        schedule = add(engine, "0 0 1 1 *", CatchUp.ALL)
        cut_url = url.replace(f":{postgres_server.port}/", f":{proxy.port}/")
        with scheduler_process(cut_url, redis_url):
            wait_for(lambda: list_processes(engine), 60, "the first scheduler to run")
            armed.append(True)
            move_due(engine, schedule, timedelta(days=365 * YEARS))
            wait_for(lambda: cut_at, 30, "the first scheduler to lock the schedule")
            with scheduler_process(url, redis_url):
                wait_for(lambda: list_runs(engine, schedule.id), 90, "the second scheduler to fire")
                recovery = time.time() - cut_at[0]
                proxy.speak()
                # The first is back: the same due times come again, and a second schedule fires under both.
                move_due(engine, schedule, timedelta(days=365 * YEARS))
                other = add(engine, "0 0 1 2 *", CatchUp.ALL)
                move_due(engine, other, timedelta(days=365 * YEARS))
                wait_for(lambda: list_runs(engine, other.id), 60, "the other schedule to fire")
                wait_for(lambda: next_due(engine, schedule) == schedule.next_due_at, 60, "the first to be looked at")
        runs = list_runs(engine, schedule.id, limit=1000)
        matrix.note(injected=1, duplicated=len(runs) - len({run.due_at for run in runs}), recovery=recovery)
        assert {run.state for run in runs} == {RunState.SUBMITTED}
        assert len(runs) in {YEARS, YEARS - 1}  # leap days may shift the first out
        assert_each_once(engine, [*runs, *list_runs(engine, other.id, limit=1000)])
    proxy.close()


@pytest.mark.fault(12)
def test_two_schedulers_after_three_missed_nights_follow_the_catch_up_policies(
    any_database_url: str, redis_url: str, matrix: Matrix
) -> None:
    with opened_engine(any_database_url) as engine:
        prepare(engine)
        # Due in some hours: three nights back are three due times, however long the test takes.
        hour = (datetime.now(BERLIN) + timedelta(hours=6)).hour
        added = {policy: add(engine, f"{minute} {hour} * * *", policy) for minute, policy in enumerate(NIGHTS)}
        for schedule in added.values():
            move_due(engine, schedule, timedelta(days=3))
        with scheduler_process(any_database_url, redis_url), scheduler_process(any_database_url, redis_url):
            wait_for(lambda: all(list_runs(engine, one.id) for one in added.values()), 60, "the schedules to fire")
        for policy, schedule in added.items():
            runs = list_runs(engine, schedule.id)
            counts = Counter(run.state for run in runs)
            submitted, missed = NIGHTS[policy]
            assert (counts[RunState.SUBMITTED], counts[RunState.MISSED]) == (submitted, missed), policy
            assert_each_once(engine, runs)
        matrix.note(injected=len(NIGHTS) * 3, what="missed nights")


@pytest.mark.fault(8)
def test_both_daylight_saving_nights_run_once_at_the_right_time(any_database_url: str, matrix: Matrix) -> None:
    with opened_engine(any_database_url) as engine:
        prepare(engine)
        schedule = add(engine, "30 2 * * *", CatchUp.ALL)  # in spring there is no such time, in autumn there are two
        spring, autumn = last_changes(datetime.now(UTC))
        move_due(engine, schedule, datetime.now(UTC) - min(spring, autumn) + timedelta(days=3))
        fire_due_schedules(engine, grace_seconds=300)
        runs = list_runs(engine, schedule.id, limit=1000)
        nights = Counter(run.due_at.astimezone(BERLIN).date() for run in runs)
        assert set(nights.values()) == {1}
        by_night = {run.due_at.astimezone(BERLIN).date(): run.due_at for run in runs}
        assert by_night[spring.astimezone(BERLIN).date()] == spring, (
            "the time that is jumped over runs at the jump's end"
        )
        assert by_night[autumn.astimezone(BERLIN).date()] == autumn - timedelta(minutes=30), "of two times the first"
        assert_each_once(engine, runs)
        matrix.note(injected=2, what="daylight-saving nights")


def next_due(engine: Engine, schedule: Schedule) -> datetime | None:
    with writing(engine) as connection:
        return connection.execute(schedules.select().where(schedules.c.id == schedule.id)).one().next_due_at


def last_changes(now: datetime) -> tuple[datetime, datetime]:
    """The last moment at which Berlin's clocks were put forward, and the last at which they were put back."""
    hours = [now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=back) for back in range(400 * 24)]
    offsets = [hour.astimezone(BERLIN).utcoffset() for hour in hours]
    changes = [number for number in range(len(hours) - 1) if offsets[number] != offsets[number + 1]]
    forward = next(hours[number] for number in changes if offsets[number] > offsets[number + 1])
    back = next(hours[number] for number in changes if offsets[number] < offsets[number + 1])
    return forward, back
