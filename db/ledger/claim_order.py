"""The order of claims: by priority and age, or the oldest job first, so that no job starves."""

from sqlalchemy import ColumnElement, Select, func, select

from db.connections.clock import now_plus
from db.ledger.running_limits import may_run, running_jobs
from db.schema.core_tables import shards
from db.schema.states import ShardState


def best_waiting(queue: str, *more: ColumnElement[bool]) -> ColumnElement[bool]:
    """The waiting shard with the best priority, of the oldest such job."""
    return _first(_waiting(queue, *more).order_by(shards.c.priority, shards.c.job_id, shards.c.ordinal))


def oldest_waiting(queue: str, *more: ColumnElement[bool]) -> ColumnElement[bool]:
    """The next shard of the oldest job that has one waiting, whatever its priority.

    There are few jobs, so the job is selected first, and its shard by the same index as every claim.
    """
    waits = shards.alias("waits")
    jobs = running_jobs(queue).alias("waiting_job")
    is_waiting = (waits.c.queue == queue) & (waits.c.state == ShardState.WAITING)
    is_of_job = (waits.c.priority == jobs.c.priority) & (waits.c.job_id == jobs.c.id)
    # The first in order, not EXISTS: PostgreSQL would scan the table past all finished rows.
    first = select(waits.c.ordinal).where(is_waiting, is_of_job, waits.c.available_at <= now_plus())
    has_waiting = first.order_by(waits.c.ordinal).limit(1).scalar_subquery().is_not(None)
    oldest = select(jobs.c.id).where(has_waiting).order_by(jobs.c.id).limit(1).scalar_subquery()
    rank = select(jobs.c.priority).where(has_waiting).order_by(jobs.c.id).limit(1).scalar_subquery()
    # Both as equalities: so the index gives the shards of this job alone, in order.
    of_oldest = (shards.c.priority == rank) & (shards.c.job_id == oldest)
    return _first(_waiting(queue, of_oldest, *more).order_by(shards.c.ordinal))


def untried_among_many(queue: str, worker: str, *, oldest_first: bool) -> ColumnElement[bool]:
    """A shard that was never tried, if more are waiting than other workers are busy."""
    other = shards.alias("other_waiting")
    waiting = select(other.c.id).where(other.c.queue == queue, other.c.state == ShardState.WAITING)
    many = waiting.where(other.c.available_at <= now_plus()).limit(1).offset(_busy_others(queue, worker))
    choose = oldest_waiting if oldest_first else best_waiting
    return choose(queue, shards.c.attempt == 0, many.scalar_subquery().is_not(None))


def _waiting(queue: str, *more: ColumnElement[bool]) -> Select[tuple[int]]:
    is_waiting = (shards.c.queue == queue) & (shards.c.state == ShardState.WAITING)
    return select(shards.c.id).where(is_waiting, shards.c.available_at <= now_plus(), may_run(queue), *more)


def _first(ordered: Select[tuple[int]]) -> ColumnElement[bool]:
    return shards.c.id == ordered.limit(1).with_for_update(skip_locked=True).scalar_subquery()


def _busy_others(queue: str, worker: str) -> ColumnElement[int]:
    held = shards.alias("held_by_others")
    busy = select(func.count(func.distinct(held.c.worker)))
    is_running = (held.c.queue == queue) & (held.c.state == ShardState.RUNNING)
    return busy.where(is_running, held.c.worker != worker).scalar_subquery()
