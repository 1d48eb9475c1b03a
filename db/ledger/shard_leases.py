"""The ledger of shards: planned once, claimed with a lease and a token, renewed, released.

Every state change is one guarded statement. The database's clock alone decides about leases.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, func, insert, select, update

from db.connections.clock import now_plus
from db.connections.engine import reading, writing
from db.errors import LeaseLostError
from db.events.event_log import record_event
from db.events.wording import counted
from db.ledger.claim_order import best_waiting, oldest_waiting, untried_among_many
from db.ledger.job_lifecycle import Job, find_job
from db.ledger.running_limits import lock_limits, may_run
from db.schema.core_tables import jobs, portfolios, shards
from db.schema.states import QUEUE_OF_KIND, JobKind, JobState, ShardState
from db.sources.source_table import KeyRange


@dataclass(frozen=True)
class Claim:
    """The right to work on one shard until the lease ends. The token guards every write."""

    shard_id: int
    token: int
    attempt: int
    ordinal: int
    key_range: KeyRange
    job: Job
    erasures: int = 0  # of its portfolio, when it was claimed


def insert_shards(connection: Connection, job: Job, ranges: Sequence[KeyRange], *, inputs: int) -> bool:
    """Move a queued job to running with its shards, in the caller's transaction; False if another did it first."""
    started = update(jobs).where(jobs.c.id == job.id, jobs.c.state == JobState.QUEUED)
    count = len(ranges)
    started = started.values(
        state=JobState.RUNNING,
        inputs=inputs,
        shards_total=count,
        shards_open=count,
        compared_job_id=_night_before(job),
        detail=None,
        planner=None,
        planning_since=None,
        planning_until=None,
    )
    if connection.execute(started).rowcount != 1:
        return False
    rows = [row_of_shard(job, ordinal, key_range) for ordinal, key_range in enumerate(ranges)]
    if rows:
        connection.execute(insert(shards), rows)
    record_event(
        connection,
        "job.planned",
        who="scheduler",
        job_id=job.id,
        why=f"{counted(inputs, 'record')}, {counted(count, 'shard')}",
    )
    return True


def _night_before(job: Job) -> Any:
    """Return the newest finished scoring job of the portfolio whose scores may be used, as an SQL expression."""
    if job.kind is not JobKind.SCORING:
        return None
    before = jobs.alias()
    is_night = (before.c.kind == JobKind.SCORING) & (before.c.state == JobState.DONE) & (before.c.id < job.id)
    is_usable = (before.c.portfolio == job.portfolio) & before.c.unusable_reason.is_(None)
    return select(func.max(before.c.id)).where(is_night, is_usable).scalar_subquery()


def claim_shard(
    engine: Engine,
    queue: str,
    *,
    worker: str,
    lease_seconds: float,
    hint: int | None = None,
    oldest_first: bool = False,
) -> Claim | None:
    """Claim the hinted shard if it still waits, else the best waiting one of the queue (priority, then age).

    With `oldest_first` the next shard of the oldest job goes before both, whatever its priority. Committed at once:
    running, token and attempt one higher, lease set. None when nothing waits.
    """
    choices = [best_waiting(queue)]
    if hint is not None:
        choices.insert(0, shards.c.id == hint)
    if oldest_first:
        choices.insert(0, oldest_waiting(queue))
    with writing(engine) as connection:
        lock_limits(connection, queue)
        for choice in choices:
            claimed = _claim_where(connection, choice, queue, worker, lease_seconds)
            if claimed is not None:
                return _begin(connection, claimed, worker)
    return None


def claim_ahead(
    engine: Engine, queue: str, *, worker: str, lease_seconds: float, oldest_first: bool = False
) -> Claim | None:
    """Claim a shard to read while another one is scored; None if no more wait than other workers are busy.

    So each worker finds one when it is done, and none idles while a shard is claimed elsewhere. Only one that was
    never tried: a record that kills its worker must not charge the same other shard every time.
    """
    choice = untried_among_many(queue, worker, oldest_first=oldest_first)
    with writing(engine) as connection:
        lock_limits(connection, queue)
        claimed = _claim_where(connection, choice, queue, worker, lease_seconds)
        return None if claimed is None else _begin(connection, claimed, worker)


def _begin(connection: Connection, claimed: Any, worker: str) -> Claim:
    key_range = KeyRange(claimed.key_after, claimed.key_upto, claimed.expected, claimed.holds_missing_keys)
    job = find_job(connection, claimed.job_id)
    if job.started_at is None:
        _mark_job_started(connection, claimed.job_id)
    why = f"attempt {claimed.attempt}, token {claimed.token}"
    record_event(connection, "shard.claimed", who=worker, job_id=job.id, shard_id=claimed.id, why=why)
    own = (claimed.id, claimed.token, claimed.attempt, claimed.ordinal)
    return Claim(*own, key_range, job, claimed.claimed_erasures)


def renew_lease(engine: Engine, claim: Claim, *, lease_seconds: float, progress: dict[str, Any] | None = None) -> None:
    """Renew the lease from now. Raises `LeaseLostError` if the shard is no longer this worker's."""
    with writing(engine) as connection:
        renewed = _held(claim).values(lease_until=now_plus(lease_seconds), heartbeat_at=now_plus())
        _require_held(connection.execute(renewed).rowcount, claim)
        if progress is not None:
            connection.execute(update(jobs).where(jobs.c.id == claim.job.id).values(progress=progress))


