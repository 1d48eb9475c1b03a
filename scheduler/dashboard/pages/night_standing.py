"""The state of a portfolio's night, from its newest jobs and its schedules. Pure: the time is an argument."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from db.ledger.job_lifecycle import Job
from db.monitoring.latest_jobs import LatestJobs
from db.portfolios.catalog import Portfolio
from db.schedules.due_time_runs import ScheduleHistory
from db.schedules.timetable import Schedule
from db.schema.states import JobState, Verdict

# A due time is run within a second or two; after this no scheduler is running.
LATE_AFTER = timedelta(minutes=2)
# A night is slow when it takes twice as long as the one before and a minute more.
SLOW_FACTOR, SLOW_SECONDS = 2.0, 60.0
TONIGHT = timedelta(hours=16)  # what ended longer ago was another night
COMING = timedelta(hours=24)


class Standing(StrEnum):
    """The state of a portfolio's night, the most urgent first."""

    LATE = "late"
    FAILED = "failed"
    UNUSABLE = "unusable"
    TRAINING_FAILED = "training_failed"
    CANCELLED = "cancelled"
    RUNNING = "running"
    DUE = "due"
    DONE = "done"
    IDLE = "idle"


WORST_FIRST = tuple(Standing)
_ENDED = {JobState.DONE: Standing.DONE, JobState.FAILED: Standing.FAILED, JobState.CANCELLED: Standing.CANCELLED}


@dataclass(frozen=True)
class PortfolioNight:
    """One card of the page. `expected` are records, `rate` records per second, `because` explains the standing."""

    name: str
    title: str
    champion: str | None
    standing: Standing
    job: Job | None
    verdict: Verdict | None
    expected: int | None
    finished: int
    rate: float | None
    next_due_at: datetime | None
    is_due: bool
    because: str | None

    @property
    def share(self) -> float | None:
        """How much of the night is accounted for, 0 to 1."""
        return min(1.0, self.finished / self.expected) if self.expected else None


def describe_night(
    portfolio: Portfolio,
    latest: LatestJobs | None,
    active: Sequence[Schedule],
    runs: Sequence[ScheduleHistory],
    *,
    rate: float | None,
    now: datetime,
) -> PortfolioNight:
    """Return the state of a portfolio's night; `active` are its schedules, `runs` their histories."""
    latest = latest or LatestJobs(None, None)
    due = min((one.next_due_at for one in active if one.next_due_at is not None), default=None)
    job, training = latest.newest, latest.training
    is_tonight = job is not None and _is_tonight(job, now)
    late = _find_delay(latest, runs, due, now)
    standing, because = (Standing.LATE, late) if late is not None else _stand(job if is_tonight else None)
    if (
        standing in _BETTER
        and training is not None
        and _is_tonight(training, now)
        and training.state is JobState.FAILED
    ):
        standing, because = Standing.TRAINING_FAILED, f"job {training.id}: {training.detail or training.cause}"
    is_due = due is not None and due - now <= COMING
    if is_due and _is_over(standing, job, due, now):
        standing = Standing.DUE
    usual = None if latest.done is None else latest.done.inputs
    return PortfolioNight(
        name=portfolio.name,
        title=portfolio.definition.title,
        champion=portfolio.champion,
        standing=standing,
        job=job,
        verdict=latest.verdict,
        expected=job.inputs if job is not None and is_tonight and job.inputs else usual,
        finished=job.scored + job.rejected if job is not None and is_tonight else 0,
        rate=rate if rate is not None else _rate_of(job),
        next_due_at=due,
        is_due=is_due,
        because=because,
    )


# A failed training is shown instead of these; wrong or missing scores of tonight are more urgent.
_BETTER = frozenset({Standing.CANCELLED, Standing.RUNNING, Standing.DONE, Standing.IDLE})


def _is_tonight(job: Job, now: datetime) -> bool:
    return job.finished_at is None or now - job.finished_at <= TONIGHT


def _stand(job: Job | None) -> tuple[Standing, str | None]:
    """The state of tonight's scoring job, and an explanation; without a job it is idle."""
    if job is None:
        return Standing.IDLE, None
    if job.is_open:
        return Standing.RUNNING, None
    if job.state is JobState.DONE and job.unusable_reason is not None:
        return Standing.UNUSABLE, f"its scores are marked as unusable: {job.unusable_reason}"
    return _ENDED[job.state], job.detail


def _is_over(standing: Standing, job: Job | None, due: datetime | None, now: datetime) -> bool:
    """Whether the next run is shown instead of the last one: there was none, or it went well and is further away."""
    if standing is Standing.DONE and job is not None and job.finished_at is not None and due is not None:
        return due - now < now - job.finished_at
    return standing is Standing.IDLE


def _find_delay(latest: LatestJobs, runs: Sequence[ScheduleHistory], due: datetime | None, now: datetime) -> str | None:
    if due is not None and now - due > LATE_AFTER:
        return "its due time has passed, but no scheduler has run it"
    newest = latest.newest
    for run in runs:
        missed = run.last_missed_at
        is_newest = missed is not None and (run.last_due_at is None or missed > run.last_due_at)
        if missed is not None and is_newest and (newest is None or newest.created_at < missed):
            return f"its due time {missed:%Y-%m-%d %H:%M} UTC was missed"
    return _find_slowness(latest, now)


def _find_slowness(latest: LatestJobs, now: datetime) -> str | None:
    if latest.newest is None or latest.newest.started_at is None:
        return None
    if latest.done is None or latest.done.seconds is None:
        return None
    usual, running = latest.done.seconds, (now - latest.newest.started_at).total_seconds()
    if not latest.newest.is_open or running <= usual * SLOW_FACTOR + SLOW_SECONDS:
        return None
    return f"it has been running for {running / 60:.0f} min; the previous one took {usual / 60:.1f} min"


def _rate_of(job: Job | None) -> float | None:
    """Records per second of an ended job; an open one uses the last minute."""
    if job is None or job.is_open or not job.seconds:
        return None
    return (job.scored + job.rejected) / job.seconds
