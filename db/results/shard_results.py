"""Writes a shard's results: scores, rejects, histogram, counters and completion in one transaction."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine, insert, update

from db.connections.bulk_insert import copy_columns, copy_rows
from db.connections.clock import now_plus
from db.connections.engine import writing
from db.errors import DatabaseError, LeaseLostError
from db.events.event_log import record_event
from db.ledger.digests import score_digest
from db.ledger.job_closing import close_if_finished, count_shard_done
from db.ledger.shard_histograms import BLOCK_SHARDS, ShardMonitoring, fold_block
from db.ledger.shard_leases import Claim
from db.privacy.erased_keys import ErasureCount, find_erased, hold_off_erasures
from db.results.removals import note_removal
from db.results.shadow_scores import ShadowResult, insert_shadow
from db.schema.core_tables import rejects, scores, shards
from db.schema.monitoring_tables import shard_histograms
from db.schema.states import RemovalCause, ShardState


@dataclass(frozen=True)
class Reject:
    """Why one record could not be scored. `ordinal` is its position in the shard."""

    ordinal: int
    record_key: str | None
    field: str
    reason: str
    detail: str


@dataclass(frozen=True)
class ShardResult:
    """The result of a scored shard; the columns of scores (arrays or lists) have equal length.

    `reasons` are JSON arrays of reason codes, strongest first; None if none were asked for.
    """

    record_keys: Sequence[str] | NDArray[np.object_]
    probabilities: Sequence[float] | NDArray[np.float64]
    points: Sequence[int] | NDArray[np.int32]
    bands: Sequence[str] | NDArray[np.str_]
    rejects: Sequence[Reject]
    histogram: dict[str, int]
    digest: str
    data_digest: str
    reasons: Sequence[str] | None = None
    shadow: ShadowResult | None = None
    monitored: ShardMonitoring = field(default_factory=ShardMonitoring)

    @property
    def read_rows(self) -> int:
        """The number of records read: each is a score or a reject."""
        return len(self.record_keys) + len(self.rejects)


def complete_scored_shard(engine: Engine, claim: Claim, result: ShardResult, *, worker: str) -> bool:
    """Write the results and mark the shard done, all or nothing; return whether this closed the job.

    A person erased since the claim is counted as scored, like anyone erased later, but not written. Raises
    `LeaseLostError`, and writes nothing, if the token is no longer the shard's.
    """
    with writing(engine) as connection:
        erasures_before = ErasureCount(claim.job.portfolio, claim.erasures)
        were_erasures = hold_off_erasures(connection, erasures_before)
        _mark_done(connection, claim, result)
        stored = _without_erased(connection, claim, result, erasures_before) if were_erasures else result
        _insert_scores(connection, claim, stored)
        _insert_rejects(connection, claim, stored.rejects)
        _insert_histogram(connection, claim, stored, unscorable=len(result.rejects))
        if result.shadow is not None:
            insert_shadow(connection, claim, result.shadow)
        why = f"{len(result.record_keys):,} scored, {len(result.rejects):,} rejected"
        record_event(connection, "shard.done", who=worker, job_id=claim.job.id, shard_id=claim.shard_id, why=why)
        may_be_over = count_shard_done(
            connection,
            claim.job.id,
            scored=len(result.record_keys),
            rejected=len(result.rejects),
            unplanned=result.read_rows - claim.key_range.expected,
        )
        has_closed = may_be_over and close_if_finished(connection, claim.job.id)
    if not may_be_over and claim.job.shards_total > BLOCK_SHARDS:
        with suppress(DatabaseError):  # the shard is done; a block that is not added up now is when the job closes
            fold_block(engine, claim.job.id, claim.ordinal // BLOCK_SHARDS)
    return has_closed


def _mark_done(connection: Connection, claim: Claim, result: ShardResult) -> None:
    done = update(shards).where(
        shards.c.id == claim.shard_id, shards.c.token == claim.token, shards.c.state == ShardState.RUNNING
    )
    done = done.values(
        state=ShardState.DONE,
        lease_until=None,
        read_rows=result.read_rows,
        scored=len(result.record_keys),
        rejected=len(result.rejects),
        digest=result.digest,
        data_digest=result.data_digest,
        finished_at=now_plus(),
    )
    if connection.execute(done).rowcount != 1:
        raise LeaseLostError(claim.shard_id, claim.token)


def _insert_scores(connection: Connection, claim: Claim, result: ShardResult) -> None:
    columns = {
        "job_id": claim.job.id,
        "shard_id": claim.shard_id,
        "token": claim.token,
        "record_key": result.record_keys,
        "probability": result.probabilities,
        "points": result.points,
        "band": result.bands,
    }
    if result.reasons is not None:
        columns["reasons"] = result.reasons
    copy_columns(connection, scores, columns)


def _insert_rejects(connection: Connection, claim: Claim, rejected: Sequence[Reject]) -> None:
    if not rejected:
        return
    columns = ("job_id", "shard_id", "token", "ordinal", "record_key", "field", "reason", "detail")
    own = (claim.job.id, claim.shard_id, claim.token)
    rows = ((*own, one.ordinal, one.record_key, one.field, one.reason, one.detail) for one in rejected)
    copy_rows(connection, rejects, columns, rows)


def _without_erased(
    connection: Connection, claim: Claim, result: ShardResult, erasures_before: ErasureCount
) -> ShardResult:
    """Leave out erased persons, and record it like an erasure of stored results, so that both orders give the same."""
    keys = [str(key) for key in result.record_keys]
    erased = find_erased(connection, [*keys, *(one.record_key for one in result.rejects)], erasures_before)
    if not erased:
        return result
    is_kept = np.array([key not in erased for key in keys], dtype=bool)
    gone = _chosen(result, ~is_kept)
    digest = score_digest(gone.record_keys, gone.probabilities, str(claim.job.model_version))
    rejected = [one for one in result.rejects if one.record_key not in erased]
    counts = {"scores": len(gone.record_keys), "rejects": len(result.rejects) - len(rejected)}
    note_removal(connection, claim.job.id, RemovalCause.ERASURE, digest=digest, **counts)
    no_bands = replace(result.monitored, keys_hash=None, bands=None)
    return replace(_chosen(result, is_kept), rejects=rejected, monitored=no_bands)


def _chosen(result: ShardResult, chosen: NDArray[np.bool_]) -> ShardResult:
    return replace(
        result,
        record_keys=np.asarray(result.record_keys, dtype=object)[chosen],
        probabilities=np.asarray(result.probabilities, dtype=np.float64)[chosen],
        points=np.asarray(result.points)[chosen],
        bands=np.asarray(result.bands)[chosen],
        reasons=None if result.reasons is None else np.asarray(result.reasons, dtype=object)[chosen].tolist(),
    )


def _insert_histogram(connection: Connection, claim: Claim, result: ShardResult, *, unscorable: int) -> None:
    values = {"shard_id": claim.shard_id, "job_id": claim.job.id, "points": result.histogram}
    values |= {"unscorable": unscorable, **vars(result.monitored)}
    connection.execute(insert(shard_histograms).values(**values))
