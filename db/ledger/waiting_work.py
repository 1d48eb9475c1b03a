"""Says whether anything is waiting to be planned or sent: the only query of an idle tick."""

from typing import NamedTuple

from sqlalchemy import Engine, Float, bindparam, exists, select

from db.connections.clock import now_plus
from db.connections.engine import reading
from db.ledger.plannings import is_unplanned
from db.schema.core_tables import shards
from db.schema.states import ShardState

_is_old = shards.c.hinted_at.is_(None) | (shards.c.hinted_at < now_plus(bindparam("age", type_=Float())))
_STATEMENT = select(
    exists().where(is_unplanned()),
    exists().where(shards.c.state == ShardState.WAITING, shards.c.available_at <= now_plus(), _is_old),
)


class WaitingWork(NamedTuple):
    """Whether jobs are waiting to be planned, and shards for a first or a repeated message."""

    to_plan: bool
    to_send: bool


def find_waiting_work(engine: Engine, *, repeat_seconds: float) -> WaitingWork:
    """Return whether queued jobs are waiting for a planner, and shards for a first or a repeated message."""
    with reading(engine) as connection:
        row = connection.execute(_STATEMENT, {"age": -repeat_seconds}).one()
        return WaitingWork(bool(row[0]), bool(row[1]))
