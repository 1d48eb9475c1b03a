"""A source that may not be read, or is locked, or meets a timeout, is the trouble of its own job alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import pytest
from sqlalchemy import Engine, make_url

from db.connections.engine import open_engine, reading
from db.errors import DatabaseReadRefusedError, DatabaseUnreachableError, SourceForbiddenError
from db.events.event_log import list_events
from db.ledger.job_lifecycle import get_job
from db.ledger.shard_leases import count_shards
from db.migrations.upgrade import prepare_database
from db.portfolios.catalog import list_portfolios
from db.portfolios.definition import Source
from db.portfolios.source_grants import grant_source
from db.schema.states import FailureCause, JobState
from db.sources.source_table import count_records, read_range
from scheduler.loop.lease_recovery import sweep
from scheduler.loop.shard_planning import plan_job
from tests.building import COLUMNS, claim
from tests.hostile.books import add_book, add_slow_book, execute, running_scheduler, submit, wait_for_state
from tests.servers import PostgresServer
from tests.waiting import wait_for
from worker.runtime.context import WorkerContext, claimed_shard
from worker.runtime.settings import WorkerSettings


@dataclass(frozen=True)
class Restricted:
    """A database whose user is no superuser: it owns Tidemark's tables and the book `open`, not the book `secret`."""

    url: str
    user: str
    engine: Engine
    owner: Engine


@pytest.fixture
def restricted(postgres_server: PostgresServer) -> Iterator[Restricted]:
    user = f"clerk_{uuid4().hex[:8]}"
    with postgres_server.fresh_database() as url:
        owner = open_engine(url)
        execute(owner, f"CREATE ROLE {user} LOGIN PASSWORD 'clerk'")
        execute(owner, f"GRANT ALL ON SCHEMA public TO {user}")
        own_url = make_url(url).set(username=user, password="clerk").render_as_string(hide_password=False)
        engine = open_engine(own_url)
        prepare_database(engine)
        add_book(engine, "open")
        add_book(engine, "secret")
        yield Restricted(own_url, user, engine, owner)
        engine.dispose()
        execute(owner, f"REASSIGN OWNED BY {user} TO CURRENT_USER")
        execute(owner, f"DROP OWNED BY {user}")
        owner.dispose()
    with postgres_server.connect() as connection:
        connection.execute(f"DROP ROLE {user}".encode())


def hide_secret(restricted: Restricted) -> None:
    """Take the right to read the book `secret` away."""
    execute(restricted.owner, "ALTER TABLE secret OWNER TO CURRENT_USER")
    execute(restricted.owner, f"REVOKE ALL ON secret FROM {restricted.user}")


def test_a_source_that_may_not_be_read_fails_its_job_alone_and_says_what_to_grant(
    restricted: Restricted, redis_url: str
) -> None:
    hide_secret(restricted)
    hidden, other = submit(restricted.engine, "secret"), submit(restricted.engine, "open")
    with running_scheduler(restricted.url, redis_url):
        wait_for_state(restricted.engine, other, JobState.RUNNING)
        wait_for_state(restricted.engine, hidden, JobState.FAILED)
    job = get_job(restricted.engine, hidden)
    assert job.cause is FailureCause.SOURCE_UNREADABLE
    assert "the source secret may not be read by the database user" in (job.detail or "")
    assert f"GRANT SELECT ON secret TO {restricted.user}" in (job.detail or "")
    assert "refuses to write" not in (job.detail or "")


def test_a_view_over_a_table_that_may_not_be_read_fails_its_job_alone(restricted: Restricted) -> None:
    execute(restricted.engine, "CREATE VIEW over_secret AS SELECT * FROM secret")
    add_book(restricted.engine, "over_secret", source="over_secret")
    hide_secret(restricted)
    job_id = submit(restricted.engine, "over_secret")
    assert plan_job(restricted.engine, job_id) is False
    job = get_job(restricted.engine, job_id)
    assert job.cause is FailureCause.SOURCE_UNREADABLE
    assert "permission denied for table secret" in (job.detail or "")


def test_a_schema_that_may_not_be_entered_is_named_with_both_grants(restricted: Restricted) -> None:
    execute(restricted.owner, "CREATE SCHEMA vault")
    execute(restricted.owner, "CREATE TABLE vault.book (id INTEGER PRIMARY KEY)")
    grant_source(restricted.engine, "open", "vault.book", who="test")
    with pytest.raises(SourceForbiddenError, match=r"GRANT USAGE ON SCHEMA vault TO .*; GRANT SELECT ON vault"):
        count_records(restricted.engine, Source("open", "vault.book"))


