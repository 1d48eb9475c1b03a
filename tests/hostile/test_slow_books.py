"""A book that takes minutes to be cut into shards holds up no other book, no sweep and no stop of the scheduler."""

import time
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, update

from db.connections.clock import now_plus
from db.connections.engine import open_engine, writing
from db.events.event_log import list_events
from db.ledger.job_control import retry_job
from db.ledger.job_lifecycle import cancel_job, get_job
from db.ledger.plannings import claim_planning, list_unplanned
from db.ledger.shard_leases import count_shards, insert_shards
from db.schema.core_tables import shards
from db.schema.states import FailureCause, JobState
from db.sources.source_table import KeyRange
from scheduler.loop.planners import SLOTS, SLOW_SLOTS
from tests.hostile.books import add_book, add_slow_book, running_scheduler, submit, wait_for_state
from tests.waiting import promised, wait_for

PROMPT_SECONDS = promised(2.0, busy=15.0)


@pytest.fixture
def engine(any_database_url: str) -> Iterator[Engine]:
    """A slow book and a quick one on each kind of database."""
    opened = open_engine(any_database_url)
    add_slow_book(opened, "slow")
    add_book(opened, "quick")
    yield opened
    opened.dispose()


def planning_begins(engine: Engine, job_id: int) -> None:
    wait_for(lambda: get_job(engine, job_id).planning_since, 20, f"job {job_id} to be planned by somebody")


def test_a_slow_book_holds_up_neither_another_book_nor_the_sweep(
    engine: Engine, any_database_url: str, redis_url: str
) -> None:
    with running_scheduler(any_database_url, redis_url):
        slow = submit(engine, "slow")
        planning_begins(engine, slow)
        first = submit(engine, "quick")
        wait_for_state(engine, first, JobState.RUNNING, PROMPT_SECONDS)
        with writing(engine) as connection:  # its worker died
            running = {"state": "running", "worker": "dead", "attempt": 1, "lease_until": now_plus(-1)}
            connection.execute(update(shards).where(shards.c.job_id == first).values(**running))
        wait_for(lambda: count_shards(engine, first) == {"waiting": 1}, PROMPT_SECONDS, "the lease to be taken back")
        job = get_job(engine, slow)
        assert (job.state, job.planning_since is not None) == (JobState.QUEUED, True)


def test_more_slow_books_than_planners_leave_room_for_the_others(
    engine: Engine, any_database_url: str, redis_url: str
) -> None:
    names = [f"slow{number}" for number in range(SLOTS + 2)]
    for name in names:
        add_slow_book(engine, name)
    slow = [submit(engine, name) for name in names]
    with running_scheduler(any_database_url, redis_url):

        def being_planned() -> int:
            return sum(get_job(engine, one).planning_since is not None for one in slow)

        wait_for(lambda: being_planned() > SLOW_SLOTS, 30, "more slow books to be planned than may be")
        wait_for_state(engine, submit(engine, "quick"), JobState.RUNNING, PROMPT_SECONDS)
        wait_for(lambda: being_planned() == SLOW_SLOTS, 30, "the youngest slow ones to give way")
        for job_id in slow:
            cancel_job(engine, job_id, who="test")


def test_a_scheduler_stops_while_a_book_is_planned_and_charges_no_attempt(
    engine: Engine, any_database_url: str, redis_url: str
) -> None:
    with running_scheduler(any_database_url, redis_url):
        slow = submit(engine, "slow")
        planning_begins(engine, slow)
        began = time.monotonic()
    assert time.monotonic() - began < PROMPT_SECONDS
    job = get_job(engine, slow)
    assert (job.state, job.planning_since) == (JobState.QUEUED, None)
    assert [one.job_id for one in list_unplanned(engine)] == [slow]
    assert claim_planning(engine, slow, planner="next", lease_seconds=60) == 1


def test_a_cancelled_job_frees_its_planner(engine: Engine, any_database_url: str, redis_url: str) -> None:
    with running_scheduler(any_database_url, redis_url) as scheduler:
        slow = submit(engine, "slow")
        planning_begins(engine, slow)
        cancel_job(engine, slow, who="test")
        wait_for(lambda: not scheduler.is_planning, 20, "the planner to be free")
    assert get_job(engine, slow).state is JobState.CANCELLED


