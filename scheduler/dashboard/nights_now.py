"""Where a portfolio's night stands, from its newest jobs and its schedules. Pure: the time is an argument."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from db.jobs import Job
from db.latest_jobs import LatestJobs
from db.portfolios import Portfolio
from db.schedule_runs import ScheduleHistory
from db.schedules import Schedule
from db.states import JobState

# A due time is run within a second or two; after this nobody is there to run it.
LATE_AFTER = timedelta(minutes=2)
# A night is slow when it takes twice as long as the one before and a minute more.
SLOW_FACTOR, SLOW_SECONDS = 2.0, 60.0
TONIGHT = timedelta(hours=16)  # what ended longer ago was another night
COMING = timedelta(hours=24)


class Standing(StrEnum):
    """Where the night of a portfolio stands."""

    LATE = "late"
    RUNNING = "running"
    FAILED = "failed"
    DONE = "done"
    EXPECTED = "expected"
    IDLE = "idle"


@dataclass(frozen=True)
class PortfolioNight:
    """One row of the page. `expected` are records, `rate` records per second, `late` says why it is late."""

    name: str
    title: str
    champion: str | None
    standing: Standing
    job: Job | None
    expected: int | None
    finished: int
    rate: float | None
    next_due_at: datetime | None
    late: str | None

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
    """Return where a portfolio's night stands; `active` are its schedules, `runs` their histories."""
    due = min((one.next_due_at for one in active if one.next_due_at is not None), default=None)
    job = None if latest is None else latest.newest
    is_tonight = job is not None and (job.finished_at is None or now - job.finished_at <= TONIGHT)
    late = _find_delay(latest, runs, due, now)
    usual = None if latest is None or latest.done is None else latest.done.inputs
    return PortfolioNight(
        name=portfolio.name,
        title=portfolio.definition.title,
        champion=portfolio.champion,
        standing=_stand(job, due, now, is_tonight=is_tonight, is_late=late is not None),
        job=job,
        expected=job.inputs if job is not None and is_tonight and job.inputs else usual,
        finished=job.scored + job.rejected if job is not None and is_tonight else 0,
        rate=rate if rate is not None else _rate_of(job),
        next_due_at=due,
        late=late,
    )


def _stand(job: Job | None, due: datetime | None, now: datetime, *, is_tonight: bool, is_late: bool) -> Standing:
    if is_late:
        return Standing.LATE
    if job is not None and is_tonight:
        if job.is_open:
            return Standing.RUNNING
        return Standing.DONE if job.state is JobState.DONE else Standing.FAILED
    return Standing.EXPECTED if due is not None and due - now <= COMING else Standing.IDLE


def _find_delay(
    latest: LatestJobs | None, runs: Sequence[ScheduleHistory], due: datetime | None, now: datetime
) -> str | None:
    if due is not None and now - due > LATE_AFTER:
        return "its due time has passed, and no scheduler has run it"
    newest = None if latest is None else latest.newest
    for run in runs:
        missed = run.last_missed_at
        is_newest = missed is not None and (run.last_due_at is None or missed > run.last_due_at)
        if missed is not None and is_newest and (newest is None or newest.created_at < missed):
            return f"its due time {missed:%Y-%m-%d %H:%M} UTC was missed"
    return _find_slowness(latest, now)


def _find_slowness(latest: LatestJobs | None, now: datetime) -> str | None:
    if latest is None or latest.done is None or latest.done.seconds is None or latest.newest.started_at is None:
        return None
    usual, running = latest.done.seconds, (now - latest.newest.started_at).total_seconds()
    if not latest.newest.is_open or running <= usual * SLOW_FACTOR + SLOW_SECONDS:
        return None
    return f"it runs for {running / 60:.0f} min, the last one took {usual / 60:.1f} min"


def _rate_of(job: Job | None) -> float | None:
    """Records per second of a job that has ended; of an open one the last minute tells."""
    if job is None or job.is_open or not job.seconds:
        return None
    return (job.scored + job.rejected) / job.seconds
