"""The ledger: a shard is one worker's at a time, and only the newest token writes."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, text, update

from db.connections.clock import now_plus
from db.connections.engine import reading, writing
from db.errors import IdempotencyConflictError, LeaseLostError, NotFoundError, StateConflictError
from db.events.event_log import list_events
from db.ledger.dispatch_hints import list_unhinted, mark_hinted
from db.ledger.expired_leases import list_expired, take_back
from db.ledger.job_closing import close_finished_jobs, fail_expired_shard, fail_shard
from db.ledger.job_lifecycle import JobRequest, cancel_job, fail_job, find_follow_up, get_job, list_jobs, submit_job
from db.ledger.shard_leases import claim_shard, count_shards, give_back, renew_lease, retry_later
from db.ledger.waiting_work import find_waiting_work
from db.results.shard_results import complete_scored_shard
from db.schema.core_tables import shards
from db.schema.states import FailureCause, JobKind, JobState
from tests.building import BOOK, MODEL, add_model, claim, load_book, result_for, start_scoring


@pytest.fixture
def book(engine: Engine) -> Engine:
    """A database with 25 records, a model, and no job."""
    load_book(engine, range(25))
    add_model(engine)
    return engine


def _finish_all(engine: Engine, *, rejected: int = 0) -> None:
    while (claimed := claim_shard(engine, "scoring", worker="w", lease_seconds=60)) is not None:
        complete_scored_shard(engine, claimed, result_for(engine, claimed, rejected=rejected), worker="w")


def test_a_shard_is_claimed_by_one_of_many(book: Engine) -> None:
    start_scoring(book, shard_rows=5)
    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(lambda n: claim_shard(book, "scoring", worker=f"w{n}", lease_seconds=60), range(8)))
    claimed = [one.shard_id for one in claims if one is not None]
    assert sorted(claimed) == sorted(set(claimed))
    assert len(claimed) == 5


def test_the_hinted_shard_comes_first_and_a_taken_one_is_passed_over(book: Engine) -> None:
    start_scoring(book)
    assert [claim(book, hint=3).ordinal, claim(book, hint=3).ordinal, claim(book).ordinal] == [2, 0, 1]


def test_a_more_urgent_job_is_claimed_first(book: Engine) -> None:
    start_scoring(book)
    urgent = start_scoring(book, priority=10)
    assert claim(book).job.id == urgent.id


def test_token_and_attempt_grow_at_every_claim(book: Engine) -> None:
    start_scoring(book, shard_rows=100)
    first = claim(book)
    retry_later(book, first, "trouble", delay_seconds=0, worker="w1")
    second = claim(book)
    assert (second.token, second.attempt) == (first.token + 1, first.attempt + 1)


def test_a_clean_stop_charges_no_attempt(book: Engine) -> None:
    start_scoring(book, shard_rows=100)
    give_back(book, claim(book), worker="w1")
    assert claim(book).attempt == 1


def test_a_shard_that_failed_waits_before_it_is_tried_again(book: Engine) -> None:
    start_scoring(book, shard_rows=100)
    retry_later(book, claim(book), "trouble", delay_seconds=60, worker="w1")
    assert claim_shard(book, "scoring", worker="w", lease_seconds=60) is None


def test_only_an_expired_lease_is_taken_back(book: Engine) -> None:
    start_scoring(book, shard_rows=20)
    claim(book, lease_seconds=-1)
    claim(book, lease_seconds=60)
    expired = list_expired(book)
    assert [one.attempt for one in expired] == [1]
    assert take_back(book, expired[0])
    assert not take_back(book, expired[0])


def test_a_lease_that_was_never_written_is_taken_back(book: Engine) -> None:
    start_scoring(book, shard_rows=100)
    claimed = claim(book)
    with writing(book) as connection:
        connection.execute(update(shards).values(lease_until=None, heartbeat_at=None))
    assert [one.shard_id for one in list_expired(book)] == [claimed.shard_id]


def test_a_renewed_lease_is_not_taken_back(book: Engine) -> None:
    start_scoring(book, shard_rows=100)
    claimed = claim(book, lease_seconds=-1)
    expired = list_expired(book)[0]
    renew_lease(book, claimed, lease_seconds=60)
    assert not take_back(book, expired)
    assert not fail_expired_shard(book, expired)


def test_a_worker_that_wakes_up_late_writes_nothing(book: Engine) -> None:
    start_scoring(book, shard_rows=100)
    late = claim(book, "slow", lease_seconds=-1)
    result = result_for(book, late)
    take_back(book, list_expired(book)[0])
    claim(book, "quick")
    with pytest.raises(LeaseLostError):
        complete_scored_shard(book, late, result, worker="slow")
    with pytest.raises(LeaseLostError):
        renew_lease(book, late, lease_seconds=60)
    assert not give_back(book, late, worker="slow")
    with reading(book) as connection:
        assert connection.execute(text("SELECT count(*) FROM tidemark_scores")).scalar() == 0


def test_every_input_is_a_score_or_a_reject_and_no_key_stands_twice(book: Engine) -> None:
    job = start_scoring(book, shard_rows=7)
    _finish_all(book, rejected=2)
    job = get_job(book, job.id)
    assert job.inputs == 25 == job.scored + job.rejected
    anti_join = text(
        "SELECT count(*) FROM book WHERE NOT EXISTS (SELECT 1 FROM tidemark_scores s WHERE s.record_key = "
        "CAST(book.id AS TEXT)) AND NOT EXISTS (SELECT 1 FROM tidemark_rejects r WHERE r.record_key = "
        "CAST(book.id AS TEXT))"
    )
    with reading(book) as connection:
        assert connection.execute(anti_join).scalar() == 0


def test_the_last_shard_closes_the_job_with_its_digest_and_asks_for_monitoring(book: Engine) -> None:
    job = start_scoring(book, shard_rows=10)
    _finish_all(book)
    done = get_job(book, job.id)
    follow_up = find_follow_up(book, job.id)
    assert (done.state, int(done.digest or "", 16), int(done.data_fingerprint or "", 16)) == (JobState.DONE, 3, 6)
    assert follow_up is not None
    assert (follow_up.kind, follow_up.model_version) == (JobKind.MONITORING, MODEL)


def test_two_last_shards_that_finish_together_close_the_job_once(book: Engine) -> None:
    for _ in range(5):
        job = start_scoring(book, shard_rows=13)
        claims = [claim(book), claim(book)]
        results = [result_for(book, one) for one in claims]
        with ThreadPoolExecutor(2) as pool:
            pairs = list(zip(claims, results, strict=True))
            closed = list(pool.map(lambda pair: complete_scored_shard(book, *pair, worker="w"), pairs))
        assert sorted(closed) == [False, True]
        assert get_job(book, job.id).state is JobState.DONE


def test_more_rejects_than_the_budget_fail_the_job(book: Engine) -> None:
    job = start_scoring(book, shard_rows=100)
    _finish_all(book, rejected=1)
    failed = get_job(book, job.id)
    assert (failed.state, failed.cause, failed.rejected) == (JobState.FAILED, FailureCause.REJECT_BUDGET, 1)
    assert "budget is 1.00%" in (failed.detail or "")
    assert find_follow_up(book, job.id) is None


def test_a_failed_shard_fails_the_job_when_the_others_are_done(book: Engine) -> None:
    job = start_scoring(book, shard_rows=20)
    fail_shard(book, claim(book), "poison", worker="w")
    assert get_job(book, job.id).state is JobState.RUNNING
    _finish_all(book)
    failed = get_job(book, job.id)
    assert (failed.state, failed.cause, failed.scored) == (JobState.FAILED, FailureCause.SHARD_FAILED, 5)


def test_a_job_without_records_is_closed_by_the_sweep(engine: Engine) -> None:
    load_book(engine, [])
    add_model(engine)
    job = start_scoring(engine)
    assert close_finished_jobs(engine) == [job.id]
    assert close_finished_jobs(engine) == []
    assert get_job(engine, job.id).state is JobState.DONE


def test_a_cancelled_job_takes_its_shards_from_the_workers(book: Engine) -> None:
    job = start_scoring(book, shard_rows=10)
    held = claim(book)
    cancel_job(book, job.id, who="me", why="wrong file")
    with pytest.raises(LeaseLostError):
        renew_lease(book, held, lease_seconds=60)
    assert claim_shard(book, "scoring", worker="w", lease_seconds=60) is None
    assert count_shards(book, job.id) == {"cancelled": 3}
    assert "wrong file" in [event.why for event in list_events(book, job.id)]


def test_cancelling_twice_is_harmless_and_a_finished_job_is_not_cancelled(book: Engine) -> None:
    first = start_scoring(book)
    assert [cancel_job(book, first.id, who="me").state for _ in range(2)] == [JobState.CANCELLED] * 2
    second = start_scoring(book)
    _finish_all(book)
    with pytest.raises(StateConflictError, match="is done"):
        cancel_job(book, second.id, who="me")


def test_shards_planned_for_a_job_that_was_cancelled_meanwhile_are_never_claimed(book: Engine) -> None:
    job = start_scoring(book)
    with writing(book) as connection:
        connection.execute(
            text("UPDATE tidemark_jobs SET state = 'cancelled', finished_at = created_at WHERE id = :id"),
            {"id": job.id},
        )
    assert claim_shard(book, "scoring", worker="w", lease_seconds=60) is None
    assert list_unhinted(book, repeat_seconds=0, limit=10) == []


def test_a_job_that_cannot_go_on_fails_at_once(book: Engine) -> None:
    job = start_scoring(book)
    held = claim(book)
    assert fail_job(book, job.id, FailureCause.MODEL_UNREADABLE, "bit flipped", who="w")
    assert not fail_job(book, job.id, FailureCause.MODEL_UNREADABLE, "bit flipped", who="w")
    with pytest.raises(LeaseLostError):
        complete_scored_shard(book, held, result_for(book, held), worker="w")


def test_waiting_shards_are_hinted_once_and_again_when_the_hint_is_old(book: Engine) -> None:
    start_scoring(book)
    hints = list_unhinted(book, repeat_seconds=60, limit=10)
    assert [hint.was_sent for hint in hints] == [False] * 3
    mark_hinted(book, [hint.shard_id for hint in hints])
    assert list_unhinted(book, repeat_seconds=60, limit=10) == []
    assert [hint.was_sent for hint in list_unhinted(book, repeat_seconds=-1, limit=10)] == [True] * 3


def test_a_tick_sees_what_is_to_be_planned_and_what_is_to_be_sent(book: Engine) -> None:
    assert find_waiting_work(book, repeat_seconds=60) == (False, False)
    job = submit_job(book, JobRequest(JobKind.SCORING, BOOK, "me", {}, MODEL))
    assert find_waiting_work(book, repeat_seconds=60) == (True, False)
    cancel_job(book, job, who="me")
    start_scoring(book)
    assert find_waiting_work(book, repeat_seconds=60) == (False, True)
    mark_hinted(book, [hint.shard_id for hint in list_unhinted(book, repeat_seconds=60, limit=10)])
    assert find_waiting_work(book, repeat_seconds=60) == (False, False)
    assert find_waiting_work(book, repeat_seconds=-1) == (False, True)


def test_one_idempotency_key_gives_one_job_to_many_at_once(book: Engine) -> None:
    request = JobRequest(JobKind.SCORING, BOOK, "me", {}, MODEL, "night-1")
    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(lambda _: submit_job(book, request), range(16)))
    assert len(ids) == 1
    assert len(list_jobs(book)) == 1


def test_an_idempotency_key_of_another_request_is_a_conflict(book: Engine) -> None:
    submit_job(book, JobRequest(JobKind.SCORING, BOOK, "me", {}, MODEL, "night-1"))
    with pytest.raises(IdempotencyConflictError, match="night-1"):
        submit_job(book, JobRequest(JobKind.TRAINING, BOOK, "me", {}, None, "night-1"))


def test_an_unknown_portfolio_is_told_with_the_nearest_name(book: Engine) -> None:
    with pytest.raises(NotFoundError, match="There are: book"):
        submit_job(book, JobRequest(JobKind.SCORING, "boook", "me", {}, MODEL))


def test_leases_follow_the_databases_clock(book: Engine) -> None:
    start_scoring(book, shard_rows=100)
    claimed = claim(book, lease_seconds=60)
    with reading(book) as connection:
        is_ahead = connection.execute(shards.select().where(shards.c.lease_until > now_plus(55))).one()
    assert is_ahead.id == claimed.shard_id
