"""The limit of running shards per portfolio, which leaves workers for more urgent books.

A shard keeps its place while its lease lasts, so a worker that died frees its place even before a sweep takes the
shard back.
"""

from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, ScalarSelect, Select, exists, func, or_, select

from db.connections.clock import now_plus
from db.schema.core_tables import jobs, portfolios, shards
from db.schema.states import QUEUE_OF_KIND, JobKind, JobState, ShardState

LIMITED_QUEUE = QUEUE_OF_KIND[JobKind.SCORING]
_other = shards.alias("other_shard")


def lock_limits(connection: Connection, queue: str) -> None:
    """Serialise claims under a limit: two that count at the same time would both find room.

    SQLite needs no lock, because its writers are serialised anyway.
    """
    if queue != LIMITED_QUEUE or connection.dialect.name == "sqlite":
        return
    limited = select(portfolios.c.name).where(portfolios.c.running_shards.is_not(None)).order_by(portfolios.c.name)
    # Not as strong as FOR UPDATE: new jobs refer to the row meanwhile.
    connection.execute(limited.with_for_update(key_share=True)).all()


@cache
def may_run(queue: str) -> ColumnElement[bool]:
    """A shard can be claimed only while its job is running and its portfolio's limit has room."""
    job_runs = (jobs.c.id == shards.c.job_id) & (jobs.c.state == JobState.RUNNING)
    if queue != LIMITED_QUEUE:
        return exists().where(job_runs)
    return exists().where(job_runs, jobs.c.portfolio.not_in(_full()))


def running_jobs(queue: str) -> Select[Any, Any]:
    """The running jobs of portfolios whose limit has room, with their priority."""
    running = select(jobs.c.id, jobs.c.priority).where(jobs.c.state == JobState.RUNNING)
    return running if queue != LIMITED_QUEUE else running.where(jobs.c.portfolio.not_in(_full()))


def read_rooms(connection: Connection, *, hinted_within_seconds: float) -> dict[str, int]:
    """Return how many more shards of each portfolio with a limit should be announced now.

    A recently announced shard will have a worker soon, so it counts too.
    """
    named = _count_shards(ShardState.WAITING, _other.c.hinted_at >= now_plus(-hinted_within_seconds))
    rooms = select(portfolios.c.name, (_room() - named).label("room"))
    rows = connection.execute(rooms.where(portfolios.c.running_shards.is_not(None)))
    return {row.name: max(0, row.room) for row in rows}


def of_portfolios(names: list[str], *, inside: bool) -> ColumnElement[bool]:
    """A shard whose job runs, with its portfolio among the names (or not); limits only count on the scoring queue."""
    job_runs = (jobs.c.id == shards.c.job_id) & (jobs.c.state == JobState.RUNNING)
    if inside:
        return (shards.c.queue == LIMITED_QUEUE) & exists().where(job_runs, jobs.c.portfolio.in_(names))
    return exists().where(job_runs, or_(shards.c.queue != LIMITED_QUEUE, jobs.c.portfolio.not_in(names)))


def _full() -> Select[tuple[str]]:
    return select(portfolios.c.name).where(portfolios.c.running_shards.is_not(None), _room() <= 0)


def _room() -> ColumnElement[int]:
    return portfolios.c.running_shards - _count_shards(ShardState.RUNNING, _other.c.lease_until >= now_plus())


def _count_shards(state: ShardState, condition: ColumnElement[bool]) -> ScalarSelect[int]:
    job = jobs.alias("other_job")
    counted = select(func.count()).select_from(_other.join(job, job.c.id == _other.c.job_id))
    counted = counted.where(_other.c.queue == LIMITED_QUEUE, _other.c.state == state, condition)
    return counted.where(job.c.portfolio == portfolios.c.name).correlate(portfolios).scalar_subquery()
