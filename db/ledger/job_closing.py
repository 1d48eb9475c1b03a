"""Closes jobs exactly once, when the last shard is finished, with all consequences in the same transaction."""

from typing import Any

from sqlalchemy import Connection, Engine, select, update

from db.connections.clock import now_plus
from db.connections.engine import reading, writing
from db.errors import LeaseLostError
from db.events.event_log import record_event
from db.events.wording import counted
from db.ledger.digests import sum_digests
from db.ledger.expired_leases import ExpiredLease, is_still_expired
from db.ledger.job_lifecycle import Job, find_job, insert_follow_up
from db.ledger.shard_histograms import fold_block, fold_histograms, list_unfolded
from db.ledger.shard_leases import Claim
from db.schema.core_tables import jobs, shards
from db.schema.states import ACTIVE_JOB_STATES, ENDED_JOB_STATES, FailureCause, JobKind, JobState, JobTask, ShardState

_DIGESTS_AT_ONCE = 10_000
_MOST_UNFOLDED = 8  # blocks that may be added up within the transaction that closes a job, about 50 ms each


def count_shard_done(connection: Connection, job_id: int, *, scored: int, rejected: int, unplanned: int) -> bool:
    """Count one finished shard on the job row, in the caller's transaction; return whether the job may be over.

    `unplanned` is the number of records read minus the number counted at planning.
    """
    counted = update(jobs).where(jobs.c.id == job_id, jobs.c.state.in_(ACTIVE_JOB_STATES))
    counted = counted.values(
        shards_open=jobs.c.shards_open - 1,
        scored=jobs.c.scored + scored,
        rejected=jobs.c.rejected + rejected,
        inputs=jobs.c.inputs + unplanned,
    )
    still_open = connection.execute(counted.returning(jobs.c.shards_open)).scalar()
    return still_open is not None and still_open <= 0


def close_if_finished(connection: Connection, job_id: int) -> bool:
    """Close a running job that has no open shard; return whether this call did it.

    Counting locks the row, so of two last shards the second one sees zero. A job whose
    histograms would take too long here (one under way at an upgrade) is left to the sweep.
    """
    job = find_job(connection, job_id)
    if job.state not in ACTIVE_JOB_STATES or job.shards_open > 0:
        return False
    cause, detail = _judge(job)
    state = JobState.DONE if cause is None else JobState.FAILED
    has_counts = job.kind is JobKind.SCORING and state is JobState.DONE
    if has_counts and len(list_unfolded(connection, job_id)) > _MOST_UNFOLDED:
        return False
    closed = update(jobs).where(jobs.c.id == job_id, jobs.c.state.in_(ACTIVE_JOB_STATES), jobs.c.shards_open == 0)
    ending = {"cause": cause, "detail": detail, "resume_at": None}
    closed = closed.values(state=state, finished_at=now_plus(), **ending, **_digests(connection, job))
    if connection.execute(closed).rowcount != 1:
        return False
    record_event(connection, f"job.{state}", who="tidemark", job_id=job_id, why=detail or "")
    if has_counts:
        fold_histograms(connection, job_id)
        insert_follow_up(connection, JobTask.NIGHT, job)
    return True


def fail_shard(engine: Engine, claim: Claim, error: str, *, worker: str) -> None:
    """Fail a shard after too many attempts; its job continues with the others and fails at the end."""
    with writing(engine) as connection:
        _end_shard(connection, claim, ShardState.FAILED, error=error)
        _count_shard_failed(connection, claim.job.id, claim.shard_id, error, who=worker)


def fail_expired_shard(engine: Engine, expired: ExpiredLease) -> bool:
    """End a shard whose worker died in its last attempt; False if the worker finished or renewed in the meantime."""
    error = f"the worker {expired.worker} sent no heartbeat within its lease, attempt {expired.attempt}"
    with writing(engine) as connection:
        ended = update(shards).where(is_still_expired(expired))
        ended = ended.values(state=ShardState.FAILED, lease_until=None, error=error, finished_at=now_plus())
        if connection.execute(ended).rowcount != 1:
            return False
        _count_shard_failed(connection, expired.job_id, expired.shard_id, error, who="scheduler")
    return True


def complete_whole_job(
    connection: Connection, claim: Claim, *, result: dict[str, Any], model_version: str | None = None
) -> None:
    """Finish a job of one shard (training, monitoring) in the caller's transaction, together with its results.

    Raises `LeaseLostError`, so that the caller's transaction writes nothing, if the token is no longer the shard's.
    """
    worker = _end_shard(connection, claim, ShardState.DONE)
    record_event(connection, "shard.done", who=worker, job_id=claim.job.id, shard_id=claim.shard_id)
    values: dict[str, Any] = {"result": result, "shards_open": 0, "state": JobState.DONE, "finished_at": now_plus()}
    values |= {"cause": None, "detail": None, "resume_at": None}
    if model_version is not None:
        values["model_version"] = model_version
    done = update(jobs).where(jobs.c.id == claim.job.id, jobs.c.state.in_(ACTIVE_JOB_STATES)).values(**values)
    if connection.execute(done).rowcount != 1:
        raise LeaseLostError(claim.shard_id, claim.token)
    record_event(connection, "job.done", who="tidemark", job_id=claim.job.id)


