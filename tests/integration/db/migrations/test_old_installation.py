"""A database as release 0010 left it, with work of every kind under way, goes on in this release.

`release_0010` holds it as that release wrote it: a closed job; one of whose three shards one is done, one is held by a
worker that is gone and one waits, a queued job of every kind, outcomes, a key, and a webhook.
"""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, make_url, text

from db.access.api_keys import check_key
from db.connections.engine import opened_engine, reading, writing
from db.errors import SchemaOutdatedError
from db.ledger.expired_leases import list_expired, take_back
from db.ledger.job_lifecycle import JobRequest, get_job, list_jobs, submit_job
from db.ledger.shard_leases import claim_shard
from db.migrations.upgrade import prepare_database, upgrade_database
from db.registry.champions import find_champion
from db.registry.versions import LearnedUntil, get_model
from db.results.shard_results import complete_scored_shard
from db.retraining.retraining_state import lock_retraining
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


def test_words_in_documents_become_columns(old: Engine) -> None:
    """A waiting challenger, a champion that is watched, and what the trigger remembers of both."""
    remembered = {"outcome_id": 2, "outcome_date": "2026-02-01", "as_of": "2026-01-31", "watched_id": 1}
    remembered["gated"] = {"version": MODEL, "outcome_id": 2, "shadow_nights": 3}
    with old.begin() as connection:
        for number, (task, kind) in enumerate((("gate", "fine_tuning"), ("watch", "fine_tuning"))):
            copied = connection.execute(text("SELECT * FROM tidemark_jobs WHERE id = 6")).mappings().one()
            asked = json.dumps({"task": task, "version": "m1"})
            values = dict(copied) | {
                "id": 100 + number,
                "kind": kind,
                "state": "done",
                "finished_at": copied["created_at"],
            }
            values |= {"shards_open": 0, "options": asked, "subject_job_id": None, "idempotency_key": None}
            names = ", ".join(values)
            places = ", ".join(f":{name}" for name in values)
            connection.execute(text(f"INSERT INTO tidemark_jobs ({names}) VALUES ({places})"), as_texts(values))
        connection.execute(text("DELETE FROM tidemark_retraining"))
        connection.execute(
            text("INSERT INTO tidemark_retraining (portfolio, is_held, failures, tried_until) VALUES (:b, :f, 0, :t)"),
            {"b": BOOK, "f": False, "t": json.dumps(remembered)},
        )
        until = json.dumps({"outcome_id": 1, "outcome_date": "2026-01-05", "as_of": ""})
        connection.execute(text("UPDATE tidemark_model_versions SET learned_until = :until"), {"until": until})
    upgrade_database(old)
    tasks = {one.id: (one.task, one.options) for one in list_jobs(old)}
    assert (tasks[100], tasks[101]) == (("gate", {"version": "m1"}), ("watch", {"version": "m1"}))
    assert {one.task for one in list_jobs(old) if one.kind is JobKind.SCORING} == {"score"}
    assert {one.task for one in list_jobs(old) if one.kind is JobKind.TRAINING} == {"train"}
    assert {tasks[number][0] for number in (2, 7, 8)} == {"night", "vintages"}
    assert all("task" not in options for _, options in tasks.values())
    assert get_model(old, MODEL).learned_until == LearnedUntil(1, "2026-01-05", "")
    with writing(old) as connection:
        state = lock_retraining(connection, BOOK)
    judged = get_model(old, MODEL)
    assert (judged.judged_outcome_id, judged.judged_shadow_nights) == (2, 3)
    assert judged.was_judged(shadow_nights=3, wanted=3)
    assert (state.tried_outcome_id, state.tried_as_of, state.watched_outcome_id) == (2, "2026-01-31", 1)


def as_texts(values: dict[str, Any]) -> dict[str, Any]:
    return {name: json.dumps(value) if isinstance(value, (dict, list)) else value for name, value in values.items()}
