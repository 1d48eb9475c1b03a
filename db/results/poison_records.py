"""Finds the record that kills its worker: splits a shard in half until the record is alone, then rejects it.

shard of n records, killed its worker `max_attempts` times -> two shards of n / 2, one attempt each
shard of one key, the same                                 -> its records are rejected as `poison`
"""

from contextlib import nullcontext
from dataclasses import dataclass

import pandas as pd
from sqlalchemy import Connection, Engine, func, insert, select, update

from db.connections.bulk_insert import copy_rows
from db.connections.clock import now_plus
from db.connections.engine import reading, writing
from db.connections.interruption import Interruption
from db.errors import SourceError
from db.events.event_log import record_event
from db.events.wording import counted
from db.ledger.digests import data_digest, sum_digests
from db.ledger.expired_leases import ExpiredLease, is_still_expired
from db.ledger.job_closing import close_if_finished, count_shard_done, fail_expired_shard
from db.ledger.job_lifecycle import Job, find_job
from db.ledger.shard_leases import row_of_shard
from db.privacy.erased_keys import ErasureCount, count_erasures, find_erased, hold_off_erasures
from db.privacy.key_hashing import stored_keys
from db.privacy.key_secret import require_key_secret
from db.registry.versions import get_model
from db.results.removals import note_removal
from db.schema.core_tables import jobs, rejects, shards
from db.schema.monitoring_tables import shard_histograms
from db.schema.states import ACTIVE_JOB_STATES, RemovalCause, ShardState
from db.sources.source_table import RECORD_KEY, ROW, KeyRange, cut_in_two, read_range

POISON = "poison"
_WHO = "scheduler"


@dataclass(frozen=True)
class _Suspect:
    job: Job
    key_range: KeyRange
    claimed: ErasureCount
    found: ErasureCount


def isolate_poison(
    engine: Engine,
    expired: ExpiredLease,
    *,
    max_attempts: int,
    key_secret: str | None = None,
    interruption: Interruption | None = None,
) -> bool:
    """Split a shard whose workers died, or reject its only key; False if its worker finished in the meantime.

    Raises `SourceBusyError` if the source may be readable another time, or the `interruption` came.
    """
    suspect = _read_suspect(engine, expired)
    definition = suspect.job.definition
    try:
        with reading(engine) as connection, interruption.of(connection) if interruption else nullcontext():
            halves = cut_in_two(connection, definition.records, definition.key, suspect.key_range)
        if halves:
            return _split(engine, expired, suspect, halves, max_attempts=max_attempts)
        if suspect.key_range.holds_missing_keys:  # no network sees these records, so none of them is the cause
            return fail_expired_shard(engine, expired)
        return _reject(engine, expired, suspect, key_secret)
    except SourceError:  # nothing can be learnt of its records
        return fail_expired_shard(engine, expired)


def _read_suspect(engine: Engine, expired: ExpiredLease) -> _Suspect:
    columns = (shards.c.key_after, shards.c.key_upto, shards.c.expected, shards.c.holds_missing_keys)
    columns = (*columns, shards.c.claimed_erasures)
    with reading(engine) as connection:
        row = connection.execute(select(*columns).where(shards.c.id == expired.shard_id)).one()
        job = find_job(connection, expired.job_id)
        found = count_erasures(connection, job.portfolio)
    return _Suspect(job, KeyRange(*row[:4]), ErasureCount(job.portfolio, row.claimed_erasures), found)