def list_finished_jobs(engine: Engine) -> list[int]:
    """Return running jobs without an open shard, which the sweep has to close."""
    statement = select(jobs.c.id).where(jobs.c.state.in_(ACTIVE_JOB_STATES), jobs.c.shards_open == 0)
    with reading(engine) as connection:
        return list(connection.execute(statement.order_by(jobs.c.id)).scalars())


def close_finished_job(engine: Engine, job_id: int, *, most_blocks: int = 50) -> bool:
    """Close a running job that has no open shard; return whether this call did it.

    A job with more than `most_blocks` to add up is closed by a later call: the scheduler has other duties.
    """
    _fold_unfolded(engine, job_id, most_blocks)
    with writing(engine) as connection:
        return close_if_finished(connection, job_id)


def close_finished_jobs(engine: Engine, *, limit: int = 100, most_blocks: int = 50) -> list[int]:
    """Close running jobs without an open shard, at most `limit`; return their ids."""
    found = list_finished_jobs(engine)[:limit]
    return [job_id for job_id in found if close_finished_job(engine, job_id, most_blocks=most_blocks)]


def _fold_unfolded(engine: Engine, job_id: int, most_blocks: int) -> None:
    with reading(engine) as connection:
        unfolded = list_unfolded(connection, job_id)
    if len(unfolded) > _MOST_UNFOLDED:
        for block in unfolded[:most_blocks]:
            fold_block(engine, job_id, block)


def cancel_orphan_shards(engine: Engine) -> int:
    """Cancel waiting shards of jobs that ended while they were being planned; return how many."""
    ended_jobs = select(jobs.c.id).where(jobs.c.state.in_(ENDED_JOB_STATES))
    orphans = update(shards).where(shards.c.state == ShardState.WAITING, shards.c.job_id.in_(ended_jobs))
    orphans = orphans.values(state=ShardState.CANCELLED, finished_at=now_plus())
    with writing(engine) as connection:
        cancelled = connection.execute(orphans.returning(shards.c.id, shards.c.job_id)).all()
        for shard_id, job_id in cancelled:
            why = "its job ended while it was being planned"
            record_event(connection, "shard.cancelled", who="scheduler", job_id=job_id, shard_id=shard_id, why=why)
        return len(cancelled)


def _count_shard_failed(connection: Connection, job_id: int, shard_id: int, error: str, *, who: str) -> None:
    counted = update(jobs).where(jobs.c.id == job_id, jobs.c.state.in_(ACTIVE_JOB_STATES))
    counted = counted.values(shards_open=jobs.c.shards_open - 1, shards_failed=jobs.c.shards_failed + 1)
    connection.execute(counted)
    record_event(connection, "shard.failed", who=who, job_id=job_id, shard_id=shard_id, why=error)
    close_if_finished(connection, job_id)


def _judge(job: Job) -> tuple[FailureCause | None, str | None]:
    if job.shards_failed:
        return FailureCause.SHARD_FAILED, f"{job.shards_failed:,} of {counted(job.shards_total, 'shard')} failed"
    budget = job.definition.reject_budget
    if job.rejected > budget * job.inputs:
        share = job.rejected / job.inputs
        detail = (
            f"{job.rejected:,} of {counted(job.inputs, 'record')} rejected ({share:.2%}), the budget is {budget:.2%}"
        )
        return FailureCause.REJECT_BUDGET, detail
    return None, None


def _digests(connection: Connection, job: Job) -> dict[str, str]:
    """Sums modulo 2**256 of the shards' digests: independent of how the job was cut and in which order it ran."""
    if job.kind is not JobKind.SCORING:
        return {}
    columns = (shards.c.ordinal, shards.c.digest, shards.c.data_digest)
    done = select(*columns).where(shards.c.job_id == job.id, shards.c.state == ShardState.DONE)
    page = done.order_by(shards.c.ordinal).limit(_DIGESTS_AT_ONCE)
    last, digest, data_digest = -1, sum_digests(()), sum_digests(())
    while rows := connection.execute(page.where(shards.c.ordinal > last)).all():
        digest = sum_digests((digest, *(row.digest for row in rows)))
        data_digest = sum_digests((data_digest, *(row.data_digest for row in rows)))
        last = rows[-1].ordinal
    return {"digest": digest, "data_fingerprint": data_digest}


def _end_shard(connection: Connection, claim: Claim, state: ShardState, *, error: str | None = None) -> str:
    """End a shard that is still the claim's; return its worker."""
    ended = update(shards).where(
        shards.c.id == claim.shard_id, shards.c.token == claim.token, shards.c.state == ShardState.RUNNING
    )
    ended = ended.values(state=state, lease_until=None, error=error, finished_at=now_plus())
    worker = connection.execute(ended.returning(shards.c.worker)).scalars().all()
    if len(worker) != 1:
        raise LeaseLostError(claim.shard_id, claim.token)
    return str(worker[0])
