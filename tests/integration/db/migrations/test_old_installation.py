"""A database as release 0010 left it, with work of every kind under way, goes on in this release.

`release_0010` holds it as that release wrote it: a closed job; one of whose three shards one is done, one is held by a
worker that is gone and one waits, a queued job of every kind, outcomes, a key, and a webhook.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, make_url, text

from db.access.api_keys import check_key
from db.connections.engine import opened_engine, reading
from db.errors import SchemaOutdatedError
from db.ledger.job_lifecycle import JobRequest, get_job, list_jobs, submit_job
from db.ledger.shard_leases import claim_shard, list_expired, take_back
from db.migrations.upgrade import prepare_database, upgrade_database
from db.registry.champions import find_champion
from db.results.shard_results import complete_scored_shard
from db.schema.states import JobKind, JobState
from scheduler.loop.shard_planning import plan_queued_jobs
from tests.building import BOOK, MODEL, claim, result_for

OLD = Path(__file__).parent / "release_0010"
KEYS = {
    "sqlite": "tdm_187aff8eb1ba_HuQxn83PdA2aontulYSoQUMzaAM8XutD2G5gVUlUe0M",
    "postgresql": "tdm_6a3d08f364fd_TGUd4sEz9pFBIycBlnR3NSBRpHmdQd5uqiQwuqIzaeQ",
}
CLOSED, RUNNING = 1, 3


@pytest.fixture
def old(empty_database_url: str) -> Iterator[Engine]:
    """The database of the older release, not yet upgraded."""
    url = make_url(empty_database_url)
    kind = url.get_backend_name()
    script = (OLD / f"{kind}.sql").read_text(encoding="utf-8")
    if kind == "sqlite":
        with sqlite3.connect(str(url.database)) as connection:
            connection.executescript(script)
        connection.close()
    else:
        plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(plain, autocommit=True) as server:
            server.execute(script.encode())
    with opened_engine(empty_database_url) as engine:
        yield engine


def test_it_is_not_changed_unasked(old: Engine) -> None:
    with pytest.raises(SchemaOutdatedError, match="tidemark database upgrade"):
        prepare_database(old)


def test_what_was_under_way_comes_to_its_end(old: Engine) -> None:
    assert upgrade_database(old) == "0010"
    (expired,) = list_expired(old)
    assert take_back(old, expired)
    plan_queued_jobs(old, shard_rows=30)
    for _ in range(3):  # two of the running job, and the queued night
        claimed = claim(old)
        complete_scored_shard(old, claimed, result_for(old, claimed), worker="w2")
    for queue in ("training", "monitoring"):
        assert claim_shard(old, queue, worker="w2", lease_seconds=60) is not None, queue
    jobs = {one.id: one for one in list_jobs(old)}
    nights = [one for one in jobs.values() if one.kind is JobKind.SCORING]
    assert {one.state for one in nights} == {JobState.DONE}
    assert [(one.inputs, one.scored, one.rejected) for one in sorted(nights, key=lambda one: one.id)] == [
        (30, 29, 1),
        (30, 30, 0),
        (30, 30, 0),
    ]


def test_what_was_stored_is_still_known(old: Engine) -> None:
    upgrade_database(old)
    closed = get_job(old, CLOSED)
    assert (closed.state, closed.scored, closed.rejected) == (JobState.DONE, 29, 1)
    key = check_key(old, KEYS[old.dialect.name])
    assert key is not None
    assert (key.name, key.parent) == ("old key", None)
    again = JobRequest(JobKind.SCORING, BOOK, "test", {}, MODEL, idempotency_key="night 7")
    before = len(list_jobs(old))
    submit_job(old, again)
    assert len(list_jobs(old)) == before, "the same request is the same job"
    with reading(old) as connection:
        champion = find_champion(connection, BOOK)
        counted = [
            connection.execute(text(f"SELECT count(*) FROM tidemark_{name}")).scalar_one()
            for name in ("scores", "rejects", "outcomes", "drift_reports", "webhooks")
        ]
    assert champion is not None
    assert champion.version == MODEL
    assert counted == [39, 1, 2, 1, 1]
