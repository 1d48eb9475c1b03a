"""The doctor names what keeps jobs from finishing, and what to do."""

import json
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from db.connections.engine import opened_engine, writing
from db.ledger.automatic_pauses import Trouble, pause_waiting_jobs
from db.ledger.job_control import pause_job
from db.ledger.job_lifecycle import JobRequest, get_job, submit_job
from db.ledger.shard_leases import renew_lease
from db.operations.processes import mark_seen
from db.schema.states import JobKind, PauseCause
from scheduler.cli.exit_codes import FAILED
from scheduler.cli.main import main
from scheduler.installation.doctor import Finding, examine
from tests.building import BOOK, MODEL, add_model, claim, load_book, start_scoring


@pytest.fixture
def book(any_database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """A book with a running job of three shards, in the installation that the environment names."""
    with opened_engine(any_database_url) as engine:
        monkeypatch.setenv("TIDEMARK_DATABASE_URL", any_database_url)
        monkeypatch.delenv("TIDEMARK_REDIS_URL", raising=False)
        load_book(engine, range(30))
        add_model(engine)
        start_scoring(engine, shard_rows=10)
        yield engine


def findings(check: str) -> list[Finding]:
    return [one for one in examine() if one.check == check]


def unfinishable() -> list[tuple[str, str]]:
    return [(one.found, one.advice) for one in findings("jobs that cannot finish") if one.state == "warn"]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("TIDEMARK_API_PORT", "abc", "valid integer"),
        ("TIDEMARK_SHARD_ROWS", "many", "valid integer"),
        ("TIDEMARK_TRAINING_MEMORY_MB", "-5", "greater than or equal to 0"),
        ("TIDEMARK_TRAINING_LEASE_SECONDS", "1", "more than twice"),
    ],
)
def test_a_setting_that_any_process_would_refuse_is_named(
    book: Engine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    value: str,
    expected: str,
) -> None:
    monkeypatch.setenv(name, value)
    assert main(["doctor", "--json"]) == FAILED
    (output,) = (one for one in json.loads(capsys.readouterr().out)["checks"] if one["check"] == "settings")
    assert output["state"] == "fail"
    assert all(word in output["found"] for word in (name, value, expected)), output


def test_settings_that_are_valid_are_told_and_every_mistake_is_told_once(
    book: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [one.state for one in findings("settings")] == ["ok"]
    monkeypatch.setenv("TIDEMARK_LEASE_SECONDS", "soon")  # a scheduler and a worker read it
    monkeypatch.setenv("TIDEMARK_API_HOST", "::1")
    monkeypatch.setenv("TIDEMARK_API_PORT", "99999")
    assert [one.found.partition(":")[0] for one in findings("settings")] == [
        "TIDEMARK_LEASE_SECONDS",
        "TIDEMARK_API_PORT",
    ]


@pytest.mark.parametrize("name", ["TIDEMARK_KEY_SECRET", "TIDEMARK_DASHBOARD_SECRET"])
def test_a_secret_that_is_too_short_is_named_and_not_shown(
    book: Engine, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "hush-hush")
    (result,) = findings("settings")
    assert name in result.found
    assert "hush" not in result.found


def test_an_installation_that_works_has_no_finding(book: Engine) -> None:
    mark_seen(book, "s", "scheduler")
    mark_seen(book, "w", "worker:scoring,monitoring")
    assert unfinishable() == []
    checks = {one.check: one.state for one in examine()}
    assert {"versions", "free disk", "database", "tables", "clock skew", "database writes", "lost leases"} <= set(
        checks
    )
    assert set(checks.values()) <= {"ok", "warn"}
    assert checks["lost leases"] == checks["clock skew"] == checks["database writes"] == "ok"


def test_a_job_without_a_scheduler_or_a_worker_is_named(book: Engine) -> None:
    assert unfinishable() == [("job 1: no scheduler is running", "start one: tidemark up")]
    mark_seen(book, "s", "scheduler")
    mark_seen(book, "w", "worker:training")
    ((found, advice),) = unfinishable()
    assert found == "job 1: no worker serves the queue scoring"
    assert "tidemark worker --queues scoring" in advice


def test_a_paused_job_is_named_with_its_cause(book: Engine) -> None:
    pause_waiting_jobs(book, Trouble(PauseCause.REDIS_REFUSES_WRITES, "out of memory", 60), who="scheduler")
    assert unfinishable()[0][0] == "job 1: paused, redis_refuses_writes: out of memory"
    pause_job(book, 1, who="me")
    assert unfinishable() == [("job 1: paused by a person", "tidemark job resume 1")]


def test_a_job_whose_counters_cannot_reach_zero_is_named(book: Engine) -> None:
    mark_seen(book, "s", "scheduler")
    with writing(book) as connection:
        connection.execute(text("UPDATE tidemark_jobs SET shards_open = 2"))
    ((found, advice),) = unfinishable()
    assert found == "job 1: its row says 2 open shards, but there are 3"
    assert "tidemark job cancel 1" in advice
    assert get_job(book, 1).shards_open == 2


def test_a_job_that_nobody_plans_is_named(book: Engine) -> None:
    mark_seen(book, "s", "scheduler")
    mark_seen(book, "w", "worker:scoring")
    submit_job(book, JobRequest(JobKind.SCORING, BOOK, "me", {}, MODEL))
    assert unfinishable() == []
    with writing(book) as connection:
        long_ago = "UPDATE tidemark_jobs SET created_at = '2026-01-01 00:00:00.000000' WHERE state = 'queued'"
        connection.execute(text(long_ago))
    ((found, _),) = unfinishable()
    assert found.startswith("job 2: not planned for ")


def test_lost_leases_are_counted(book: Engine) -> None:
    renew_lease(book, claim(book), lease_seconds=-1)
    (found,) = findings("lost leases")
    assert (found.state, found.found) == ("warn", "1")
