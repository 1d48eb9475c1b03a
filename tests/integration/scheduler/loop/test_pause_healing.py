"""A Redis that refuses to write pauses the jobs that need it, and they go on by themselves when it takes messages."""

import pytest
from sqlalchemy import Engine, update

from db.connections.clock import now_plus
from db.connections.engine import writing
from db.events.event_log import list_events
from db.ledger.job_control import pause_job, resume_job
from db.ledger.job_lifecycle import get_job
from db.schema.core_tables import jobs
from db.schema.states import JobState, PauseCause
from scheduler.errors import RedisRefusesWritesError
from scheduler.loop.hint_dispatch import dispatch_waiting, open_producer
from scheduler.loop.pause_healing import pause_for_redis, resume_healed_jobs
from tests.building import add_model, load_book, start_scoring
from tests.servers import RedisServer

REFUSALS = {
    "full": ({"maxmemory": "1"}, "memory"),
    "disk": ({"min-replicas-to-write": "1"}, "replicas"),
}


@pytest.fixture
def book(engine: Engine) -> Engine:
    """A book with a job of three shards."""
    load_book(engine, range(30))
    add_model(engine)
    start_scoring(engine, shard_rows=10)
    return engine


@pytest.mark.parametrize("refusal", REFUSALS)
def test_redis_that_refuses_writes_pauses_the_job_until_it_takes_them(
    book: Engine, redis_url: str, redis_server: RedisServer, refusal: str
) -> None:
    settings, said = REFUSALS[refusal]
    producer = open_producer(redis_url)
    with redis_server.client() as client:
        before = {name: client.config_get(name)[name] for name in settings}
        try:
            for name, value in settings.items():
                client.config_set(name, value)
            with pytest.raises(RedisRefusesWritesError, match=said) as refused:
                dispatch_waiting(book, producer)
            pause_for_redis(book, refused.value, seconds=0)
            job = get_job(book, 1)
            assert (job.state, job.cause) == (JobState.PAUSED, PauseCause.REDIS_REFUSES_WRITES)
            assert said in (job.detail or "")
            assert resume_healed_jobs(book, producer, seconds=0) == []
            assert get_job(book, 1).state is JobState.PAUSED
        finally:
            for name, value in before.items():
                client.config_set(name, value)
    assert resume_healed_jobs(book, producer, seconds=0) == [1]
    assert dispatch_waiting(book, producer) == 3
    assert [one.event for one in list_events(book, 1)][-2:] == ["job.paused", "job.resumed"]


def test_a_person_may_take_over_a_job_that_paused_by_itself(book: Engine, redis_url: str) -> None:
    for act, state in ((pause_job, JobState.PAUSED), (resume_job, JobState.RUNNING)):
        pause_for_redis(book, RedisRefusesWritesError("full"), seconds=0)
        assert act(book, 1, who="me").state is state
        assert get_job(book, 1).cause is None
        with writing(book) as connection:
            connection.execute(update(jobs).where(jobs.c.resume_at.is_not(None)).values(resume_at=now_plus()))
        assert resume_healed_jobs(book, open_producer(redis_url), seconds=0) == []
        assert get_job(book, 1).state is state
        resume_job(book, 1, who="me")
