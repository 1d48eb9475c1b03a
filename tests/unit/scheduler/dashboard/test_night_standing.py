"""Where a night stands: late, failed, unusable, training failed, cancelled, running, due, done or idle."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from db.ledger.job_lifecycle import Job
from db.monitoring.latest_jobs import LatestJobs
from db.portfolios.catalog import Portfolio
from db.schedules.due_time_runs import ScheduleHistory
from db.schedules.timetable import Schedule
from db.schema.states import CatchUp, JobKind, JobState, JobTask, Overlap, ScheduleState, Verdict
from scheduler.dashboard.pages.night_standing import PortfolioNight, Standing, describe_night
from tests.building import BOOK, book_definition

NOW = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)


def ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def job(state: JobState, started: float, finished: float | None = None, **changes: Any) -> Job:
    """A scoring job that started and finished so many minutes ago."""
    values: dict[str, Any] = dict.fromkeys(Job.__dataclass_fields__)
    values |= {
        "id": 1,
        "kind": JobKind.SCORING,
        "task": JobTask.SCORE,
        "portfolio": BOOK,
        "definition": book_definition(),
        "options": {},
    }
    values |= {"state": state, "inputs": 1000, "scored": 1000, "rejected": 0, "created_at": ago(started)}
    ended = None if finished is None else ago(finished)
    return Job(**(values | {"started_at": ago(started), "finished_at": ended} | changes))


def due(at: datetime) -> Schedule:
    return Schedule(1, BOOK, "0 2 * * *", "UTC", CatchUp.LATEST, Overlap.SKIP, ScheduleState.ACTIVE, at, ago(9999))


def night(
    newest: Job | None = None,
    done: Job | None = None,
    *,
    training: Job | None = None,
    at: datetime | None = None,
    run: ScheduleHistory | None = None,
    verdict: Verdict | None = None,
) -> PortfolioNight:
    latest = None if newest is None and training is None else LatestJobs(newest, done, training, verdict)
    schedules = [] if at is None else [due(at)]
    runs = [] if run is None else [run]
    portfolio = Portfolio(book_definition(), "m1", NOW, NOW)
    return describe_night(portfolio, latest, schedules, runs, rate=None, now=NOW)


FAILED_TRAINING = job(JobState.FAILED, 9, 5, id=7, kind=JobKind.TRAINING, detail="no outcome is known")
UNUSABLE = job(JobState.DONE, 9, 5, unusable_reason="age is missing in 19.0%")


@pytest.mark.parametrize(
    ("found", "standing"),
    [
        (night(), Standing.IDLE),
        (night(at=ago(-60)), Standing.DUE),
        (night(at=ago(-3 * 1440)), Standing.IDLE),
        (night(job(JobState.RUNNING, 1)), Standing.RUNNING),
        (night(job(JobState.PAUSED, 1)), Standing.RUNNING),
        (night(job(JobState.DONE, 9, 5)), Standing.DONE),
        (night(job(JobState.FAILED, 9, 5)), Standing.FAILED),
        (night(job(JobState.CANCELLED, 9, 5)), Standing.CANCELLED),
        (night(UNUSABLE), Standing.UNUSABLE),
        (night(training=FAILED_TRAINING), Standing.TRAINING_FAILED),
        (night(job(JobState.DONE, 9, 5), training=FAILED_TRAINING), Standing.TRAINING_FAILED),
        (night(job(JobState.FAILED, 9, 5), training=FAILED_TRAINING), Standing.FAILED),
        (night(UNUSABLE, training=FAILED_TRAINING), Standing.UNUSABLE),
        (night(training=job(JobState.DONE, 9, 5, kind=JobKind.TRAINING)), Standing.IDLE),
        (night(job(JobState.DONE, 2000, 1990), at=ago(-60)), Standing.DUE),
    ],
)
def test_a_night_stands_where_its_newest_jobs_do(found: PortfolioNight, standing: Standing) -> None:
    assert found.standing is standing


def test_a_run_that_is_nearer_than_the_last_night_is_due() -> None:
    twelve_hours_ago = job(JobState.DONE, 12 * 60 + 5, 12 * 60)
    assert night(twelve_hours_ago, at=ago(-4 * 60)).standing is Standing.DUE
    assert night(job(JobState.DONE, 65, 60), at=ago(-4 * 60)).standing is Standing.DONE
    failed = job(JobState.FAILED, 12 * 60 + 5, 12 * 60)
    assert night(failed, at=ago(-4 * 60)).standing is Standing.FAILED, "a night that went wrong stays in view"


def test_a_due_run_counts_whatever_became_of_the_last_one() -> None:
    assert night(job(JobState.DONE, 65, 60), at=ago(-4 * 60)).is_due
    assert night(job(JobState.FAILED, 65, 60), at=ago(-4 * 60)).is_due
    assert not night(job(JobState.DONE, 65, 60), at=ago(-3 * 1440)).is_due


def test_a_card_says_why_it_stands_where_it_does() -> None:
    assert night(UNUSABLE).because == "its scores are marked as unusable: age is missing in 19.0%"
    assert night(training=FAILED_TRAINING).because == "job 7: no outcome is known"
    assert night(job(JobState.FAILED, 9, 5, detail="3 of 8 shards failed")).because == "3 of 8 shards failed"
    assert night(job(JobState.DONE, 9, 5)).because is None


def test_a_card_bears_the_verdict_on_its_job() -> None:
    assert night(job(JobState.DONE, 9, 5), verdict=Verdict.DRIFTED).verdict is Verdict.DRIFTED
    assert night(job(JobState.RUNNING, 9)).verdict is None


def test_a_due_time_that_nobody_runs_is_late_after_two_minutes() -> None:
    assert night(at=ago(1)).standing is Standing.DUE
    late = night(at=ago(3))
    assert (late.standing, late.because) == (Standing.LATE, "its due time has passed, but no scheduler has run it")


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
