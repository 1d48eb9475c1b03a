"""Schedules: each due time is stored once with its job or its cause, however many schedulers look."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import Engine, event, insert, update
from sqlalchemy.exc import IntegrityError

from db.connections.engine import opened_engine, reading, writing
from db.errors import NotFoundError, StateConflictError
from db.ledger.job_lifecycle import cancel_job, get_job, list_jobs
from db.operations.diagnosis import read_database_time
from db.schedules.due_time_runs import ScheduleRun, list_runs, read_histories
from db.schedules.timetable import Schedule, ScheduleRequest, find_schedule_named, list_schedules
from db.schema.schedule_tables import schedule_runs, schedules
from db.schema.states import PRIORITIES, CatchUp, JobKind, JobState, Overlap, RunCause, RunState, ScheduleState
from scheduler.loop.schedule_firing import LOOK_DUE_TIMES, fire_due_schedules
from scheduler.requests.schedule_changes import (
    add_schedule,
    pause_schedule,
    remove_schedule,
    resume_schedule,
    run_schedule_now,
)
from tests.building import BOOK, MODEL, add_model, load_book

A_DAY = 24 * 3600.0
SUBMITTED, MISSED, SKIPPED = RunState.SUBMITTED, RunState.MISSED, RunState.SKIPPED


@pytest.fixture
def book(engine: Engine) -> Engine:
    """A database with a portfolio, its champion, and no schedule."""
    load_book(engine, [1, 2])
    add_model(engine)
    return engine


def _nightly(engine: Engine, **policies: Any) -> Schedule:
    """A daily schedule whose due time is about twelve hours away, so that no test meets it by chance."""
    hour = (read_database_time(engine).hour + 12) % 24
    return add_schedule(engine, ScheduleRequest(BOOK, f"0 {hour} * * *", "UTC", **policies), who="test")[0]


def _let_pass(engine: Engine, schedule: Schedule, **time: float) -> list[datetime]:
    """Put the schedule where it would be if nobody had looked for so long; return the nights that came since."""
    assert schedule.next_due_at is not None
    first = schedule.next_due_at - timedelta(**time)
    with writing(engine) as connection:
        connection.execute(update(schedules).where(schedules.c.id == schedule.id).values(next_due_at=first))
    return [first + timedelta(days=day) for day in range(int(time.get("days", 0)))]


def _fire(engine: Engine, *, grace_seconds: float = 300) -> list[int]:
    return fire_due_schedules(engine, grace_seconds=grace_seconds)


def _find(engine: Engine, schedule: Schedule) -> Schedule:
    with reading(engine) as connection:
        return find_schedule_named(connection, str(schedule.id))


def _runs(engine: Engine, schedule: Schedule) -> list[ScheduleRun]:
    """The runs in the order of their due times."""
    return list_runs(engine, schedule.id, limit=10_000)[::-1]


def test_nothing_fires_before_its_time(book: Engine) -> None:
    schedule = _nightly(book)
    assert _fire(book) == []
    assert _runs(book, schedule) == []


def test_a_due_time_becomes_a_scoring_job_with_the_champion(book: Engine) -> None:
    schedule = _nightly(book)
    [due] = _let_pass(book, schedule, days=1)
    [job_id] = _fire(book)
    job = get_job(book, job_id)
    asked = (job.kind, job.model_version, job.priority, job.requested_by)
    assert asked == (JobKind.SCORING, MODEL, PRIORITIES["nightly"], f"schedule {schedule.id}")
    assert _runs(book, schedule) == [ScheduleRun(due, SUBMITTED, job_id)]
    assert _find(book, schedule).next_due_at == schedule.next_due_at


@pytest.mark.parametrize(
    ("catch_up", "grace_seconds", "expected"),
    [
        (CatchUp.LATEST, 300, [MISSED, MISSED, SUBMITTED]),
        (CatchUp.ALL, 300, [SUBMITTED, SUBMITTED, SUBMITTED]),
        (CatchUp.NONE, 300, [MISSED, MISSED, MISSED]),
        (CatchUp.NONE, A_DAY, [MISSED, MISSED, SUBMITTED]),
    ],
)
def test_three_nights_of_downtime_follow_the_policy(
    book: Engine, catch_up: CatchUp, grace_seconds: float, expected: list[RunState]
) -> None:
    schedule = _nightly(book, catch_up=catch_up)
    nights = _let_pass(book, schedule, days=3)
    job_ids = _fire(book, grace_seconds=grace_seconds)
    runs = _runs(book, schedule)
    assert [(run.due_at, run.state) for run in runs] == list(zip(nights, expected, strict=True))
    assert [run.job_id for run in runs if run.job_id] == job_ids == sorted(job_ids)
    assert {run.cause for run in runs if run.state is MISSED} <= {RunCause.DOWNTIME}
    assert _fire(book) == []


def test_any_number_of_schedulers_fires_each_due_time_once(book: Engine, database_url: str) -> None:
    schedule = _nightly(book, catch_up=CatchUp.ALL)
    nights = _let_pass(book, schedule, days=3)
    with ExitStack() as opened, ThreadPoolExecutor(8) as pool:
        engines = [opened.enter_context(opened_engine(database_url)) for _ in range(8)]
        fired = [job_id for ids in pool.map(_fire, engines) for job_id in ids]
    assert [run.due_at for run in _runs(book, schedule)] == nights
    assert sorted(fired) == sorted(job.id for job in list_jobs(book))
    assert len(fired) == 3


def test_the_database_refuses_a_second_run_of_a_due_time(book: Engine) -> None:
    schedule = _nightly(book)
    [due] = _let_pass(book, schedule, days=1)
    _fire(book)
    again = {"schedule_id": schedule.id, "due_at": due, "state": MISSED, "cause": RunCause.DOWNTIME}
    with pytest.raises(IntegrityError, match="schedule_runs"), writing(book) as connection:
        connection.execute(insert(schedule_runs).values(again))


def test_a_due_time_that_comes_again_since_the_clock_was_set_back_is_not_fired_again(book: Engine) -> None:
    schedule = _nightly(book)
    nights = _let_pass(book, schedule, days=1)
    _fire(book)
    _let_pass(book, schedule, days=1)
    assert _fire(book) == []
    assert [run.due_at for run in _runs(book, schedule)] == nights


def test_a_due_time_is_stored_with_its_job_or_not_at_all(book: Engine) -> None:
    schedule = _nightly(book)
    _let_pass(book, schedule, days=1)
    with _refusing(book, "INSERT INTO tidemark_schedule_runs"):
        assert _fire(book) == [], "one schedule's trouble is logged, and holds up no other"
    assert list_jobs(book) == []
    assert len(_fire(book)) == 1


@contextmanager
def _refusing(engine: Engine, statement: str) -> Iterator[None]:
    """Break every such statement, as a lost connection does."""

    def refuse(_connection: Any, _cursor: Any, sql: str, *_rest: Any) -> None:
        if sql.startswith(statement):
            raise ConnectionAbortedError

    event.listen(engine, "before_cursor_execute", refuse)
    yield
    event.remove(engine, "before_cursor_execute", refuse)


def test_a_night_is_skipped_while_the_job_before_is_not_finished(book: Engine) -> None:
    schedule = _nightly(book)
    _let_pass(book, schedule, days=1)
    [first] = _fire(book)
    _set_back_runs(book, days=1)
    _let_pass(book, schedule, days=1)
    assert _fire(book) == []
    skipped = _runs(book, schedule)[-1]
    assert (skipped.state, skipped.cause) == (SKIPPED, RunCause.PREVIOUS_UNFINISHED)
    assert f"job {first}" in (skipped.detail or "")


@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [(CatchUp.LATEST, [MISSED, MISSED, SKIPPED]), (CatchUp.ALL, [SUBMITTED, SUBMITTED, SUBMITTED])],
)
def test_a_job_that_the_downtime_cut_off_holds_up_the_latest_night_but_not_all(
    book: Engine, catch_up: CatchUp, expected: list[RunState]
) -> None:
    schedule = _nightly(book, catch_up=catch_up)
    run_schedule_now(book, BOOK, who="test")
    _let_pass(book, schedule, days=3)
    _fire(book)
    assert [run.state for run in _runs(book, schedule) if not run.is_by_hand] == expected


def test_a_night_that_comes_in_time_is_skipped_even_where_all_are_caught_up(book: Engine) -> None:
    schedule = _nightly(book, catch_up=CatchUp.ALL)
    run_schedule_now(book, BOOK, who="test")
    _let_pass(book, schedule, days=1)
    assert _fire(book, grace_seconds=A_DAY) == []


def test_a_night_runs_again_once_the_job_before_is_finished(book: Engine) -> None:
    schedule = _nightly(book)
    _let_pass(book, schedule, days=1)
    [first] = _fire(book)
    cancel_job(book, first, who="test")
    _set_back_runs(book, days=1)
    _let_pass(book, schedule, days=1)
    assert len(_fire(book)) == 1


def test_a_schedule_that_queues_submits_whatever_runs(book: Engine) -> None:
    schedule = _nightly(book, overlap=Overlap.QUEUE)
    _let_pass(book, schedule, days=1)
    _fire(book)
    _set_back_runs(book, days=1)
    _let_pass(book, schedule, days=1)
    assert len(_fire(book)) == 1


def test_jobs_of_others_do_not_stand_in_the_way(book: Engine) -> None:
    schedule = _nightly(book)
    other, _ = add_schedule(book, ScheduleRequest(BOOK, "0 0 1 1 *", "UTC"), who="test")
    run_schedule_now(book, str(other.id), who="test")
    _let_pass(book, schedule, days=1)
    assert len(_fire(book)) == 1


def _set_back_runs(engine: Engine, *, days: int) -> None:
    """Make the runs so many days older."""
    with reading(engine) as connection:
        rows = connection.execute(schedule_runs.select()).all()
    with writing(engine) as connection:
        for row in rows:
            older = update(schedule_runs).where(schedule_runs.c.id == row.id)
            connection.execute(older.values(due_at=row.due_at - timedelta(days=days)))


def test_a_night_without_a_champion_is_missed_with_its_cause_and_the_next_one_runs(engine: Engine) -> None:
    load_book(engine, [1])
    schedule = _nightly(engine)
    _let_pass(engine, schedule, days=2)
    assert _fire(engine) == []
    assert [(run.state, run.cause) for run in _runs(engine, schedule)] == [
        (MISSED, RunCause.DOWNTIME),
        (MISSED, RunCause.NO_CHAMPION),
    ]
    _set_back_runs(engine, days=2)
    add_model(engine)
    _let_pass(engine, schedule, days=1)
    assert len(_fire(engine)) == 1


def test_nights_during_a_pause_are_neither_run_nor_missed(book: Engine) -> None:
    schedule = _nightly(book)
    paused = pause_schedule(book, str(schedule.id), who="test", why="migration")
    assert (paused.state, paused.next_due_at) == (ScheduleState.PAUSED, None)
    assert _fire(book) == []
    resumed = resume_schedule(book, str(schedule.id), who="test")
    assert (resumed.state, resumed.next_due_at) == (ScheduleState.ACTIVE, schedule.next_due_at)
    assert _runs(book, schedule) == []


@pytest.mark.parametrize(("stop", "cause"), [(pause_schedule, RunCause.PAUSED), (remove_schedule, RunCause.REMOVED)])
def test_nights_that_nobody_looked_at_before_are_not_lost_silently(
    book: Engine, stop: Callable[..., Schedule], cause: RunCause
) -> None:
    schedule = _nightly(book)
    nights = _let_pass(book, schedule, days=2)
    stop(book, str(schedule.id), who="test")
    assert [(run.due_at, run.state, run.cause) for run in _runs(book, schedule)] == [
        (night, MISSED, cause) for night in nights
    ]


@pytest.mark.parametrize("change", [pause_schedule, resume_schedule, remove_schedule])
def test_a_change_that_is_made_twice_is_harmless(book: Engine, change: Callable[..., Schedule]) -> None:
    name = str(_nightly(book).id)
    assert change(book, name, who="test") == change(book, name, who="test")


def test_a_removed_schedule_keeps_its_history_and_may_be_added_anew(book: Engine) -> None:
    schedule = _nightly(book)
    _let_pass(book, schedule, days=3)
    [job_id] = _fire(book)
    remove_schedule(book, BOOK, who="test")
    again = _nightly(book)
    assert again.id != schedule.id
    assert [run.state for run in _runs(book, schedule)] == [MISSED, MISSED, SUBMITTED]
    assert get_job(book, job_id).state is JobState.QUEUED
    assert [one.id for one in list_schedules(book)] == [again.id]
    assert [one.id for one in list_schedules(book, with_removed=True)] == [schedule.id, again.id]


def test_a_removed_schedule_does_nothing_more(book: Engine) -> None:
    name = str(_nightly(book).id)
    remove_schedule(book, name, who="test")
    assert _fire(book) == []
    for change in (pause_schedule, resume_schedule, run_schedule_now):
        with pytest.raises(StateConflictError, match="is removed"):
            change(book, name, who="test")


def test_a_schedule_that_is_added_again_is_the_same_with_other_policies(book: Engine) -> None:
    schedule = _nightly(book)
    request = ScheduleRequest(BOOK, schedule.cron.replace(" ", "  "), "UTC")
    assert add_schedule(book, request, who="test") == (schedule, "unchanged")
    changed, outcome = add_schedule(book, ScheduleRequest(BOOK, schedule.cron, "UTC", CatchUp.ALL), who="test")
    assert (changed.id, changed.catch_up, outcome) == (schedule.id, CatchUp.ALL, "changed")


def test_eight_people_who_add_a_schedule_at_once_add_one(book: Engine) -> None:
    request = ScheduleRequest(BOOK, "0 2 * * *", "Asia/Shanghai")
    with ThreadPoolExecutor(8) as pool:
        outcomes = [outcome for _, outcome in pool.map(lambda n: add_schedule(book, request, who=f"p{n}"), range(8))]
    assert sorted(outcomes) == ["added"] + ["unchanged"] * 7
    assert len(list_schedules(book)) == 1


def test_a_schedule_of_an_unknown_portfolio_is_told_with_the_nearest_name(book: Engine) -> None:
    with pytest.raises(NotFoundError, match="There are: book"):
        add_schedule(book, ScheduleRequest("boook", "0 2 * * *", "UTC"), who="test")


def test_a_schedule_is_found_by_its_portfolio_while_that_has_only_one(book: Engine) -> None:
    schedule = _nightly(book)
    with reading(book) as connection:
        assert find_schedule_named(connection, BOOK) == schedule
    add_schedule(book, ScheduleRequest(BOOK, "0 0 1 1 *", "UTC"), who="test")
    with pytest.raises(StateConflictError, match="one of the ids 1, 2"), reading(book) as connection:
        find_schedule_named(connection, BOOK)


@pytest.mark.parametrize("name", ["7", "bok", "99999999999999999999", "²"])
def test_an_unknown_schedule_is_told_with_those_that_there_are(book: Engine, name: str) -> None:
    _nightly(book)
    with pytest.raises(NotFoundError, match=r"There are: 1 \(book\)"), reading(book) as connection:
        find_schedule_named(connection, name)


def test_run_now_submits_at_once_and_leaves_the_next_due_time(book: Engine) -> None:
    schedule = _nightly(book)
    job_id = run_schedule_now(book, BOOK, who="me")
    [run] = _runs(book, schedule)
    assert (run.state, run.job_id, run.is_by_hand) == (SUBMITTED, job_id, True)
    assert get_job(book, job_id).requested_by == "me"
    assert _find(book, schedule) == schedule


def test_run_now_works_while_paused_and_is_refused_while_a_job_is_not_finished(book: Engine) -> None:
    schedule = _nightly(book)
    pause_schedule(book, BOOK, who="test")
    job_id = run_schedule_now(book, BOOK, who="me")
    with pytest.raises(StateConflictError, match=f"job {job_id} of this schedule is not finished"):
        run_schedule_now(book, BOOK, who="me")
    assert len(_runs(book, schedule)) == 1


def test_run_now_without_a_champion_is_refused_with_what_to_do(engine: Engine) -> None:
    load_book(engine, [1])
    _nightly(engine)
    with pytest.raises(StateConflictError, match="tidemark train book"):
        run_schedule_now(engine, BOOK, who="me")


def test_a_schedule_that_cannot_be_read_is_paused_and_does_not_hide_the_others(book: Engine) -> None:
    broken, sound = _nightly(book), add_schedule(book, ScheduleRequest(BOOK, "0 0 1 1 *", "UTC"), who="test")[0]
    [due] = _let_pass(book, broken, days=1)
    with writing(book) as connection:
        connection.execute(update(schedules).where(schedules.c.id == broken.id).values(time_zone="Mars/Olympus"))
    _let_pass(book, sound, days=366)
    assert len(_fire(book)) == 1
    [run] = _runs(book, broken)
    assert (run.due_at, run.cause, _find(book, broken).state) == (due, RunCause.UNREADABLE, ScheduleState.PAUSED)


def test_a_downtime_longer_than_one_look_is_stored_in_parts(book: Engine) -> None:
    schedule, _ = add_schedule(book, ScheduleRequest(BOOK, "* * * * *", "UTC"), who="test")
    _let_pass(book, schedule, minutes=LOOK_DUE_TIMES + 100)
    assert _fire(book) == []
    assert {run.state for run in _runs(book, schedule)} == {MISSED}
    assert len(_fire(book)) == 1
    runs = _runs(book, schedule)
    assert all(later.due_at - run.due_at == timedelta(minutes=1) for run, later in pairwise(runs))
    assert [run.state for run in runs if run.state is not MISSED] == [SUBMITTED]


def test_all_due_times_of_a_downtime_longer_than_one_look_are_run(book: Engine) -> None:
    request = ScheduleRequest(BOOK, "* * * * *", "UTC", CatchUp.ALL)
    schedule, _ = add_schedule(book, request, who="test")
    _let_pass(book, schedule, minutes=LOOK_DUE_TIMES + 100)
    assert [len(_fire(book)), len(_fire(book))] in ([LOOK_DUE_TIMES, 100], [LOOK_DUE_TIMES, 101])
    assert {run.state for run in _runs(book, schedule)} == {SUBMITTED}


def test_the_history_counts_what_became_of_due_times(book: Engine) -> None:
    schedule = _nightly(book)
    nights = _let_pass(book, schedule, days=3)
    [job_id] = _fire(book)
    history = read_histories(book)[schedule.id]
    assert (history.missed, history.last_missed_at, history.skipped) == (2, nights[1], 0)
    assert (history.last_due_at, history.last_job_id, history.last_job_state) == (nights[2], job_id, JobState.QUEUED)
