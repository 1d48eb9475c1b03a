"""The newest jobs of each portfolio, for the page Tonight."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, func, or_, select

from db.connections.clock import now_plus
from db.connections.engine import reading
from db.ledger.job_lifecycle import JOB_COLUMNS, Job, as_job
from db.monitoring.drift_reports import read_verdicts
from db.schema.core_tables import jobs, shards
from db.schema.states import JobKind, JobState, ShardState, Verdict

RATE_SECONDS = 60.0
_TRAINS = (JobKind.TRAINING, JobKind.FINE_TUNING)


@dataclass(frozen=True)
class LatestJobs:
    """The newest scoring job in any state, the newest finished one, and the newest training job.

    `verdict` is the monitor's on the newest scoring job, None while there is none.
    """

    newest: Job | None
    done: Job | None
    training: Job | None = None
    verdict: Verdict | None = None


def read_latest_jobs(engine: Engine, portfolios: Sequence[str]) -> dict[str, LatestJobs]:
    """Return the newest jobs of these portfolios, by portfolio; one without any is left out."""
    wanted = (
        jobs.c.kind == JobKind.SCORING,
        (jobs.c.kind == JobKind.SCORING) & (jobs.c.state == JobState.DONE),
        jobs.c.kind.in_(_TRAINS),
    )
    newest = [
        select(func.max(jobs.c.id)).where(one, jobs.c.portfolio.in_(portfolios)).group_by(jobs.c.portfolio)
        for one in wanted
    ]
    statement = select(*JOB_COLUMNS).where(or_(*(jobs.c.id.in_(ids) for ids in newest))).order_by(jobs.c.id.desc())
    found: dict[str, list[Job]] = {}
    with reading(engine) as connection:
        for row in connection.execute(statement):
            found.setdefault(row.portfolio, []).append(as_job(row))
    verdicts = read_verdicts(engine, [one.id for of_portfolio in found.values() for one in of_portfolio])
    return {name: _sort_out(of_portfolio, verdicts) for name, of_portfolio in found.items()}


def _sort_out(newest_first: Sequence[Job], verdicts: Mapping[int, Verdict]) -> LatestJobs:
    scoring = [one for one in newest_first if one.kind is JobKind.SCORING]
    return LatestJobs(
        newest=next(iter(scoring), None),
        done=next((one for one in scoring if one.state is JobState.DONE), None),
        training=next((one for one in newest_first if one.kind in _TRAINS), None),
        verdict=verdicts.get(scoring[0].id) if scoring else None,
    )


def read_present_rates(engine: Engine, portfolios: Sequence[str]) -> dict[str, float]:
    """Return the records per second of the last minute, by portfolio; idle portfolios are left out."""
    since = now_plus(-RATE_SECONDS)
    is_recent = jobs.c.finished_at.is_(None) | (jobs.c.finished_at >= since)
    read = select(jobs.c.portfolio, func.sum(shards.c.read_rows)).join(jobs, jobs.c.id == shards.c.job_id)
    read = read.where(is_recent, jobs.c.portfolio.in_(portfolios), shards.c.state == ShardState.DONE)
    read = read.where(shards.c.finished_at >= since).group_by(jobs.c.portfolio)
    with reading(engine) as connection:
        return {row[0]: float(row[1]) / RATE_SECONDS for row in connection.execute(read)}
