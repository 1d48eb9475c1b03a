"""Leases that ended without a result: listed, and taken back for another worker.

Every state change is one guarded statement. The database's clock alone decides about leases.
"""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Engine, func, select, update

from db.connections.clock import now_plus
from db.connections.engine import reading, writing
from db.events.event_log import record_event
from db.schema.core_tables import shards
from db.schema.states import ShardState


@dataclass(frozen=True)
class ExpiredLease:
    """A shard whose worker sent no heartbeat in time."""

    shard_id: int
    job_id: int
    token: int
    attempt: int
    worker: str
    queue: str


def list_expired(engine: Engine, *, after_id: int = 0, limit: int = 500) -> list[ExpiredLease]:
    """Return a page of running shards with an expired or missing lease; the next page begins after its last id."""
    # NULL is never smaller than now: a lease that was never written must count as over.
    is_over = func.coalesce(shards.c.lease_until, now_plus(-1)) < now_plus()
    columns = (shards.c.id, shards.c.job_id, shards.c.token, shards.c.attempt, shards.c.worker, shards.c.queue)
    statement = select(*columns).where(shards.c.state == ShardState.RUNNING, is_over, shards.c.id > after_id)
    with reading(engine) as connection:
        rows = connection.execute(statement.order_by(shards.c.id).limit(limit))
        return [ExpiredLease(*row) for row in rows]


def take_back(engine: Engine, expired: ExpiredLease) -> bool:
    """Put a shard with an expired lease back in the queue; False if its worker finished or renewed in the meantime."""
    with writing(engine) as connection:
        freed = update(shards).where(is_still_expired(expired))
        error = f"the worker {expired.worker} sent no heartbeat within its lease"
        freed = freed.values(state=ShardState.WAITING, lease_until=None, worker=None, error=error, hinted_at=None)
        has_freed = connection.execute(freed).rowcount == 1
        if has_freed:
            who, shard_id = "scheduler", expired.shard_id
            record_event(connection, "shard.taken_back", who=who, job_id=expired.job_id, shard_id=shard_id, why=error)
    return has_freed


def is_still_expired(expired: ExpiredLease) -> ColumnElement[bool]:
    """The guard of every change to a shard with an expired lease."""
    is_same = (shards.c.id == expired.shard_id) & (shards.c.token == expired.token)
    is_over = func.coalesce(shards.c.lease_until, now_plus(-1)) < now_plus()
    return is_same & (shards.c.state == ShardState.RUNNING) & is_over
