"""Pauses, resumes and retries jobs at the request of a person."""

from typing import Any

from sqlalchemy import Connection, Engine, update

from db.connections.clock import now_plus
from db.connections.engine import writing
from db.errors import StateConflictError
from db.events.event_log import record_event, record_shard_events
from db.events.wording import counted
from db.ledger.job_lifecycle import Job, find_job
from db.schema.core_tables import jobs, shards
from db.schema.states import JobState, ShardState

_NO_CAUSE: dict[str, Any] = {"cause": None, "detail": None, "resume_at": None}
_UNPLANNED: dict[str, Any] = {"planning_until": None, "planning_attempts": None}
_NOT_ENDED: dict[str, Any] = {"finished_at": None, "shards_failed": 0} | _NO_CAUSE | _UNPLANNED


def pause_job(engine: Engine, job_id: int, *, who: str, why: str = "") -> Job:
    """Pause the job: start no more of its shards; running shards finish. Pausing twice is harmless.

    An automatic pause becomes a manual one. Raises `StateConflictError` for a job that has ended.
    """
    with writing(engine) as connection:
        can_pause = jobs.c.state.in_((JobState.QUEUED, JobState.RUNNING)) | jobs.c.resume_at.is_not(None)
        paused = update(jobs).where(jobs.c.id == job_id, can_pause).values(state=JobState.PAUSED, **_NO_CAUSE)
        has_paused = connection.execute(paused).rowcount == 1
        job = find_job(connection, job_id)
        if has_paused:
            record_event(connection, "job.paused", who=who, job_id=job_id, why=why)
        elif job.state is not JobState.PAUSED:
            raise StateConflictError(f"job {job_id} is {job.state}; only a queued or running job can be paused")
    return job


def resume_job(engine: Engine, job_id: int, *, who: str, why: str = "") -> Job:
    """Continue a paused job where it stopped. Resuming twice is harmless.

    Raises `StateConflictError` for a job that has ended.
    """
    with writing(engine) as connection:
        is_paused = (jobs.c.id == job_id) & (jobs.c.state == JobState.PAUSED)
        # A job that was paused before it was cut into shards is still to be planned.
        planned = update(jobs).where(is_paused, jobs.c.shards_total > 0).values(state=JobState.RUNNING, **_NO_CAUSE)
        unplanned = update(jobs).where(is_paused, jobs.c.shards_total == 0).values(state=JobState.QUEUED, **_NO_CAUSE)
        has_resumed = any(connection.execute(one).rowcount == 1 for one in (planned, unplanned))
        job = find_job(connection, job_id)
        if has_resumed:
            record_event(connection, "job.resumed", who=who, job_id=job_id, why=why)
        elif not job.is_open:
            raise StateConflictError(f"job {job_id} is {job.state}; only a paused job can be resumed")
    return job


def retry_job(engine: Engine, job_id: int, *, who: str, why: str = "") -> Job:
    """Run the failed shards of a failed job again; finished shards and the event log are kept.

    Raises `StateConflictError` for a job that has not failed, or that has no shard left to try.
    """
    with writing(engine) as connection:
        # Shards before the job, as everywhere: two transactions that lock in one order cannot deadlock.
        shard_ids = _revive_shards(connection, job_id)
        revived = len(shard_ids)
        job = find_job(connection, job_id)
        if job.state is not JobState.FAILED:
            raise StateConflictError(f"job {job_id} is {job.state}; only a failed job can be retried")
        if revived == 0 and job.shards_total > 0:
            raise StateConflictError(
                f"job {job_id} has no failed shard to retry: {job.detail}. Correct the records and submit a new job."
            )
        state = JobState.RUNNING if revived else JobState.QUEUED
        again = update(jobs).where(jobs.c.id == job_id, jobs.c.state == JobState.FAILED)
        connection.execute(again.values(state=state, shards_open=revived, **_NOT_ENDED))
        record_shard_events(connection, "shard.retried", shard_ids, who=who, why=why, job_id=job_id)
        retried = counted(revived, "shard") if revived else "from the start"
        record_event(connection, "job.retried", who=who, job_id=job_id, why=f"{retried}{': ' + why if why else ''}")
        return find_job(connection, job_id)


def _revive_shards(connection: Connection, job_id: int) -> list[int]:
    """Failed shards, and those cancelled because their job failed, wait again with all their attempts."""
    has_failed = jobs.select().with_only_columns(jobs.c.id).where(jobs.c.state == JobState.FAILED)
    ended = shards.c.state.in_((ShardState.FAILED, ShardState.CANCELLED))
    revived = update(shards).where(shards.c.job_id == job_id, shards.c.job_id.in_(has_failed), ended)
    revived = revived.values(
        state=ShardState.WAITING,
        attempt=0,
        worker=None,
        finished_at=None,
        hinted_at=None,
        available_at=now_plus(),
    )
    return list(connection.execute(revived.returning(shards.c.id)).scalars())