def test_a_worker_that_may_not_read_a_shard_fails_that_job_alone(restricted: Restricted) -> None:
    engine = restricted.engine
    hidden, other = submit(engine, "secret"), submit(engine, "open")
    assert [plan_job(engine, job_id, shard_rows=10) for job_id in (hidden, other)] == [True, True]
    hide_secret(restricted)
    context = WorkerContext(engine, WorkerSettings(), "w1")
    read: list[int] = []
    for _ in range(2):
        with claimed_shard(context, "scoring", None) as claimed:
            assert claimed is not None
            source = claimed.job.definition.records
            read.append(len(read_range(engine, source, "id", COLUMNS, claimed.key_range)))
    assert read == [3]  # the open book's
    job = get_job(engine, hidden)
    assert (job.state, job.cause) == (JobState.FAILED, FailureCause.SOURCE_UNREADABLE)
    assert "GRANT SELECT ON secret" in (job.detail or "")
    assert get_job(engine, other).state is JobState.RUNNING


def test_a_shard_that_killed_its_workers_and_may_not_be_read_stops_no_sweep(restricted: Restricted) -> None:
    engine = restricted.engine
    hidden, other = submit(engine, "secret"), submit(engine, "open")
    for job_id in (hidden, other):
        plan_job(engine, job_id, shard_rows=10)
        claim(engine, lease_seconds=-1)
    execute(engine, "UPDATE tidemark_shards SET attempt = 3 WHERE job_id = " + str(hidden))
    hide_secret(restricted)
    assert sweep(engine, max_attempts=3) == 2
    assert (get_job(engine, hidden).state, count_shards(engine, other)) == (JobState.FAILED, {"waiting": 1})


def test_a_source_that_is_locked_is_planned_when_it_is_free_and_holds_up_nobody(
    restricted: Restricted, redis_url: str
) -> None:
    execute(restricted.owner, f"ALTER ROLE {restricted.user} SET lock_timeout = '200ms'")
    locked, other = submit(restricted.engine, "secret"), submit(restricted.engine, "open")
    with running_scheduler(restricted.url, redis_url, max_attempts=10):
        with restricted.owner.begin() as connection:
            connection.exec_driver_sql("LOCK TABLE secret IN ACCESS EXCLUSIVE MODE")
            wait_for_state(restricted.engine, other, JobState.RUNNING)
            wait_for(lambda: get_job(restricted.engine, locked).detail, 30, "the lock timeout to be told")
            job = get_job(restricted.engine, locked)
            assert job.state is JobState.QUEUED
            assert "attempt 1 of 10" in (job.detail or "")
            assert "lock timeout" in (job.detail or "")
        wait_for_state(restricted.engine, locked, JobState.RUNNING)
    assert get_job(restricted.engine, locked).detail is None


def test_a_source_that_meets_its_statement_timeout_each_time_fails_alone(
    restricted: Restricted, redis_url: str
) -> None:
    add_slow_book(restricted.engine, "slow")
    execute(restricted.owner, f"ALTER ROLE {restricted.user} SET statement_timeout = '1500ms'")
    slow, other = submit(restricted.engine, "slow"), submit(restricted.engine, "open")
    with running_scheduler(restricted.url, redis_url, max_attempts=2):
        wait_for_state(restricted.engine, other, JobState.RUNNING)
        wait_for_state(restricted.engine, slow, JobState.FAILED)
    job = get_job(restricted.engine, slow)
    assert job.cause is FailureCause.SOURCE_UNREADABLE
    assert "statement timeout" in (job.detail or "")
    assert [one.event for one in list_events(restricted.engine, slow)].count("job.planning_put_off") == 1


def test_a_worker_that_meets_a_statement_timeout_tries_its_shard_again_and_pauses_nothing(
    restricted: Restricted,
) -> None:
    engine = restricted.engine
    job_id = submit(engine, "open")
    plan_job(engine, job_id, shard_rows=10)
    execute(restricted.owner, f"ALTER ROLE {restricted.user} SET lock_timeout = '200ms'")
    impatient = open_engine(restricted.url)
    context = WorkerContext(impatient, WorkerSettings(retry_delay_seconds=0), "w1")
    with restricted.owner.begin() as connection:
        connection.exec_driver_sql("LOCK TABLE open IN ACCESS EXCLUSIVE MODE")
        with claimed_shard(context, "scoring", None) as claimed:
            assert claimed is not None
            read_range(impatient, claimed.job.definition.records, "id", COLUMNS, claimed.key_range)
    impatient.dispose()
    assert (get_job(engine, job_id).state, count_shards(engine, job_id)) == (JobState.RUNNING, {"waiting": 1})


def test_a_refused_read_of_our_own_tables_is_not_called_a_refused_write(restricted: Restricted) -> None:
    execute(restricted.owner, "ALTER TABLE tidemark_portfolios OWNER TO CURRENT_USER")
    execute(restricted.owner, f"REVOKE ALL ON tidemark_portfolios FROM {restricted.user}")
    with pytest.raises(DatabaseReadRefusedError, match="denies reading: permission denied") as refused:
        list_portfolios(restricted.engine)
    assert isinstance(refused.value, DatabaseUnreachableError)
    with reading(restricted.engine) as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1
