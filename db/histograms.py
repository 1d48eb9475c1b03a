"""What shards count for the monitor, and the sum over a job: exact by (job, shard), made once when the job closes."""

from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite

from db.monitoring_tables import job_histograms, shard_histograms

_JOB_COUNTS = select(job_histograms.c.job_id, job_histograms.c.counts).where(
    job_histograms.c.job_id.in_(bindparam("job_ids", expanding=True))
)

Counts = dict[str, Any]  # numbers, lists and further counts by name; adding is all that is ever done with them


@dataclass(frozen=True)
class ShardMonitoring:
    """What one shard counted beside its scores, None where it had no ground to.

    `fields` are records per bin of the model's reference, `segments` histograms of points by column and value,
    `migration` records by band of the night before and band; `canary` is no count, it is the worst check. `bands` are
    those of the scored records in order, a letter each, and `keys_hash` tells whose.
    """

    fields: Counts | None = None
    segments: Counts | None = None
    migration: Counts | None = None
    canary: dict[str, Any] | None = None
    keys_hash: str | None = None
    bands: bytes | None = None


def fold_histograms(connection: Connection, job_id: int) -> None:
    """Add up a job's shards into one row, in the caller's transaction; a row that is there stays as it is."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    folded = dialect.insert(job_histograms).values(job_id=job_id, counts=_sum_shards(connection, job_id))
    connection.execute(folded.on_conflict_do_nothing())


def read_job_counts(connection: Connection, job_ids: list[int]) -> dict[int, Counts]:
    """Return the counts of finished jobs by id; a job that was closed by an older release is added up now."""
    found = {row.job_id: row.counts for row in connection.execute(_JOB_COUNTS, {"job_ids": job_ids})}
    return found | {job_id: _sum_shards(connection, job_id) for job_id in job_ids if job_id not in found}


def add_counts(total: Any, more: Any) -> Any:
    """Return the sum of two counts of one form; what one of them lacks counts as nothing."""
    if isinstance(more, dict) and isinstance(total, dict):
        summed = cast("Counts", total)
        for name, value in cast("Counts", more).items():
            summed[name] = add_counts(summed[name], value) if name in summed else value
        return summed
    if isinstance(more, list):
        return [one + other for one, other in zip(total, more, strict=True)]
    return total + more


def _sum_shards(connection: Connection, job_id: int) -> Counts:
    total: Counts = {"points": {}, "unscorable": 0, "fields": {}, "segments": {}, "migration": {}}
    columns = (shard_histograms.c[name] for name in (*total, "canary"))
    rows = connection.execute(select(*columns).where(shard_histograms.c.job_id == job_id))
    canary: dict[str, Any] | None = None
    for row in rows:
        add_counts(total, {name: getattr(row, name) for name in total if getattr(row, name) is not None})
        canary = _worse(canary, row.canary)
    return total | {"canary": canary}


def _worse(one: dict[str, Any] | None, other: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the canary with more mismatches: one process that scores wrongly is enough."""
    if one is None or other is None:
        return other if one is None else one
    return max(one, other, key=lambda canary: (canary["mismatches"], canary["largest_difference"]))
