"""A flood of urgent jobs keeps no other waiting for ever: every so many claims go to the oldest job."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, insert, update

from db.connections.clock import now_plus
from db.connections.engine import open_engine, writing
from db.ledger.job_lifecycle import get_job
from db.ledger.plannings import AGED_SECONDS, list_unplanned
from db.ledger.shard_leases import claim_ahead, claim_shard, insert_shards
from db.schema.core_tables import jobs, portfolios, shards
from db.schema.states import PRIORITIES
from db.sources.source_table import KeyRange
from tests.hostile.books import add_book, submit
from worker.runtime.context import WorkerContext
from worker.runtime.settings import WorkerSettings
from worker.runtime.turns import Turns

EVERY = 8


@pytest.fixture
def engine(any_database_url: str) -> Iterator[Engine]:
    """A book of the night and one that people ask for, on each kind of database."""
    opened = open_engine(any_database_url)
    add_book(opened, "night")
    add_book(opened, "urgent")
    yield opened
    opened.dispose()


def start(engine: Engine, name: str, priority: str, count: int) -> int:
    """Submit a job and cut it into so many shards."""
    job_id = submit(engine, name, PRIORITIES[priority])
    job = get_job(engine, job_id)
    with writing(engine) as connection:
        insert_shards(connection, job, [KeyRange(None, "1", 1)] * count, inputs=count)
    return job_id


def worker(engine: Engine, every: int = EVERY) -> WorkerContext:
    return WorkerContext(engine, WorkerSettings(), "w1", turns=Turns(every))


def claim_jobs(context: WorkerContext, count: int, hint: int | None = None) -> list[int]:
    claims = [context.claim("scoring", hint) for _ in range(count)]
    return [one.job.id for one in claims if one is not None]


def test_under_a_flood_one_of_so_many_claims_is_the_oldest_jobs(engine: Engine) -> None:
    night = start(engine, "night", "nightly", 20)
    start(engine, "urgent", "interactive", 200)
    claimed = claim_jobs(worker(engine), 10 * EVERY)
    assert claimed.count(night) == 10
    assert all(night in claimed[first : first + EVERY] for first in range(9 * EVERY))


def test_a_hint_does_not_take_the_turn_of_the_oldest_job(engine: Engine) -> None:
    night = start(engine, "night", "nightly", 20)
    start(engine, "urgent", "interactive", 200)
    assert claim_jobs(worker(engine), EVERY, hint=100).count(night) == 1


def test_reading_ahead_has_the_same_turns(engine: Engine) -> None:
    night = start(engine, "night", "nightly", 20)
    start(engine, "urgent", "interactive", 200)
    context = worker(engine)
    ahead = [context.claim_ahead("scoring") for _ in range(EVERY)]
    assert [one.job.id for one in ahead if one is not None].count(night) == 1


def test_without_turns_the_priority_alone_decides(engine: Engine) -> None:
    night = start(engine, "night", "nightly", 20)
    start(engine, "urgent", "interactive", 200)
    assert night not in claim_jobs(worker(engine, every=0), 3 * EVERY)


def test_of_two_that_wait_the_older_is_served_first_and_then_the_other(engine: Engine) -> None:
    first, second = start(engine, "night", "normal", 2), start(engine, "night", "nightly", 2)
    start(engine, "urgent", "interactive", 200)
    claimed = claim_jobs(worker(engine), 4 * EVERY)
    assert [one for one in claimed if one in {first, second}] == [first, first, second, second]


def test_the_oldest_that_may_run_has_the_turn_not_one_that_is_paused_delayed_or_at_its_limit(engine: Engine) -> None:
    paused = start(engine, "urgent", "nightly", 1)
    delayed = start(engine, "urgent", "nightly", 1)
    limited = start(engine, "night", "nightly", 3)
    open_job = start(engine, "urgent", "nightly", 3)
    with writing(engine) as connection:
        connection.execute(update(jobs).where(jobs.c.id == paused).values(state="paused"))
        connection.execute(update(shards).where(shards.c.job_id == delayed).values(available_at=now_plus(60)))
        connection.execute(update(portfolios).where(portfolios.c.name == "night").values(running_shards=1))
    options = {"worker": "w1", "lease_seconds": 60.0, "oldest_first": True}
    claims = [claim_shard(engine, "scoring", **options) for _ in range(3)]
    assert [one.job.id for one in claims if one is not None] == [limited, open_job, open_job]
    assert claim_ahead(engine, "scoring", **options) is not None


def test_a_flood_of_urgent_jobs_hides_no_other_book_from_planning(engine: Engine) -> None:
    night = submit(engine, "night", PRIORITIES["nightly"])
    one = get_job(engine, submit(engine, "urgent", PRIORITIES["interactive"]))
    row = {
        "kind": "scoring",
        "task": "score",
        "portfolio": "urgent",
        "priority": 10,
        "requested_by": "test",
        "options": {},
    }
    row |= {"definition": one.definition.to_json(), "request_fingerprint": "x", "model_version": "m-urgent"}
    with writing(engine) as connection:
        connection.execute(insert(jobs), [row] * 500)
    assert [job.job_id for job in list_unplanned(engine)] == [one.id, night]


def test_a_job_that_waited_long_is_planned_before_more_urgent_ones(engine: Engine) -> None:
    old = submit(engine, "urgent", PRIORITIES["nightly"])
    submit(engine, "urgent", PRIORITIES["interactive"])
    with writing(engine) as connection:
        connection.execute(update(jobs).where(jobs.c.id == old).values(created_at=now_plus(-AGED_SECONDS - 1)))
    assert list_unplanned(engine)[0].job_id == old
