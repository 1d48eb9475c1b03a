"""Automatic pauses of jobs that cannot write through no fault of their own, and their automatic end."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Engine, exists, select, update

from db.connections.clock import now_plus
from db.connections.engine import reading, writing
from db.events.event_log import record_event
from db.ledger.shard_leases import Claim, free_shard
from db.schema.core_tables import jobs, shards
from db.schema.states import ALL_QUEUES, JobState, PauseCause, ShardState

_LONGEST_DETAIL = 2000


@dataclass(frozen=True)
class Trouble:
    """What prevents jobs from continuing, as a code and a sentence, and when to try again."""

    cause: PauseCause
    detail: str
    seconds: float


@dataclass(frozen=True)
class PausedJob:
    """A job whose automatic pause is over: it is tried again to see whether the cause is fixed."""

    job_id: int
    cause: PauseCause


def pause_claimed(engine: Engine, claim: Claim, trouble: Trouble, *, worker: str) -> None:
    """Release the shard without counting an attempt, and pause its job until `resume_due`, in one transaction."""
    with writing(engine) as connection:
        free_shard(connection, claim, worker=worker, why=trouble.detail)
        _pause(connection, claim.job.id, trouble, who=worker)


def pause_waiting_jobs(
    engine: Engine, trouble: Trouble, *, who: str, queues: Collection[str] = ALL_QUEUES
) -> list[int]:
    """Pause every running job that has a shard waiting on one of the queues; return their ids."""
    waits = exists().where(
        shards.c.job_id == jobs.c.id, shards.c.state == ShardState.WAITING, shards.c.queue.in_(queues)
    )
    with writing(engine) as connection:
        running = select(jobs.c.id).where(jobs.c.state == JobState.RUNNING, waits).order_by(jobs.c.id)
        job_ids = list(connection.execute(running).scalars())
        return [job_id for job_id in job_ids if _pause(connection, job_id, trouble, who=who)]


def list_due(engine: Engine) -> list[PausedJob]:
    """Return automatically paused jobs that are due for another try."""
    statement = select(jobs.c.id, jobs.c.cause).where(_is_due()).order_by(jobs.c.id)
    with reading(engine) as connection:
        return [PausedJob(row.id, PauseCause(row.cause)) for row in connection.execute(statement)]


def resume_due(engine: Engine, job_id: int, *, who: str) -> bool:
    """Resume a job whose pause is over; return False if a person or another scheduler was first."""
    with writing(engine) as connection:
        resumed = update(jobs).where(jobs.c.id == job_id, _is_due())
        resumed = resumed.values(state=JobState.RUNNING, cause=None, detail=None, resume_at=None)
        has_resumed = connection.execute(resumed).rowcount == 1
        if has_resumed:
            record_event(
                connection, "job.resumed", who=who, job_id=job_id, why="its pause is over; it is running again"
            )
    return has_resumed


def prolong(engine: Engine, job_id: int, trouble: Trouble) -> None:
    """Extend an automatic pause, because its cause is not fixed."""
    with writing(engine) as connection:
        _tell(connection, job_id, trouble)


def _pause(connection: Connection, job_id: int, trouble: Trouble, *, who: str) -> bool:
    paused = update(jobs).where(jobs.c.id == job_id, jobs.c.state == JobState.RUNNING)
    if connection.execute(paused.values(state=JobState.PAUSED, **_values(trouble))).rowcount != 1:
        _tell(connection, job_id, trouble)
        return False
    record_event(connection, "job.paused", who=who, job_id=job_id, why=f"{trouble.cause}: {trouble.detail}")
    return True


def _tell(connection: Connection, job_id: int, trouble: Trouble) -> None:
    """A job paused by a person has no time to resume at, so it stays paused."""
    by_itself = (jobs.c.state == JobState.PAUSED) & jobs.c.resume_at.is_not(None)
    connection.execute(update(jobs).where(jobs.c.id == job_id, by_itself).values(**_values(trouble)))


def _values(trouble: Trouble) -> dict[str, object]:
    detail = trouble.detail[:_LONGEST_DETAIL]
    return {"cause": trouble.cause, "detail": detail, "resume_at": now_plus(trouble.seconds)}


def _is_due() -> ColumnElement[bool]:
    return (jobs.c.state == JobState.PAUSED) & (jobs.c.resume_at <= now_plus())
