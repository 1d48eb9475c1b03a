"""Facts about the database that `doctor` checks."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, func, select, text

from db.connections.clock import now_plus
from db.connections.engine import reading
from db.schema.core_tables import jobs, shards
from db.schema.states import OPEN_JOB_STATES, QUEUE_OF_KIND, JobKind, JobState, ShardState


def database_version(engine: Engine) -> str:
    """Return product and version of the database server."""
    with reading(engine) as connection:
        if connection.dialect.name == "postgresql":
            return f"PostgreSQL {connection.execute(text('SHOW server_version')).scalar_one()}"
        return f"SQLite {connection.execute(text('SELECT sqlite_version()')).scalar_one()}"


def read_database_time(engine: Engine) -> datetime:
    """Return the database's present time."""
    with reading(engine) as connection:
        return connection.execute(select(now_plus())).scalar_one()


def count_expired_leases(engine: Engine) -> int:
    """Return how many running shards have an expired or missing lease."""
    is_over = func.coalesce(shards.c.lease_until, now_plus(-1)) < now_plus()
    statement = select(func.count()).select_from(shards).where(shards.c.state == ShardState.RUNNING, is_over)
    with reading(engine) as connection:
        return connection.execute(statement).scalar_one()


@dataclass(frozen=True)
class OpenJob:
    """Facts that show whether an open job can finish."""

    job_id: int
    state: JobState
    cause: str | None
    detail: str | None
    waits_seconds: float
    says_open: int
    waiting: int
    running: int
    queue: str


def list_open_jobs(engine: Engine, *, limit: int = 200) -> list[OpenJob]:
    """Return the oldest open jobs, with the counts of their rows and of their shards."""
    of_job = shards.c.job_id == jobs.c.id
    count = func.count().filter
    states = (count(shards.c.state == ShardState.WAITING), count(shards.c.state == ShardState.RUNNING))
    known = (jobs.c.id, jobs.c.kind, jobs.c.state, jobs.c.cause, jobs.c.detail, jobs.c.created_at, jobs.c.shards_open)
    statement = select(*known, now_plus().label("now"), *states).select_from(jobs.outerjoin(shards, of_job))
    statement = statement.where(jobs.c.state.in_(OPEN_JOB_STATES)).group_by(*known).order_by(jobs.c.id).limit(limit)
    with reading(engine) as connection:
        return [
            OpenJob(
                job_id=row[0],
                state=JobState(row[2]),
                cause=row[3],
                detail=row[4],
                waits_seconds=(row[7] - row[5]).total_seconds(),
                says_open=row[6],
                waiting=row[8],
                running=row[9],
                queue=QUEUE_OF_KIND[JobKind(row[1])],
            )
            for row in connection.execute(statement)
        ]
