"""Removes the results of old jobs in small batches, as their portfolios specify."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Engine, Table, delete, exists, select, update

from db.connections.clock import now_plus
from db.connections.engine import reading, writing
from db.events.event_log import record_event
from db.monitoring.night_bands import forget_bands
from db.portfolios.catalog import list_portfolios
from db.privacy.erased_keys import ErasureCount, forget_marks, hold_off_erasures
from db.results.removals import note_removal
from db.schema.core_tables import jobs, rejects, scores, shards
from db.schema.states import ENDED_JOB_STATES, JobState, RemovalCause

CHUNK_ROWS = 10_000
_SECONDS_OF_A_DAY = 24 * 3600.0


@dataclass(frozen=True)
class _Old:
    """Results of one job that are past their retention period."""

    job_id: int
    portfolio: str
    table: Table


def apply_retention(engine: Engine, *, most_chunks: int = 10) -> int:
    """Remove results past their retention period, at most so many chunks; return the number of rows.

    Each chunk is its own transaction, so that others wait only briefly. Jobs, counts and digests are kept.
    """
    removed = 0
    forget_boundaries(engine)
    forget_marks(engine)
    for _ in range(most_chunks):
        old = _find_old(engine)
        if old is None:
            break
        removed += _remove_chunk(engine, old)
    return removed


def forget_boundaries(engine: Engine) -> int:
    """Delete the key ranges of finished jobs, in portfolios that store only hashed keys."""
    hiding = [one.name for one in list_portfolios(engine) if one.definition.privacy.hashed_keys]
    if not hiding:
        return 0
    done = select(jobs.c.id).where(jobs.c.portfolio.in_(hiding), jobs.c.state == JobState.DONE)
    forgotten = update(shards).where(shards.c.job_id.in_(done), shards.c.key_upto.is_not(None))
    with writing(engine) as connection:
        return connection.execute(forgotten.values(key_after=None, key_upto=None)).rowcount


def _find_old(engine: Engine) -> _Old | None:
    for portfolio in list_portfolios(engine):
        policy = portfolio.definition.privacy
        for table, days in ((scores, policy.scores_days), (rejects, policy.rejects_days)):
            if days is None:
                continue
            with reading(engine) as connection:
                job_id = connection.execute(_select_old(table, portfolio.name, days)).scalar()
            if job_id is not None:
                return _Old(job_id, portfolio.name, table)
    return None


def _select_old(table: Table, portfolio: str, days: float):  # noqa: ANN202 - a statement
    is_over: ColumnElement[bool] = jobs.c.finished_at < now_plus(-days * _SECONDS_OF_A_DAY)
    holds_rows = exists(table.c.job_id).where(table.c.job_id == jobs.c.id)
    ended = jobs.c.state.in_(tuple(ENDED_JOB_STATES))
    return select(jobs.c.id).where(jobs.c.portfolio == portfolio, ended, is_over, holds_rows).limit(1)


def _remove_chunk(engine: Engine, old: _Old) -> int:
    table = old.table
    with writing(engine) as connection:
        hold_off_erasures(connection, ErasureCount(old.portfolio, 0))  # both would count the same rows as removed
        if table is scores:
            of_job = select(scores.c.record_key).where(scores.c.job_id == old.job_id).order_by(scores.c.record_key)
            last = connection.execute(of_job.limit(1).offset(CHUNK_ROWS - 1)).scalar()
            chosen = scores.c.job_id == old.job_id
            chosen = chosen if last is None else chosen & (scores.c.record_key <= last)
            forget_bands(connection, old.job_id)
        else:
            # Whole shards, as many as together have that many rows.
            of_job = select(rejects.c.shard_id).where(rejects.c.job_id == old.job_id)
            of_job = of_job.order_by(rejects.c.shard_id, rejects.c.ordinal)
            last = connection.execute(of_job.limit(1).offset(CHUNK_ROWS - 1)).scalar()
            chosen = rejects.c.job_id == old.job_id
            chosen = chosen if last is None else chosen & (rejects.c.shard_id <= last)
        count = connection.execute(delete(table).where(chosen)).rowcount
        gone = {"scores": count, "rejects": 0} if table is scores else {"scores": 0, "rejects": count}
        note_removal(connection, old.job_id, RemovalCause.RETENTION, digest=None, **gone)
        if not _has_rows(connection, old):
            removed = table.name.removeprefix("tidemark_")
            why = f"the {removed} were removed at the end of the portfolio's retention period"
            record_event(connection, "job.results_removed", who="retention", why=why, job_id=old.job_id)
    return count


def _has_rows(connection: Connection, old: _Old) -> bool:
    rows = select(old.table.c.job_id).where(old.table.c.job_id == old.job_id).limit(1)
    return connection.execute(rows).first() is not None
