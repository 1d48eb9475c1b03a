"""The shards of a job for people: state, worker and counts of each."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Engine, func, select

from db.connections.clock import now_plus
from db.connections.engine import reading
from db.schema.core_tables import jobs, shards
from db.schema.states import ShardState

_WORKED_WITHIN_SECONDS = 24 * 3600.0


@dataclass(frozen=True)
class ShownShard:
    """One shard, without its key range; `read_rows` and the counts are 0 until it is done."""

    id: int
    ordinal: int
    state: ShardState
    attempt: int
    worker: str | None
    expected: int
    scored: int
    rejected: int
    error: str | None
    heartbeat_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True)
class WorkerShard:
    """The shard that a worker process is working on, or last worked on."""

    worker: str
    job_id: int
    portfolio: str
    kind: str
    model_version: str | None
    ordinal: int
    state: ShardState
    heartbeat_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True)
class ShardGroup:
    """Neighbouring shards: ordinals of the first and the last, and how many are in each state.

    `troubled` is how many of them are waiting after an error.
    """

    first: int
    last: int
    states: dict[ShardState, int]
    troubled: int


_COLUMNS = tuple(shards.c[name] for name in ShownShard.__dataclass_fields__)


def list_shards(
    engine: Engine, job_id: int, *, limit: int, after: int = -1, state: ShardState | None = None
) -> list[ShownShard]:
    """Return a page of a job's shards in the order of their ordinals, beginning after the ordinal `after`."""
    statement = select(*_COLUMNS).where(shards.c.job_id == job_id, shards.c.ordinal > after)
    if state is not None:
        statement = statement.where(shards.c.state == state)
    with reading(engine) as connection:
        return [_as_shard(row) for row in connection.execute(statement.order_by(shards.c.ordinal).limit(limit))]


def iterate_shards(engine: Engine, job_id: int, *, page: int = 1_000) -> Iterator[ShownShard]:
    """Yield every shard of a job in the order of their ordinals, a page in memory at a time."""
    after = -1
    while listed := list_shards(engine, job_id, limit=page, after=after):
        yield from listed
        after = listed[-1].ordinal


def group_shards(engine: Engine, job_id: int, *, most: int) -> list[ShardGroup]:
    """Return the shards of a job in at most so many groups, in the order of the book; the database counts."""
    with reading(engine) as connection:
        newest = connection.execute(select(func.max(shards.c.ordinal)).where(shards.c.job_id == job_id)).scalar() or 0
        place = (shards.c.ordinal // (newest // most + 1)).label("place")
        placed = select(place, shards.c.ordinal, shards.c.state, shards.c.error).where(shards.c.job_id == job_id)
        one = placed.subquery().c
        counted = select(one.place, one.state, func.count(), func.min(one.ordinal), func.max(one.ordinal))
        counted = counted.add_columns(func.count(one.error)).group_by(one.place, one.state)
        rows = connection.execute(counted.order_by(one.place, one.state)).all()
    return [_as_group(list(of_place)) for _, of_place in groupby(rows, key=lambda row: row[0])]


def list_worker_shards(engine: Engine) -> list[WorkerShard]:
    """Return the newest shard of each worker process that worked within a day, by the worker's name."""
    is_recent = jobs.c.finished_at.is_(None) | (jobs.c.finished_at > now_plus(-_WORKED_WITHIN_SECONDS))
    # A worker may hold others, read ahead or being written; the most recently claimed or renewed one represents them.
    newest = func.row_number().over(partition_by=shards.c.worker, order_by=shards.c.heartbeat_at.desc()).label("age")
    own = (shards.c.worker, shards.c.job_id, jobs.c.portfolio, jobs.c.kind, jobs.c.model_version)
    times = (shards.c.heartbeat_at, shards.c.finished_at)
    joined = select(*own, shards.c.ordinal, shards.c.state, *times, newest).join(jobs, jobs.c.id == shards.c.job_id)
    inner = joined.where(is_recent, shards.c.worker.is_not(None), shards.c.heartbeat_at.is_not(None)).subquery()
    columns = (inner.c[name] for name in WorkerShard.__dataclass_fields__)
    with reading(engine) as connection:
        rows = connection.execute(select(*columns).where(inner.c.age == 1).order_by(inner.c.worker))
        return [_as_worker_shard(row) for row in rows]


def _as_group(rows: list[Any]) -> ShardGroup:
    states = {ShardState(row[1]): row[2] for row in rows}
    troubled = sum(row[5] for row in rows if row[1] == ShardState.WAITING)
    return ShardGroup(min(row[3] for row in rows), max(row[4] for row in rows), states, troubled)


def _as_shard(row: Any) -> ShownShard:
    values: dict[str, Any] = dict(row._mapping) | {"state": ShardState(row.state)}
    return ShownShard(**values)


def _as_worker_shard(row: Any) -> WorkerShard:
    values: dict[str, Any] = dict(row._mapping) | {"state": ShardState(row.state)}
    return WorkerShard(**values)
