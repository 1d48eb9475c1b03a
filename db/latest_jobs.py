"""The newest scoring jobs of each portfolio: what a person asks for who looks at tonight."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, func, select

from db.clock import now_plus
from db.engine import reading
from db.jobs import JOB_COLUMNS, Job, as_job
from db.states import JobKind, JobState, ShardState
from db.tables import jobs, shards

RATE_SECONDS = 60.0


@dataclass(frozen=True)
class LatestJobs:
    """The newest scoring job, whatever its state, and the newest that is done; they may be the same."""

    newest: Job
    done: Job | None


def read_latest_jobs(engine: Engine, portfolios: Sequence[str]) -> dict[str, LatestJobs]:
    """Return the newest scoring jobs of these portfolios, by portfolio; one without any is left out."""
    is_scoring = (jobs.c.kind == JobKind.SCORING, jobs.c.portfolio.in_(portfolios))
    newest = select(func.max(jobs.c.id)).where(*is_scoring).group_by(jobs.c.portfolio)
    done = select(func.max(jobs.c.id)).where(*is_scoring, jobs.c.state == JobState.DONE).group_by(jobs.c.portfolio)
    statement = select(*JOB_COLUMNS).where(jobs.c.id.in_(newest) | jobs.c.id.in_(done)).order_by(jobs.c.id)
    found: dict[str, list[Job]] = {}
    with reading(engine) as connection:
        for row in connection.execute(statement):
            found.setdefault(row.portfolio, []).append(as_job(row))
    return {
        name: LatestJobs(of_portfolio[-1], next((one for one in of_portfolio if one.state is JobState.DONE), None))
        for name, of_portfolio in found.items()
    }


def read_present_rates(engine: Engine, portfolios: Sequence[str]) -> dict[str, float]:
    """Return the records per second of the last minute, by portfolio; one where nothing happened is left out."""
    since = now_plus(-RATE_SECONDS)
    is_recent = jobs.c.finished_at.is_(None) | (jobs.c.finished_at >= since)
    read = select(jobs.c.portfolio, func.sum(shards.c.read_rows)).join(jobs, jobs.c.id == shards.c.job_id)
    read = read.where(is_recent, jobs.c.portfolio.in_(portfolios), shards.c.state == ShardState.DONE)
    read = read.where(shards.c.finished_at >= since).group_by(jobs.c.portfolio)
    with reading(engine) as connection:
        return {row[0]: float(row[1]) / RATE_SECONDS for row in connection.execute(read)}
