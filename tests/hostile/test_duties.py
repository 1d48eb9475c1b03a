"""One duty of the scheduler that fails, one book, one schedule or one queue stops none of the others."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine, func, insert, select, update

from db.connections.clock import now_plus
from db.connections.engine import open_engine, reading, writing
from db.ledger.job_lifecycle import JobRequest, get_job, list_jobs, submit_job
from db.ledger.shard_leases import count_shards
from db.migrations.upgrade import prepare_database
from db.operations.processes import list_processes
from db.portfolios.catalog import save_portfolio
from db.registry.champions import Decision, decide
from db.schedules.timetable import ScheduleRequest
from db.schema.core_tables import jobs, scores, shards
from db.schema.schedule_tables import schedules
from db.schema.states import JobKind, JobState, PauseCause
from scheduler.errors import RedisRefusesWritesError
from scheduler.loop import process
from scheduler.loop.hint_dispatch import WINDOW, dispatch_waiting, open_producer
from scheduler.loop.pause_healing import pause_for_redis
from scheduler.loop.schedule_firing import fire_due_schedules
from scheduler.loop.shard_planning import plan_job
from scheduler.requests.schedule_changes import add_schedule
from tests.building import book_definition
from tests.flow.installation import Installation
from tests.hostile.books import add_book, execute, running_scheduler, submit, wait_for_state
from tests.servers import PostgresServer, RedisServer
from tests.waiting import wait_for


@pytest.fixture
def engine(any_database_url: str) -> Iterator[Engine]:
    """A good book and a bad one on each kind of database."""
    opened = open_engine(any_database_url)
    add_book(opened, "good")
    add_book(opened, "bad")
    yield opened
    opened.dispose()


def spoil(engine: Engine, name: str) -> None:
    """Leave a portfolio's definition as no program can read it."""
    execute(engine, f"UPDATE tidemark_portfolios SET definition = '[]' WHERE name = '{name}'")


def add_old_result(engine: Engine) -> None:
    """A finished job with a score that its portfolio keeps for a day, two days old."""
    privacy = replace(book_definition().privacy, scores_days=1)
    save_portfolio(engine, replace(book_definition(), name="good", source="good", privacy=privacy), who="test")
    job_id = submit(engine, "good")
    with writing(engine) as connection:
        ended = {"state": "done", "inputs": 1, "scored": 1, "finished_at": now_plus(-2 * 24 * 3600)}
        connection.execute(update(jobs).where(jobs.c.id == job_id).values(**ended))
        row = {"job_id": job_id, "record_key": "1", "shard_id": 1, "token": 1, "probability": 0.5, "points": 500}
        connection.execute(insert(scores).values(**row, band="D"))


def count_scores(engine: Engine) -> int:
    with reading(engine) as connection:
        return connection.execute(select(func.count()).select_from(scores)).scalar_one()


