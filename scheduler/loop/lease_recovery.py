"""Recovers the shards of dead workers, closes finished jobs, cancels jobs that no worker can process."""

from collections.abc import Callable
from logging import getLogger

from db.connections.engine import Engine
from db.errors import DatabaseUnreachableError, DatabaseWriteRefusedError
from db.ledger.expired_leases import ExpiredLease, list_expired, take_back
from db.ledger.job_closing import cancel_orphan_shards, close_finished_job, fail_expired_shard, list_finished_jobs
from db.results.poison_records import isolate_poison
from worker.contract.messages import SCORING_QUEUE

logger = getLogger(__name__)

PAGE = 500


def sweep(engine: Engine, *, max_attempts: int, key_secret: str | None = None, page: int = PAGE) -> int:
    """Do every duty of recovery once; return how many shards were freed from their lease."""
    freed = sweep_leases(engine, max_attempts=max_attempts, key_secret=key_secret, page=page)
    close_what_ended(engine)
    return freed


def sweep_leases(
    engine: Engine,
    *,
    max_attempts: int,
    key_secret: str | None = None,
    page: int = PAGE,
    isolate: Callable[[ExpiredLease], bool] | None = None,
) -> int:
    """Take back the shards whose lease is over; return how many were freed.

    One shard at a time, each in its own transaction, page after page: those that cannot be saved never hide the others.
    `isolate` looks for the poison of a shard that killed its workers, by default here and now.
    """

    def free(engine: Engine, expired: ExpiredLease) -> bool:
        if expired.attempt < max_attempts:
            return take_back(engine, expired)
        if expired.queue != SCORING_QUEUE:
            return fail_expired_shard(engine, expired)
        if isolate is not None:
            return isolate(expired)
        return isolate_poison(engine, expired, max_attempts=max_attempts, key_secret=key_secret)

    freed, last_id = 0, 0
    while expired_leases := list_expired(engine, after_id=last_id, limit=page):
        last_id = expired_leases[-1].shard_id
        freed += sum(_free_or_report(engine, expired, free) for expired in expired_leases)
    return freed


def close_what_ended(engine: Engine) -> None:
    """Cancel shards of jobs that have ended, close jobs without an open shard; one that cannot be stops no other."""
    cancel_orphan_shards(engine)
    for job_id in list_finished_jobs(engine):
        try:
            is_closed = close_finished_job(engine, job_id)
        except (DatabaseUnreachableError, DatabaseWriteRefusedError):
            raise
        except Exception:
            logger.exception("Job not closed: job %d.", job_id)
        else:
            if is_closed:
                logger.info("Job closed by the sweep: job %d.", job_id)


def _free_or_report(engine: Engine, expired: ExpiredLease, free: Callable[[Engine, ExpiredLease], bool]) -> bool:
    log_fields = (expired.job_id, expired.shard_id, expired.attempt, expired.worker)
    try:
        is_freed = free(engine, expired)
    except (DatabaseUnreachableError, DatabaseWriteRefusedError):
        raise
    except Exception:
        logger.exception("Lease not recovered: job %d, shard id %d, attempt %d, worker %s.", *log_fields)
        return False
    if is_freed:
        logger.warning("Lease recovered: job %d, shard id %d, attempt %d, worker %s.", *log_fields)
    return is_freed