def test_a_book_that_takes_too_long_each_time_fails_alone_with_the_reason(
    engine: Engine, any_database_url: str, redis_url: str
) -> None:
    with running_scheduler(any_database_url, redis_url, planning_seconds=0.5, max_attempts=2):
        slow = submit(engine, "slow")
        wait_for_state(engine, slow, JobState.FAILED)
        wait_for_state(engine, submit(engine, "quick"), JobState.RUNNING)
    job = get_job(engine, slow)
    assert job.cause is FailureCause.SOURCE_UNREADABLE
    assert "slow" in (job.detail or "")
    assert "it took too long: 0.5 s; 2 attempts" in (job.detail or "")
    assert "job.planning_put_off" in [one.event for one in list_events(engine, slow)]


def test_a_slow_book_whose_shard_killed_its_workers_holds_up_no_sweep_and_no_stop(
    engine: Engine, any_database_url: str, redis_url: str
) -> None:
    job, other = get_job(engine, submit(engine, "slow")), get_job(engine, submit(engine, "quick"))
    with writing(engine) as connection:
        for one, attempt in ((job, 3), (other, 1)):
            insert_shards(connection, one, [KeyRange(None, "3", 3)], inputs=3)
            dead = {"state": "running", "worker": "dead", "attempt": attempt, "lease_until": now_plus(-1)}
            connection.execute(update(shards).where(shards.c.job_id == one.id).values(**dead))
    with running_scheduler(any_database_url, redis_url):
        wait_for(lambda: count_shards(engine, other.id) == {"waiting": 1}, PROMPT_SECONDS, "the other lease to end")
    assert count_shards(engine, job.id) == {"running": 1}  # the next scheduler looks at it again
    with running_scheduler(any_database_url, redis_url, planning_seconds=0.5):
        wait_for_state(engine, job.id, JobState.FAILED)


def test_a_shard_that_killed_its_workers_is_halved_while_the_scheduler_runs(
    engine: Engine, any_database_url: str, redis_url: str
) -> None:
    job = get_job(engine, submit(engine, "quick"))
    with writing(engine) as connection:
        insert_shards(connection, job, [KeyRange(None, "3", 3)], inputs=3)
        dead = {"state": "running", "worker": "dead", "attempt": 3, "lease_until": now_plus(-1)}
        connection.execute(update(shards).where(shards.c.job_id == job.id).values(**dead))
    with running_scheduler(any_database_url, redis_url):
        wait_for(lambda: count_shards(engine, job.id) == {"split": 1, "waiting": 2}, 20, "the shard to be halved")


def test_two_schedulers_plan_each_job_once_and_take_over_from_one_that_died(
    engine: Engine, any_database_url: str, redis_url: str
) -> None:
    orphan = submit(engine, "quick")
    assert claim_planning(engine, orphan, planner="dead", lease_seconds=1) == 1
    jobs = [submit(engine, "quick") for _ in range(4)]
    with running_scheduler(any_database_url, redis_url), running_scheduler(any_database_url, redis_url):
        for job_id in (orphan, *jobs):
            wait_for_state(engine, job_id, JobState.RUNNING)
    for job_id in (orphan, *jobs):
        assert [one.event for one in list_events(engine, job_id)].count("job.planned") == 1
        assert count_shards(engine, job_id) == {"waiting": 1}


def test_a_job_whose_planning_kills_every_scheduler_fails_and_is_planned_anew_on_request(
    engine: Engine, any_database_url: str, redis_url: str
) -> None:
    job_id = submit(engine, "quick")
    for attempt in (1, 2, 3):
        assert claim_planning(engine, job_id, planner="dead", lease_seconds=-1) == attempt
    with running_scheduler(any_database_url, redis_url):
        wait_for_state(engine, job_id, JobState.FAILED)
        assert "planning never finished in 3 attempts" in (get_job(engine, job_id).detail or "")
        retry_job(engine, job_id, who="test")
        wait_for_state(engine, job_id, JobState.RUNNING)
