"""Pauses jobs when Redis refuses writes, and resumes automatic pauses when their cause is fixed."""

from logging import getLogger

from celery import Celery

from db.connections.engine import Engine
from db.ledger.automatic_pauses import Trouble, list_due, pause_waiting_jobs, prolong, resume_due
from db.schema.states import PauseCause
from scheduler.errors import RedisRefusesWritesError, RedisUnreachableError
from scheduler.loop.hint_dispatch import require_writable_redis

logger = getLogger(__name__)

WHO = "scheduler"


def pause_for_redis(engine: Engine, error: RedisRefusesWritesError, *, seconds: float) -> None:
    """Pause the jobs that wait for a message on a queue which Redis does not take."""
    trouble = Trouble(PauseCause.REDIS_REFUSES_WRITES, str(error), seconds)
    for job_id in pause_waiting_jobs(engine, trouble, who=WHO, queues=error.queues):
        logger.error("Job paused, Redis refuses to write: job %d: %s", job_id, error.reason)


def resume_healed_jobs(engine: Engine, producer: Celery, *, seconds: float) -> list[int]:
    """Let jobs whose pause is over go on, and return their ids.

    Redis is asked first. Disks and the database are not: they are the workers' own, and the first shard finds out.
    """
    due = list_due(engine)
    waits_for_redis = any(job.cause is PauseCause.REDIS_REFUSES_WRITES for job in due)
    refusal = _find_refusal(producer) if waits_for_redis else None
    resumed: list[int] = []
    for job in due:
        if job.cause is PauseCause.REDIS_REFUSES_WRITES and refusal is not None:
            prolong(engine, job.job_id, Trouble(job.cause, str(refusal), seconds))
        elif resume_due(engine, job.job_id, who=WHO):
            logger.info("Job continues after its pause: job %d.", job.job_id)
            resumed.append(job.job_id)
    return resumed


def _find_refusal(producer: Celery) -> RedisUnreachableError | None:
    try:
        require_writable_redis(producer)
    except RedisUnreachableError as error:
        return error
    return None