def _split(
    engine: Engine, expired: ExpiredLease, suspect: _Suspect, halves: list[KeyRange], *, max_attempts: int
) -> bool:
    job = suspect.job
    unplanned = sum(half.expected for half in halves) - suspect.key_range.expected
    with writing(engine) as connection:
        if hold_off_erasures(connection, suspect.found):
            return False  # the cut may be an erased key; the next sweep cuts again
        ended = update(shards).where(is_still_expired(expired))
        ended = ended.values(state=ShardState.SPLIT, lease_until=None, finished_at=now_plus())
        if connection.execute(ended).rowcount != 1:
            return False
        last = connection.execute(select(func.max(shards.c.ordinal)).where(shards.c.job_id == job.id)).scalar_one()
        for step, half in enumerate(halves, start=1):
            # Halves are suspects with one attempt; a single record is only condemned after all of them.
            attempt = max_attempts - 1 if half.expected > 1 else 0
            connection.execute(insert(shards).values(row_of_shard(job, last + step, half) | {"attempt": attempt}))
        grown = update(jobs).where(jobs.c.id == job.id, jobs.c.state.in_(ACTIVE_JOB_STATES))
        grown = grown.values(
            shards_total=jobs.c.shards_total + 1,
            shards_open=jobs.c.shards_open + 1,
            inputs=jobs.c.inputs + unplanned,
        )
        connection.execute(grown)
        why = f"its workers died; split into {halves[0].expected:,} and {counted(halves[1].expected, 'record')}"
        record_event(connection, "shard.split", who=_WHO, job_id=job.id, shard_id=expired.shard_id, why=why)
    return True


def _reject(engine: Engine, expired: ExpiredLease, suspect: _Suspect, key_secret: str | None) -> bool:
    job, key = suspect.job, suspect.job.definition.key
    columns = get_model(engine, str(job.model_version)).definition.input_columns
    frame = read_range(engine, job.definition.records, key, columns, suspect.key_range)
    require_key_secret(engine, job.definition, key_secret)
    record_keys = stored_keys(job.definition, key_secret, _texts_of(frame[RECORD_KEY]))
    detail = f"scoring it killed the worker in {counted(expired.attempt, 'attempt')}, most recently {expired.worker}"
    with writing(engine) as connection:
        were_erasures = hold_off_erasures(connection, suspect.claimed)
        done = update(shards).where(is_still_expired(expired))
        done = done.values(
            state=ShardState.DONE,
            lease_until=None,
            read_rows=len(frame),
            rejected=len(frame),
            digest=sum_digests([]),
            data_digest=data_digest(frame.drop(columns=[ROW])),
            finished_at=now_plus(),
        )
        if connection.execute(done).rowcount != 1:
            return False
        if were_erasures:
            record_keys = _without_erased(connection, suspect, record_keys)
        _insert_rejects(connection, expired, record_keys, key, detail)
        values = {"shard_id": expired.shard_id, "job_id": job.id, "points": {}, "unscorable": len(frame)}
        connection.execute(insert(shard_histograms).values(**values))
        record_event(connection, "shard.poison", who=_WHO, job_id=job.id, shard_id=expired.shard_id, why=detail)
        unplanned = len(frame) - suspect.key_range.expected
        count_shard_done(connection, job.id, scored=0, rejected=len(frame), unplanned=unplanned)
        close_if_finished(connection, job.id)
    return True


def _without_erased(connection: Connection, suspect: _Suspect, record_keys: list[str | None]) -> list[str | None]:
    erased = find_erased(connection, record_keys, suspect.claimed)
    kept = [key for key in record_keys if key not in erased]
    if erased:
        gone = {"scores": 0, "rejects": len(record_keys) - len(kept)}
        note_removal(connection, suspect.job.id, RemovalCause.ERASURE, digest=None, **gone)
    return kept


def _insert_rejects(
    connection: Connection, expired: ExpiredLease, record_keys: list[str | None], key: str, detail: str
) -> None:
    columns = ("job_id", "shard_id", "token", "ordinal", "record_key", "field", "reason", "detail")
    own = (expired.job_id, expired.shard_id, expired.token)
    rows = ((*own, ordinal, record_key, key, POISON, detail) for ordinal, record_key in enumerate(record_keys))
    copy_rows(connection, rejects, columns, rows)


def _texts_of(column: pd.Series) -> list[str | None]:
    return column.astype("object").where(column.notna(), None).tolist()