def test_results_go_when_their_time_comes_while_the_scheduler_runs(
    engine: Engine, any_database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert process.RETENTION_SECONDS == 60
    monkeypatch.setattr(process, "RETENTION_SECONDS", 0.3)
    with running_scheduler(any_database_url, redis_url):
        wait_for(lambda: list_processes(engine), 20, "the scheduler to run")
        add_old_result(engine)
        wait_for(lambda: count_scores(engine) == 0, 20, "the old scores to be removed")


def test_a_timetable_and_a_retention_that_fail_stop_neither_planning_nor_dispatch(
    engine: Engine, any_database_url: str, redis_url: str, redis_server: RedisServer
) -> None:
    job_id = submit(engine, "good")
    spoil(engine, "bad")  # retention reads every portfolio
    execute(engine, "ALTER TABLE tidemark_schedules RENAME TO tidemark_schedules_gone")
    with running_scheduler(any_database_url, redis_url), redis_server.client() as client:
        wait_for_state(engine, job_id, JobState.RUNNING)
        wait_for(lambda: client.llen("scoring") == 1, 20, "the shard to be named")


def test_a_job_that_cannot_be_read_stops_no_other_planning_and_fails_alone(
    engine: Engine, any_database_url: str, redis_url: str
) -> None:
    bad, good = submit(engine, "bad"), submit(engine, "good")
    execute(engine, f"UPDATE tidemark_jobs SET model_version = 'nowhere' WHERE id = {bad}")
    with running_scheduler(any_database_url, redis_url):
        wait_for_state(engine, good, JobState.RUNNING)
        wait_for_state(engine, bad, JobState.FAILED)
    assert "nowhere" in (get_job(engine, bad).detail or "")


def test_a_schedule_that_raises_keeps_no_other_from_firing(engine: Engine) -> None:
    for name in ("bad", "good"):
        with writing(engine) as connection:
            decision = Decision(
                name, f"m-{name}", None, promoted=True, reason="test", figures={}, decided_by="test", job_id=None
            )
            decide(connection, decision, champion_before=None)
        added, _ = add_schedule(engine, ScheduleRequest(name, "0 0 1 1 *", "Europe/Berlin"), who="test")
        assert added.next_due_at is not None
        due = added.next_due_at - timedelta(days=366)
        with writing(engine) as connection:
            connection.execute(update(schedules).where(schedules.c.id == added.id).values(next_due_at=due))
    spoil(engine, "bad")
    assert len(fire_due_schedules(engine, grace_seconds=300)) == 1
    assert [job.portfolio for job in list_jobs(engine)] == ["good"]


def submit_training(engine: Engine, name: str) -> int:
    """Ask for a model, and plan it."""
    job_id = submit_job(engine, JobRequest(JobKind.TRAINING, name, "test", {}))
    plan_job(engine, job_id)
    return job_id


def test_a_queue_that_takes_no_message_holds_up_neither_the_others_nor_their_jobs(
    engine: Engine, redis_url: str, redis_server: RedisServer
) -> None:
    training, scoring = submit_training(engine, "bad"), submit(engine, "good", priority=200)
    plan_job(engine, scoring)
    with redis_server.client() as client:
        client.set("training", "not a list")
        with pytest.raises(RedisRefusesWritesError, match="WRONGTYPE") as refused:
            dispatch_waiting(engine, open_producer(redis_url))
        assert client.llen("scoring") == 1
    pause_for_redis(engine, refused.value, seconds=60)
    assert get_job(engine, scoring).state is JobState.RUNNING
    job = get_job(engine, training)
    assert (job.state, job.cause) == (JobState.PAUSED, PauseCause.REDIS_REFUSES_WRITES)


def test_a_queue_that_nobody_knows_holds_up_no_other(engine: Engine, redis_url: str) -> None:
    bad, good = submit(engine, "bad", priority=10), submit(engine, "good")
    for job_id in (bad, good):
        plan_job(engine, job_id)
    with writing(engine) as connection:  # as a newer program writes it
        connection.execute(update(shards).where(shards.c.job_id == bad).values(queue="gpu"))
    assert dispatch_waiting(engine, open_producer(redis_url)) == 1


def test_a_flood_on_one_queue_hides_no_work_of_another(engine: Engine, redis_url: str) -> None:
    flood = submit(engine, "good", priority=10)
    plan_job(engine, flood, shard_rows=1)
    with writing(engine) as connection:
        row = {"job_id": flood, "queue": "scoring", "priority": 10}
        rows = [row | {"ordinal": ordinal} for ordinal in range(10, 10 + 2 * WINDOW)]
        connection.execute(insert(shards), rows)
    producer = open_producer(redis_url)
    assert dispatch_waiting(engine, producer) == WINDOW  # the queue is full from now on
    submit_training(engine, "bad")
    assert dispatch_waiting(engine, producer) == 1
    assert count_shards(engine, flood)["waiting"] > 2 * WINDOW


def test_a_scheduler_that_starts_while_the_database_is_away_waits_and_works(
    postgres_server: PostgresServer, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with postgres_server.fresh_database() as url:
        engine = open_engine(url)
        prepare_database(engine)
        add_book(engine, "good")
        job_id = submit(engine, "good")
        engine.dispose()
        postgres_server.stop("fast")
        settings = {"TIDEMARK_DATABASE_URL": url, "TIDEMARK_REDIS_URL": redis_url}
        installation = Installation(tmp_path_factory.mktemp("late"), settings)
        try:
            started = installation.start("scheduler")
            with pytest.raises(AssertionError, match="in vain"):
                wait_for(lambda: started.poll() is not None, 8, "the scheduler to give up, which it must not")
            postgres_server.start()
            wait_for_state(engine, job_id, JobState.RUNNING, 60)
        finally:
            if not postgres_server.is_running:
                postgres_server.start()
            installation.close()
            engine.dispose()
