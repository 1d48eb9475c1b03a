"""Takes back what dead workers held, closes what is finished, cancels what nobody will work on."""

from logging import getLogger

from db.closing import cancel_orphan_shards, close_finished_jobs, fail_expired_shard
from db.engine import Engine
from db.errors import DatabaseUnreachableError, DatabaseWriteRefusedError
from db.poison import isolate_poison
from db.shards import ExpiredLease, list_expired, take_back
from worker.messages import SCORING_QUEUE

logger = getLogger(__name__)


PAGE = 500


def sweep(engine: Engine, *, max_attempts: int, key_secret: str | None = None, page: int = PAGE) -> int:
    """Do every duty of recovery once; return how many shards were freed from their lease.

    One shard at a time, each in its own transaction, page after page: those that cannot be saved never hide the others.
    """
    freed, last_id = 0, 0
    while expired_leases := list_expired(engine, after_id=last_id, limit=page):
        last_id = expired_leases[-1].shard_id
        freed += sum(_free_or_report(engine, expired, max_attempts, key_secret) for expired in expired_leases)
    cancel_orphan_shards(engine)
    for job_id in close_finished_jobs(engine):
        logger.info("Job closed by the sweep: job %d.", job_id)
    return freed


def _free_or_report(engine: Engine, expired: ExpiredLease, max_attempts: int, key_secret: str | None) -> bool:
    told = (expired.job_id, expired.shard_id, expired.attempt, expired.worker)
    try:
        is_freed = _free(engine, expired, max_attempts, key_secret)
    except (DatabaseUnreachableError, DatabaseWriteRefusedError):
        raise
    except Exception:
        logger.exception("Lease not taken back: job %d, shard id %d, attempt %d, worker %s.", *told)
        return False
    if is_freed:
        logger.warning("Lease taken back: job %d, shard id %d, attempt %d, worker %s.", *told)
    return is_freed


def _free(engine: Engine, expired: ExpiredLease, max_attempts: int, key_secret: str | None) -> bool:
    if expired.attempt < max_attempts:
        return take_back(engine, expired)
    if expired.queue == SCORING_QUEUE:  # perhaps one record of it kills whoever scores it
        return isolate_poison(engine, expired, max_attempts=max_attempts, key_secret=key_secret)
    return fail_expired_shard(engine, expired)
