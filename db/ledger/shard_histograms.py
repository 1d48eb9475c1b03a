"""Counts of shards for the monitor, and their exact sum over a job, made once when the job closes.

Adding up 100,000 shards takes half a minute, so a large job is added up on the way: as soon as all shards of a block
(`BLOCK_SHARDS` neighbours) are over, their sum is stored as a part. Such shards never change again, so a part that is
there is correct whichever worker wrote it, and a missing one is added at the end.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Connection, Engine, Table, bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite

from db.connections.engine import reading, writing
from db.schema.core_tables import shards
from db.schema.monitoring_tables import histogram_parts, job_histograms, shard_histograms
from db.schema.states import ShardState

BLOCK_SHARDS = 256
_PARTS_AT_ONCE = 32
_NAMES = ("points", "unscorable", "fields", "segments", "migration", "canary")

_JOB_COUNTS = select(job_histograms.c.job_id, job_histograms.c.counts).where(
    job_histograms.c.job_id.in_(bindparam("job_ids", expanding=True))
)
_of_block = (shards.c.job_id == bindparam("job")) & shards.c.ordinal.between(bindparam("first"), bindparam("last"))
_is_over = shards.c.state.in_((ShardState.DONE, ShardState.SPLIT))  # permanently: others may be tried again
# Shards are claimed in order, so the last of a block is the best one to check.
_LAST_OPEN = select(shards.c.ordinal).where(_of_block, ~_is_over).order_by(shards.c.ordinal.desc()).limit(1)
_HAS_LAST = select(shards.c.id).where(shards.c.job_id == bindparam("job"), shards.c.ordinal == bindparam("last"))
_BLOCK_STATE = select(_HAS_LAST.exists(), _LAST_OPEN.exists())
_SHARDS = (
    select(*(shard_histograms.c[name] for name in _NAMES))
    .join(shards, shards.c.id == shard_histograms.c.shard_id)
    .where(_of_block)
)
_PARTS = (
    select(histogram_parts.c.block, histogram_parts.c.counts)
    .where(histogram_parts.c.job_id == bindparam("job"), histogram_parts.c.block > bindparam("after"))
    .order_by(histogram_parts.c.block)
    .limit(_PARTS_AT_ONCE)
)

Counts = dict[str, Any]  # numbers, lists and further counts by name; adding is all that is ever done with them


@dataclass(frozen=True)
class ShardMonitoring:
    """What one shard counted in addition to its scores; None if nothing had to be counted.

    `fields` are records per bin of the model's reference, `segments` histograms of points by column and value,
    `migration` records by band of the night before and band; `canary` is not a count but the worst check. `bands`
    has a letter for each scored record in order, and `keys_hash` identifies the records.
    """

    fields: Counts | None = None
    segments: Counts | None = None
    migration: Counts | None = None
    canary: dict[str, Any] | None = None
    keys_hash: str | None = None
    bands: bytes | None = None


def fold_block(engine: Engine, job_id: int, block: int) -> bool:
    """Add up a block of a job's shards if it is full and all of them have ended; return whether it did.

    Only useful after the shard's own transaction, which does not see the end of its neighbours.
    """
    with reading(engine) as connection:
        is_full, is_open = connection.execute(_BLOCK_STATE, _limits(job_id, block)).one()
        if is_open or not is_full:
            return False
        counts = _sum_block(connection, job_id, block)
    with writing(engine) as connection:
        _insert(connection, histogram_parts, job_id=job_id, block=block, counts=counts)
    return True


def fold_histograms(connection: Connection, job_id: int) -> None:
    """Add up a job's shards into one row, in the caller's transaction; a row that is there stays as it is."""
    _insert(connection, job_histograms, job_id=job_id, counts=_sum_job(connection, job_id))


def list_unfolded(connection: Connection, job_id: int) -> list[int]:
    """Return the blocks of a job that are not added up: of a large job that went well, its last ones."""
    folded = select(histogram_parts.c.block).where(histogram_parts.c.job_id == job_id)
    return _missing_blocks(connection, job_id, set(connection.execute(folded).scalars()))


def read_job_counts(connection: Connection, job_ids: list[int]) -> dict[int, Counts]:
    """Return the counts of finished jobs by id; a job closed by an older release is added up now."""
    found = {row.job_id: row.counts for row in connection.execute(_JOB_COUNTS, {"job_ids": job_ids})}
    return found | {job_id: _sum_job(connection, job_id) for job_id in job_ids if job_id not in found}


def add_counts(total: Any, more: Any) -> Any:
    """Return the sum of two counts of the same form; missing parts count as 0."""
    if isinstance(more, dict) and isinstance(total, dict):
        summed = cast("Counts", total)
        for name, value in cast("Counts", more).items():
            known = summed.get(name)
            if known is None:
                summed[name] = value
            else:  # nearly all are numbers, and a call takes longer than the sum
                summed[name] = known + value if type(value) is int else add_counts(known, value)
        return summed
    if isinstance(more, list):
        return [one + other for one, other in zip(total, more, strict=True)]
    return total + more


def _sum_job(connection: Connection, job_id: int) -> Counts:
    """The sum of the parts, and of the shards of every block without one; a few of them in memory at once."""
    total, folded = _sum(()), set[int]()
    for block, counts in _read_parts(connection, job_id):
        total = _sum((total, counts))
        folded.add(block)
    # Asked after the parts were read: one that comes in now is counted by its shards, not twice.
    for block in _missing_blocks(connection, job_id, folded):
        total = _sum((total, _sum_block(connection, job_id, block)))
    return total


def _read_parts(connection: Connection, job_id: int) -> Iterator[tuple[int, Counts]]:
    last = -1
    while rows := connection.execute(_PARTS, {"job": job_id, "after": last}).all():
        yield from ((row.block, row.counts) for row in rows)
        last = rows[-1].block


def _missing_blocks(connection: Connection, job_id: int, folded: set[int]) -> list[int]:
    newest = connection.execute(select(func.max(shards.c.ordinal)).where(shards.c.job_id == job_id)).scalar()
    blocks = 0 if newest is None else newest // BLOCK_SHARDS + 1
    return [block for block in range(blocks) if block not in folded]


def _sum_block(connection: Connection, job_id: int, block: int) -> Counts:
    return _sum(dict(row) for row in connection.execute(_SHARDS, _limits(job_id, block)).mappings())


def _limits(job_id: int, block: int) -> dict[str, int]:
    return {"job": job_id, "first": block * BLOCK_SHARDS, "last": (block + 1) * BLOCK_SHARDS - 1}


def _sum(counted: Iterable[Counts]) -> Counts:
    """The sum of shards' counts, or of sums of them."""
    total: Counts = {"points": {}, "unscorable": 0, "fields": {}, "segments": {}, "migration": {}}
    canary: dict[str, Any] | None = None
    for one in counted:
        add_counts(total, {name: one[name] for name in total if one[name] is not None})
        canary = _worse(canary, one["canary"])
    return total | {"canary": canary}


def _insert(connection: Connection, table: Table, **values: Any) -> None:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(dialect.insert(table).values(**values).on_conflict_do_nothing())


def _worse(one: dict[str, Any] | None, other: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the canary check with more mismatches: one faulty process is enough."""
    if one is None or other is None:
        return other if one is None else one
    return max(one, other, key=lambda canary: (canary["mismatches"], canary["largest_difference"]))