def show_progress(engine: Engine, claim: Claim, progress: dict[str, Any]) -> bool:
    """Store a job's progress without renewing the lease; return whether the shard still belongs to this worker."""
    is_ours = select(shards.c.id).where(_is_ours(claim)).exists()
    shown = update(jobs).where(jobs.c.id == claim.job.id, is_ours).values(progress=progress)
    with writing(engine) as connection:
        return connection.execute(shown).rowcount == 1


def is_held(engine: Engine, claim: Claim) -> bool:
    """Whether the shard still belongs to this worker: it was not recovered, and its job was not cancelled."""
    with reading(engine) as connection:
        return connection.execute(select(shards.c.id).where(_is_ours(claim))).scalar() is not None


def give_back(engine: Engine, claim: Claim, *, worker: str) -> bool:
    """Release the shard at a clean stop: it waits again, and no attempt is counted."""
    with writing(engine) as connection:
        return free_shard(connection, claim, worker=worker)


def free_shard(connection: Connection, claim: Claim, *, worker: str, why: str = "") -> bool:
    """Release the shard in the caller's transaction; return False if it no longer belongs to this worker."""
    freed = _held(claim).values(
        state=ShardState.WAITING,
        lease_until=None,
        worker=None,
        attempt=claim.attempt - 1,
        hinted_at=None,
        available_at=now_plus(),
    )
    if connection.execute(freed).rowcount != 1:
        return False
    record_event(connection, "shard.given_back", who=worker, job_id=claim.job.id, shard_id=claim.shard_id, why=why)
    return True


def retry_later(engine: Engine, claim: Claim, error: str, *, delay_seconds: float, worker: str) -> None:
    """Put the shard back in the queue after a failed attempt. Raises `LeaseLostError` if it is no longer ours."""
    with writing(engine) as connection:
        waiting = _held(claim).values(
            state=ShardState.WAITING,
            lease_until=None,
            worker=None,
            error=error,
            hinted_at=None,
            available_at=now_plus(delay_seconds),
        )
        _require_held(connection.execute(waiting).rowcount, claim)
        record_event(connection, "shard.retried", who=worker, job_id=claim.job.id, shard_id=claim.shard_id, why=error)


def find_waiting_error(engine: Engine, job_id: int) -> str | None:
    """Return why a waiting shard of the job last failed; None if nothing went wrong."""
    statement = select(shards.c.error).where(
        shards.c.job_id == job_id, shards.c.state == ShardState.WAITING, shards.c.error.is_not(None)
    )
    with reading(engine) as connection:
        return connection.execute(statement.order_by(shards.c.ordinal).limit(1)).scalar()


def count_shards(engine: Engine, job_id: int) -> dict[str, int]:
    """Return how many shards of a job are in each state."""
    counted = select(shards.c.state, func.count()).where(shards.c.job_id == job_id).group_by(shards.c.state)
    with reading(engine) as connection:
        return {row[0]: row[1] for row in connection.execute(counted.order_by(shards.c.state))}


def row_of_shard(job: Job, ordinal: int, key_range: KeyRange) -> dict[str, Any]:
    """Return the values of a new shard that waits to be claimed."""
    return {
        "job_id": job.id,
        "ordinal": ordinal,
        "queue": QUEUE_OF_KIND[job.kind],
        "priority": job.priority,
        "key_after": key_range.after,
        "key_upto": key_range.upto,
        "holds_missing_keys": key_range.holds_missing_keys,
        "expected": key_range.expected,
    }


def _claim_where(
    connection: Connection, condition: ColumnElement[bool], queue: str, worker: str, lease_seconds: float
) -> Any:
    is_free = (shards.c.state == ShardState.WAITING) & (shards.c.queue == queue)
    claimed = update(shards).where(condition, is_free, shards.c.available_at <= now_plus(), may_run(queue))
    claimed = claimed.values(
        state=ShardState.RUNNING,
        token=shards.c.token + 1,
        attempt=shards.c.attempt + 1,
        claimed_erasures=_erasures_of_portfolio(),
        worker=worker,
        lease_until=now_plus(lease_seconds),
        heartbeat_at=now_plus(),
    )
    return connection.execute(claimed.returning(*shards.c)).one_or_none()


def _erasures_of_portfolio() -> Any:
    counted = select(portfolios.c.erasures).join(jobs, jobs.c.portfolio == portfolios.c.name)
    return counted.where(jobs.c.id == shards.c.job_id).correlate(shards).scalar_subquery()


def _mark_job_started(connection: Connection, job_id: int) -> None:
    first = update(jobs).where(jobs.c.id == job_id, jobs.c.started_at.is_(None))
    connection.execute(first.values(started_at=now_plus()))


def _is_ours(claim: Claim) -> ColumnElement[bool]:
    is_same = (shards.c.id == claim.shard_id) & (shards.c.token == claim.token)
    return is_same & (shards.c.state == ShardState.RUNNING)


def _held(claim: Claim) -> Any:
    return update(shards).where(_is_ours(claim))


def _require_held(affected: int, claim: Claim) -> None:
    if affected != 1:
        raise LeaseLostError(claim.shard_id, claim.token)
