"""Pausing, resuming and trying again: what is done stays done, and nothing is counted twice."""

import pytest
from sqlalchemy import Engine

from db.errors import LeaseLostError, StateConflictError
from db.events.event_log import list_events
from db.ledger.dispatch_hints import list_unhinted
from db.ledger.job_closing import close_finished_jobs, fail_shard
from db.ledger.job_control import pause_job, resume_job, retry_job
from db.ledger.job_lifecycle import JobRequest, cancel_job, fail_job, get_job, list_queued_job_ids, submit_job
from db.ledger.shard_leases import claim_shard, count_shards
from db.results.shard_results import complete_scored_shard
from db.schema.states import FailureCause, JobKind, JobState
from tests.building import BOOK, MODEL, add_model, claim, load_book, result_for, start_scoring


@pytest.fixture
def book(engine: Engine) -> Engine:
    """A database with 30 records, a model, and a running job of three shards."""
    load_book(engine, range(30))
    add_model(engine)
    start_scoring(engine, shard_rows=10)
    return engine


def finish(engine: Engine, *, rejected: int = 0) -> None:
    while (claimed := claim_shard(engine, "scoring", worker="w", lease_seconds=60)) is not None:
        complete_scored_shard(engine, claimed, result_for(engine, claimed, rejected=rejected), worker="w")


def test_a_paused_job_gives_out_no_shard_and_no_hint(book: Engine) -> None:
    pause_job(book, 1, who="me", why="month end")
    assert claim_shard(book, "scoring", worker="w", lease_seconds=60) is None
    assert claim_shard(book, "scoring", worker="w", lease_seconds=60, hint=1) is None
    assert list_unhinted(book, repeat_seconds=10, limit=10) == []
    assert ("job.paused", "me", "month end") in [(one.event, one.who, one.why) for one in list_events(book, 1)]


def test_a_resumed_job_goes_on_where_it_stood(book: Engine) -> None:
    held = claim(book)
    pause_job(book, 1, who="me")
    complete_scored_shard(book, held, result_for(book, held), worker="w")
    assert get_job(book, 1).scored == 10
    resume_job(book, 1, who="me")
    finish(book)
    job = get_job(book, 1)
    assert (job.state, job.inputs, job.scored) == (JobState.DONE, 30, 30)


def test_a_job_whose_last_shard_ends_during_the_pause_is_done(book: Engine) -> None:
    held = [claim(book) for _ in range(3)]
    pause_job(book, 1, who="me")
    for one in held:
        complete_scored_shard(book, one, result_for(book, one), worker="w")
    assert get_job(book, 1).state is JobState.DONE
    with pytest.raises(StateConflictError, match="job 1 is done"):
        resume_job(book, 1, who="me")


def test_a_job_that_was_paused_before_planning_is_planned_after_it(book: Engine) -> None:
    job_id = submit_job(book, JobRequest(JobKind.SCORING, BOOK, "me", {}, MODEL))
    pause_job(book, job_id, who="me")
    assert list_queued_job_ids(book) == []
    assert resume_job(book, job_id, who="me").state is JobState.QUEUED


def test_pausing_and_resuming_twice_is_harmless(book: Engine) -> None:
    for _ in range(2):
        assert pause_job(book, 1, who="me").state is JobState.PAUSED
    for _ in range(2):
        assert resume_job(book, 1, who="me").state is JobState.RUNNING
    assert [one.event for one in list_events(book, 1)].count("job.paused") == 1


def test_a_paused_job_can_be_cancelled_and_an_ended_one_not_paused(book: Engine) -> None:
    pause_job(book, 1, who="me")
    assert cancel_job(book, 1, who="me").state is JobState.CANCELLED
    with pytest.raises(StateConflictError, match="job 1 is cancelled"):
        pause_job(book, 1, who="me")


def test_a_retry_takes_only_what_failed(book: Engine) -> None:
    done, failed = claim(book), claim(book)
    complete_scored_shard(book, done, result_for(book, done), worker="w")
    fail_shard(book, failed, "out of memory", worker="w")
    finish(book)
    assert get_job(book, 1).state is JobState.FAILED
    job = retry_job(book, 1, who="me", why="more memory")
    assert (job.state, job.shards_open, job.cause) == (JobState.RUNNING, 1, None)
    again = claim(book)
    assert (again.shard_id, again.attempt, again.token) == (failed.shard_id, 1, failed.token + 1)
    complete_scored_shard(book, again, result_for(book, again), worker="w")
    job = get_job(book, 1)
    assert (job.state, job.inputs, job.scored, job.rejected) == (JobState.DONE, 30, 30, 0)
    assert {"shard.failed", "job.failed", "job.retried", "job.done"} <= {one.event for one in list_events(book, 1)}


def test_a_worker_of_the_attempt_before_a_retry_writes_nothing(book: Engine) -> None:
    late = claim(book)
    fail_job(book, 1, FailureCause.MODEL_UNREADABLE, "damaged", who="w2")
    retry_job(book, 1, who="me")
    with pytest.raises(LeaseLostError):
        complete_scored_shard(book, late, result_for(book, late), worker="w")
    finish(book)
    assert get_job(book, 1).scored == 30


def test_a_job_that_failed_at_once_takes_all_its_shards_up_again(book: Engine) -> None:
    claim(book)
    fail_job(book, 1, FailureCause.MODEL_UNREADABLE, "damaged", who="w")
    assert retry_job(book, 1, who="me").shards_open == 3
    finish(book)
    assert get_job(book, 1).state is JobState.DONE


def test_a_job_that_failed_before_planning_is_planned_again(book: Engine) -> None:
    job_id = submit_job(book, JobRequest(JobKind.SCORING, BOOK, "me", {}, MODEL))
    fail_job(book, job_id, FailureCause.SOURCE_UNREADABLE, "no such table", who="scheduler")
    assert retry_job(book, job_id, who="me").state is JobState.QUEUED
    assert list_queued_job_ids(book) == [job_id]


def test_too_many_rejects_leave_nothing_to_retry(book: Engine) -> None:
    finish(book, rejected=10)
    with pytest.raises(StateConflictError, match="no failed shard to retry: 30 of 30 records rejected"):
        retry_job(book, 1, who="me")
    assert get_job(book, 1).state is JobState.FAILED


def test_only_a_failed_job_is_retried(book: Engine) -> None:
    with pytest.raises(StateConflictError, match="job 1 is running"):
        retry_job(book, 1, who="me")
    finish(book)
    with pytest.raises(StateConflictError, match="job 1 is done"):
        retry_job(book, 1, who="me")
    assert close_finished_jobs(book) == []
    assert count_shards(book, 1) == {"done": 3}
