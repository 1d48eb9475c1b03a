"""When a night counts as late, running, done, failed or expected."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from db.jobs import Job
from db.latest_jobs import LatestJobs
from db.portfolios import Portfolio
from db.schedule_runs import ScheduleHistory
from db.schedules import Schedule
from db.states import CatchUp, JobKind, JobState, Overlap, ScheduleState
from scheduler.dashboard.nights_now import PortfolioNight, Standing, describe_night
from tests.building import BOOK, book_definition

NOW = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)


def ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def job(state: JobState, started: float, finished: float | None = None, **changes: Any) -> Job:
    """A scoring job that started and finished so many minutes ago."""
    values: dict[str, Any] = dict.fromkeys(Job.__dataclass_fields__)
    values |= {"id": 1, "kind": JobKind.SCORING, "portfolio": BOOK, "definition": book_definition(), "options": {}}
    values |= {"state": state, "inputs": 1000, "scored": 1000, "rejected": 0, "created_at": ago(started)}
    ended = None if finished is None else ago(finished)
    return Job(**(values | {"started_at": ago(started), "finished_at": ended} | changes))


def due(at: datetime) -> Schedule:
    return Schedule(1, BOOK, "0 2 * * *", "UTC", CatchUp.LATEST, Overlap.SKIP, ScheduleState.ACTIVE, at, ago(9999))


def night(
    newest: Job | None = None,
    done: Job | None = None,
    *,
    at: datetime | None = None,
    run: ScheduleHistory | None = None,
) -> PortfolioNight:
    latest = None if newest is None else LatestJobs(newest, done)
    schedules = [] if at is None else [due(at)]
    runs = [] if run is None else [run]
    return describe_night(Portfolio(book_definition(), "m1", NOW, NOW), latest, schedules, runs, rate=None, now=NOW)


@pytest.mark.parametrize(
    ("found", "standing"),
    [
        (night(), Standing.IDLE),
        (night(at=ago(-60)), Standing.EXPECTED),
        (night(at=ago(-3 * 1440)), Standing.IDLE),
        (night(job(JobState.RUNNING, 1)), Standing.RUNNING),
        (night(job(JobState.PAUSED, 1)), Standing.RUNNING),
        (night(job(JobState.DONE, 9, 5)), Standing.DONE),
        (night(job(JobState.FAILED, 9, 5)), Standing.FAILED),
        (night(job(JobState.DONE, 2000, 1990), at=ago(-60)), Standing.EXPECTED),
    ],
)
def test_a_night_stands_where_its_newest_job_does(found: PortfolioNight, standing: Standing) -> None:
    assert (found.standing, found.late) == (standing, None)


def test_a_due_time_that_nobody_runs_is_late_after_two_minutes() -> None:
    assert night(at=ago(1)).standing is Standing.EXPECTED
    late = night(at=ago(3))
    assert (late.standing, late.late) == (Standing.LATE, "its due time has passed, and no scheduler has run it")


def test_a_missed_due_time_is_late_until_a_job_follows() -> None:
    missed = ScheduleHistory(missed=1, last_missed_at=ago(60))
    assert night(at=ago(-60), run=missed).standing is Standing.LATE
    assert night(job(JobState.DONE, 2000, 1990), at=ago(-60), run=missed).standing is Standing.LATE
    assert night(job(JobState.DONE, 30, 20), at=ago(-60), run=missed).standing is Standing.DONE


def test_a_job_that_takes_much_longer_than_the_last_one_is_late() -> None:
    before = job(JobState.DONE, 1500, 1490)
    assert night(job(JobState.RUNNING, 20), before).standing is Standing.RUNNING
    assert night(job(JobState.RUNNING, 25), before).standing is Standing.LATE


def test_what_is_expected_is_the_job_s_or_the_last_night_s() -> None:
    before = job(JobState.DONE, 1500, 1490, inputs=900)
    queued = job(JobState.QUEUED, 1, inputs=0, scored=0)
    half = job(JobState.RUNNING, 1, scored=500)
    assert (night(queued, before).expected, night(queued, before).share) == (900, 0.0)
    assert (night(half, before).expected, night(half, before).share) == (1000, 0.5)
