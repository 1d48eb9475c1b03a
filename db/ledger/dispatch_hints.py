"""Selects the waiting shards to announce in messages: as many as may run, most urgent first."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Engine, select, update

from db.connections.clock import now_plus
from db.connections.engine import reading, writing
from db.ledger.running_limits import LIMITED_QUEUE, of_portfolios, read_rooms
from db.schema.core_tables import shards
from db.schema.states import ALL_QUEUES, ShardState


@dataclass(frozen=True)
class Hint:
    """A waiting shard, to be announced in a message."""

    shard_id: int
    queue: str
    was_sent: bool


def list_unhinted(engine: Engine, *, repeat_seconds: float, limit: int) -> list[Hint]:
    """Return waiting shards without a message, or whose last message is older than `repeat_seconds`.

    At most `limit` per queue, most urgent first, so that a long queue hides no other.
    A portfolio with a limit gets no more hints than it has room: workers would find nothing to claim.
    """
    is_due = shards.c.hinted_at.is_(None) | (shards.c.hinted_at < now_plus(-repeat_seconds))
    with reading(engine) as connection:
        rooms = read_rooms(connection, hinted_within_seconds=repeat_seconds)
        others = is_due & of_portfolios(list(rooms), inside=False)
        found = [hint for queue in ALL_QUEUES for hint in _find(connection, queue, others, limit)]
        for name, room in rooms.items():
            if room > 0:
                of_name = is_due & of_portfolios([name], inside=True)
                found += _find(connection, LIMITED_QUEUE, of_name, min(room, limit))
    return [hint for _, hint in sorted(found, key=lambda one: one[0])]


def mark_hinted(engine: Engine, shard_ids: Sequence[int]) -> None:
    """Note that messages for these shards were put on the queue."""
    if shard_ids:
        with writing(engine) as connection:
            connection.execute(update(shards).where(shards.c.id.in_(shard_ids)).values(hinted_at=now_plus()))


def _find(
    connection: Connection, queue: str, condition: ColumnElement[bool], limit: int
) -> list[tuple[tuple[int, int, int], Hint]]:
    order = (shards.c.priority, shards.c.job_id, shards.c.ordinal)
    columns = (shards.c.id, shards.c.queue, shards.c.hinted_at.is_not(None).label("was_sent"), *order)
    waiting = select(*columns).where(
        shards.c.queue == queue, shards.c.state == ShardState.WAITING, shards.c.available_at <= now_plus(), condition
    )
    rows = connection.execute(waiting.order_by(*order).limit(limit))
    return [((row.priority, row.job_id, row.ordinal), Hint(row.id, row.queue, row.was_sent)) for row in rows]
