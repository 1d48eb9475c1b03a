"""Whatever ends the work on a shard, the ledger says what follows: given back, tried later, failed, or left alone."""

import errno

import pytest
from sqlalchemy import Engine, update

from db.connections.clock import now_plus
from db.connections.engine import opened_engine, writing
from db.errors import DatabaseUnreachableError, DatabaseWriteRefusedError, LeaseLostError, SourceError
from db.ledger.automatic_pauses import list_due, resume_due
from db.ledger.expired_leases import list_expired, take_back
from db.ledger.job_lifecycle import cancel_job, get_job
from db.ledger.shard_leases import Claim, claim_shard, count_shards, renew_lease
from db.schema.core_tables import jobs
from db.schema.states import FailureCause, JobState, PauseCause
from tests.building import add_model, load_book, start_scoring
from transformer.errors import BundleError
from worker.runtime.context import WorkerContext, claimed_shard
from worker.runtime.heartbeat import LOOK_SECONDS, Heartbeat
from worker.runtime.settings import WorkerSettings


@pytest.fixture
def context(engine: Engine) -> WorkerContext:
    """A worker's context on a book of 20 records in two shards; a failed shard waits for no time at all."""
    load_book(engine, range(20))
    add_model(engine)
    start_scoring(engine, shard_rows=10)
    return WorkerContext(engine, WorkerSettings(max_attempts=2, retry_delay_seconds=0), "w1")


def work(context: WorkerContext, error: BaseException, *, hint: int = 1) -> Claim:
    with claimed_shard(context, "scoring", hint) as claim:
        assert claim is not None
        assert claim.shard_id == hint
        kept = claim
        raise error
    return kept


@pytest.mark.parametrize("stop", [SystemExit, KeyboardInterrupt])
def test_a_clean_stop_gives_the_shard_back_and_charges_no_attempt(
    context: WorkerContext, stop: type[BaseException]
) -> None:
    with pytest.raises(stop):
        work(context, stop())
    again = claim_shard(context.engine, "scoring", worker="w2", lease_seconds=60, hint=1)
    assert again is not None
    assert (again.shard_id, again.attempt, again.token) == (1, 1, 2)


def test_an_error_is_tried_again_and_fails_the_shard_after_the_last_attempt(context: WorkerContext) -> None:
    work(context, RuntimeError("first"))
    assert count_shards(context.engine, 1) == {"waiting": 2}
    work(context, RuntimeError("second"))
    assert count_shards(context.engine, 1) == {"failed": 1, "waiting": 1}
    assert get_job(context.engine, 1).state is JobState.RUNNING


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (BundleError("m1", "damaged"), FailureCause.MODEL_UNREADABLE),
        (SourceError("the table book is gone"), FailureCause.SOURCE_UNREADABLE),
    ],
)
def test_what_no_attempt_can_heal_fails_the_job_at_once(
    context: WorkerContext, error: Exception, cause: FailureCause
) -> None:
    work(context, error)
    job = get_job(context.engine, 1)
    assert (job.state, job.cause) == (JobState.FAILED, cause)
    assert str(error) in (job.detail or "")


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), PauseCause.DISK_FULL),
        (OSError(errno.EROFS, "Read-only file system"), PauseCause.DISK_READ_ONLY),
        (DatabaseWriteRefusedError("db", "disk is full", is_disk_full=True), PauseCause.DISK_FULL),
        (DatabaseWriteRefusedError("db", "read-only transaction"), PauseCause.DATABASE_REFUSES_WRITES),
    ],
)
def test_a_place_that_takes_no_writes_charges_no_attempt_and_pauses_the_job_until_it_does(
    context: WorkerContext, error: Exception, cause: PauseCause
) -> None:
    for _ in range(3):
        work(context, error)
        job = get_job(context.engine, 1)
        assert (job.state, job.cause) == (JobState.PAUSED, cause)
        assert str(error) in (job.detail or "")
        assert claim_shard(context.engine, "scoring", worker="w", lease_seconds=60) is None
        assert list_due(context.engine) == []
        with writing(context.engine) as connection:  # it pauses for some seconds
            connection.execute(update(jobs).values(resume_at=now_plus()))
        assert [one.cause for one in list_due(context.engine)] == [cause]
        assert resume_due(context.engine, 1, who="scheduler")
    assert count_shards(context.engine, 1) == {"waiting": 2}
    assert get_job(context.engine, 1).cause is None
    again = claim_shard(context.engine, "scoring", worker="w", lease_seconds=60, hint=1)
    assert again is not None
    assert again.attempt == 1


@pytest.mark.parametrize("error", [LeaseLostError(1, 1), DatabaseUnreachableError("somewhere", "it is away")])
def test_a_shard_that_is_not_ours_or_cannot_be_told_is_left_to_its_lease(
    context: WorkerContext, error: Exception
) -> None:
    work(context, error)
    assert count_shards(context.engine, 1) == {"running": 1, "waiting": 1}


def test_a_worker_that_lost_its_lease_changes_nothing_whatever_error_it_has(context: WorkerContext) -> None:
    with claimed_shard(context, "scoring", 1) as claim:
        assert claim is not None
        _expire(context.engine, claim)
        other = claim_shard(context.engine, "scoring", worker="w2", lease_seconds=60, hint=1)
        raise RuntimeError("too late")
    assert other is not None
    assert count_shards(context.engine, 1) == {"running": 1, "waiting": 1}


def test_nothing_to_do_gives_nothing(context: WorkerContext) -> None:
    with claimed_shard(context, "training", None) as claim:
        assert claim is None


def _expire(engine: Engine, claim: Claim) -> None:
    renew_lease(engine, claim, lease_seconds=-1)
    (expired,) = list_expired(engine)
    assert take_back(engine, expired)


def test_a_cancelled_job_frees_its_worker_before_the_next_renewal(context: WorkerContext) -> None:
    claimed, now = context.claim("scoring"), [0.0]
    assert claimed is not None
    heartbeat = Heartbeat(context.engine, claimed, lease_seconds=60, every_seconds=5, clock=lambda: now[0])
    now[0] = LOOK_SECONDS
    heartbeat()
    cancel_job(context.engine, claimed.job.id, who="test")
    heartbeat()  # it looked just now
    now[0] = 2 * LOOK_SECONDS
    for _ in range(2):  # a shard read ahead is looked at while another one is scored, and again when its turn comes
        with pytest.raises(LeaseLostError):
            heartbeat()


def test_a_database_that_is_away_between_two_renewals_costs_no_shard(context: WorkerContext) -> None:
    claimed, now = context.claim("scoring"), [0.0]
    assert claimed is not None
    with opened_engine("postgresql+psycopg://nobody@127.0.0.1:1/nothing") as away:
        heartbeat = Heartbeat(away, claimed, lease_seconds=60, every_seconds=5, clock=lambda: now[0])
        now[0] = LOOK_SECONDS
        heartbeat()
        now[0] = 5
        with pytest.raises(DatabaseUnreachableError):
            heartbeat()
