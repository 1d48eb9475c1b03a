"""People and recovery race the end of the work, at every moment of it: who comes second sees what the first did."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from sqlalchemy import Engine, text

from db.connections.engine import opened_engine, reading, writing
from db.erasure.erasure import Person, erase_record
from db.ledger.automatic_pauses import Trouble, pause_claimed
from db.ledger.job_closing import fail_shard
from db.ledger.job_control import pause_job, resume_job, retry_job
from db.ledger.job_lifecycle import Job, cancel_job, fail_job, get_job, list_jobs
from db.ledger.shard_leases import Claim, claim_shard, give_back, renew_lease
from db.results.shard_results import complete_scored_shard
from db.results.verification import verify_job
from db.schema.states import FailureCause, JobState, PauseCause
from scheduler.loop.lease_recovery import sweep
from scheduler.requests.job_submission import Request, submit_scoring
from tests.building import BOOK, add_model, claim, load_book, result_for, start_scoring
from tests.faults.facts import ERASED as REMOVED
from tests.faults.facts import WHOLE, assert_consistent
from tests.faults.interleaving import Act, interleave
from tests.faults.matrix import Matrix

RECORDS, SHARD_ROWS = 12, 6
ERASED = str(RECORDS - 2)  # a person in the last shard
MOMENTS = 80  # more than any of these transactions has statements
pytestmark = [pytest.mark.faults]


@pytest.fixture
def engines(any_database_url: str) -> Iterator[tuple[Engine, Engine]]:
    """Two engines on one database with a book: those of two processes."""
    with opened_engine(any_database_url) as own, opened_engine(any_database_url) as other:
        load_book(own, range(RECORDS), reject_budget=1.0)
        add_model(own)
        yield own, other


def give_up(engine: Engine, held: Claim) -> None:
    cancel_job(engine, held.job.id, who="me")


def pause(engine: Engine, held: Claim) -> None:
    pause_job(engine, held.job.id, who="me")


def pause_and_resume(engine: Engine, held: Claim) -> None:
    pause_job(engine, held.job.id, who="me")
    resume_job(engine, held.job.id, who="me")


def retry(engine: Engine, held: Claim) -> None:
    retry_job(engine, held.job.id, who="me")


def fail(engine: Engine, held: Claim) -> None:
    fail_job(engine, held.job.id, FailureCause.MODEL_UNREADABLE, "gone", who="w2")


def meet_a_full_disk(engine: Engine, held: Claim) -> None:
    pause_claimed(engine, held, Trouble(PauseCause.DISK_FULL, "no room", 0), worker="w1")


def recover(engine: Engine, _held: Claim) -> None:
    sweep(engine, max_attempts=3)


def stop_cleanly(engine: Engine, held: Claim) -> None:
    give_back(engine, held, worker="w1")


def erase(engine: Engine, _held: Claim) -> None:
    erase_record(engine, Person(BOOK, ERASED), who="me")


def complete(engine: Engine, held: Claim) -> None:
    complete_scored_shard(engine, held, result_for(engine, held, rejected=1), worker="w1")


QUICK = (give_up, retry, recover)
SLOW = (erase, pause, pause_and_resume, fail, meet_a_full_disk, stop_cleanly, complete)
ACTS = (*QUICK, *(pytest.param(act, marks=pytest.mark.slow) for act in SLOW))


def prepare(engine: Engine, act: object) -> Claim:
    """A job whose last shard is claimed; for `retry` another has failed, for `recover` its lease is over."""
    start_scoring(engine, shard_rows=SHARD_ROWS)
    first, last = claim(engine), claim(engine)
    if act is retry:
        fail_shard(engine, first, "error", worker="w2")
    else:
        complete_scored_shard(engine, first, result_for(engine, first), worker="w2")
    if act is recover:
        renew_lease(engine, last, lease_seconds=-1)
    return last


def drain(engine: Engine, job: Job) -> JobState:
    """Let an open job come to its end."""
    if job.state is JobState.PAUSED:
        resume_job(engine, job.id, who="me")
    while (held := claim_shard(engine, "scoring", worker="w3", lease_seconds=60)) is not None:
        complete_scored_shard(engine, held, result_for(engine, held), worker="w3")
    return get_job(engine, job.id).state


def assert_whole(engine: Engine, job_id: int) -> None:
    with reading(engine) as connection:
        inputs, scored, rejected, keys = connection.execute(text(WHOLE), {"job": job_id}).one()
        erased = sum(connection.execute(text(REMOVED), {"job": job_id}).one())
        is_there = connection.execute(text(f"SELECT count(*) FROM {BOOK}")).scalar_one() == RECORDS
    assert inputs == scored + rejected == keys + erased
    assert keys == (RECORDS if is_there else RECORDS - 1)


def assert_erased(engine: Engine, job_id: int) -> None:
    with reading(engine) as connection:
        for table in ("scores", "rejects"):
            found = text(f"SELECT count(*) FROM tidemark_{table} WHERE job_id = :job AND record_key = :key")
            assert connection.execute(found, {"job": job_id, "key": ERASED}).scalar_one() == 0
    assert get_job(engine, job_id).state is JobState.DONE
    problems = verify_job(engine, job_id).problems
    assert not [one for one in problems if "digest" not in one]  # the tests' results have none of their own


@pytest.mark.fault(13)
@pytest.mark.parametrize("act", ACTS, ids=[act.__name__ for act in (*QUICK, *SLOW)])
@pytest.mark.parametrize("goes_first", [True, False], ids=["goes_first", "comes_between"])
def test_whatever_races_the_last_completion_at_any_moment_the_ledger_is_right(
    engines: tuple[Engine, Engine], matrix: Matrix, act: Act, goes_first: bool
) -> None:
    own, other = engines
    # SQLite lets writers follow each other: between the first and the last statement all moments are the same.
    moments = range(MOMENTS) if own.dialect.name == "postgresql" else (0, 1, 3, MOMENTS)
    tried = 0
    for moment in moments:
        held = prepare(own, act)
        acts = (partial(act, own, held), partial(complete, other, held))
        if not goes_first:
            acts = (partial(complete, own, held), partial(act, other, held))
        is_between = interleave(own, *acts, moment=moment)
        tried += 1
        assert_consistent(own, held.job.id)
        if drain(own, get_job(own, held.job.id)) is JobState.DONE:
            assert_whole(own, held.job.id)
        if act is erase:
            assert_erased(own, held.job.id)
            load_book(own, range(RECORDS), reject_budget=1.0)
        assert_consistent(own, held.job.id)
        close_what_is_left(own, held)
        if not is_between:
            break  # the first one has no later moment
    matrix.note(injected=tried)


def close_what_is_left(engine: Engine, held: Claim) -> None:
    """The next job must not meet this one's shards."""
    with writing(engine) as connection:
        of_job = {"job": held.job.id}
        waits = "UPDATE tidemark_shards SET state = 'cancelled' WHERE job_id = :job AND state IN ('waiting', 'running')"
        connection.execute(text(waits), of_job)


@pytest.mark.fault(14)
def test_a_hundred_submissions_at_once_with_one_key_are_one_job(
    engines: tuple[Engine, Engine], any_database_url: str, matrix: Matrix
) -> None:
    def submit(_number: int) -> int:
        with opened_engine(any_database_url) as own:  # a connection of its own, as another process has
            return submit_scoring(own, BOOK, Request("me", idempotency_key="night-7"))

    with ThreadPoolExecutor(25) as pool:
        job_ids = list(pool.map(submit, range(100)))
    found = list_jobs(engines[0])
    matrix.note(injected=100, lost=int(not found), duplicated=max(0, len(found) - 1))
    assert len(set(job_ids)) == 1
    assert [job.id for job in found] == [job_ids[0]]
