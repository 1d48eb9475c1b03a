"""An erasure says what it looked at, what it could not look at, and that a key was nowhere; it proves nothing else."""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Engine, text

from db.connections.engine import open_engine, reading, writing
from db.erasure import erasure_bytes
from db.erasure.erasure import Person, erase_record
from db.errors import KeySecretWrongError
from db.events.event_log import record_event
from db.ledger.digests import score_digest
from db.migrations.upgrade import _config, upgrade_database
from db.portfolios.privacy_policy import PrivacyPolicy
from db.privacy.key_secret import require_key_secret
from db.results.shard_results import complete_scored_shard
from scheduler.cli.main import main
from scheduler.requests.job_submission import Request, submit_scoring
from tests.building import BOOK, MODEL, add_model, book_definition, claim, load_book, result_for, start_scoring
from tests.integration.api.server import running_api
from worker.scoring.key_hashing import hide_keys

KEY = "marker-7f3a9c"
SECRET, WRONG = "a secret of this installation", "a secret of another installation"
HASHED = PrivacyPolicy(hashed_keys=True)


@pytest.fixture
def run(engine: Engine, any_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Any:
    """Run `tidemark erase` of a key in this process; return exit code, JSON and what it said."""
    monkeypatch.setenv("TIDEMARK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TIDEMARK_DATABASE_URL", any_database_url)
    monkeypatch.delenv("TIDEMARK_KEY_SECRET", raising=False)

    def act(key: str, secret: str | None = None) -> tuple[int, dict[str, Any], str]:
        if secret is not None:
            monkeypatch.setenv("TIDEMARK_KEY_SECRET", secret)
        code = main(["erase", BOOK, key, "--json"])
        printed = capsys.readouterr()
        return code, json.loads(printed.out), printed.err

    return act


def score_hashed(engine: Engine) -> None:
    load_book(engine, [KEY, "other-1"], key_type="text", privacy=HASHED)
    add_model(engine)
    start_scoring(engine)
    claimed = claim(engine)
    require_key_secret(engine, claimed.job.definition, SECRET)
    result = result_for(engine, claimed)
    result = replace(result, digest=score_digest(result.record_keys, result.probabilities, MODEL))
    complete_scored_shard(engine, claimed, hide_keys(result, claimed, SECRET), worker="w1")


def scores_left(engine: Engine) -> int:
    with reading(engine) as connection:
        return connection.execute(text("SELECT count(*) FROM tidemark_scores")).scalar_one()


def test_done_no_such_key_and_done_before_have_exit_codes_of_their_own(engine: Engine, run: Any) -> None:
    load_book(engine, [KEY, "other-1"], key_type="text")
    code, document, _ = run("nobody")
    assert (code, document["outcome"], document["proven"]) == (5, "unknown_key", False)
    code, document, _ = run(KEY)
    assert (code, document["outcome"], document["proven"], document["erased"][BOOK]) == (0, "erased", True, 1)
    code, document, _ = run(KEY)
    assert (code, document["outcome"], document["erased"][BOOK]) == (0, "erased", 0)


def test_without_the_secret_hashed_keys_could_not_be_looked_at(engine: Engine, run: Any) -> None:
    score_hashed(engine)
    code, document, said = run(KEY)
    assert (code, document["proven"], scores_left(engine)) == (6, False, 2)
    assert "TIDEMARK_KEY_SECRET is not set" in said
    assert list(document["not_looked_at"]) == ["results under hashed keys"]


def test_a_wrong_secret_is_noticed_and_the_right_one_finishes_what_it_left(engine: Engine, run: Any) -> None:
    score_hashed(engine)
    code, document, said = run(KEY, WRONG)
    assert (code, document["proven"], scores_left(engine)) == (6, False, 2)
    assert "is not the one that keys are hashed with" in said
    code, document, _ = run(KEY, SECRET)
    assert (code, document["proven"], scores_left(engine)) == (0, True, 1)


def test_a_secret_that_was_never_checked_counts_where_it_finds_the_person(engine: Engine, run: Any) -> None:
    score_hashed(engine)
    with writing(engine) as connection:  # as an older release left it
        connection.execute(text("DELETE FROM tidemark_installation_facts WHERE name = 'key_secret_check'"))
    assert run("nobody", SECRET)[0] == 6
    assert run(KEY, SECRET)[0] == 0


def test_no_process_with_another_secret_hashes_keys(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    score_hashed(engine)
    with pytest.raises(KeySecretWrongError, match="TIDEMARK_KEY_SECRET"):
        require_key_secret(engine, book_definition(privacy=HASHED), WRONG)
    monkeypatch.setenv("TIDEMARK_KEY_SECRET", WRONG)
    with pytest.raises(Exception, match="not the secret"):
        submit_scoring(engine, BOOK, Request("me"))


def test_the_api_tells_the_same_apart_by_status_and_fields(
    engine: Engine, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    score_hashed(engine)
    with running_api(engine) as api:
        client = api.client(api.key())

        def ask(key: str) -> Any:
            return client.post(f"/v1/portfolios/{BOOK}/erasures", json={"record_key": key})

        unseen = ask(KEY)
        monkeypatch.setenv("TIDEMARK_KEY_SECRET", SECRET)
        done, unknown = ask(KEY), ask("nobody")
    assert (unseen.status_code, unseen.json()["outcome"], unseen.json()["proven"]) == (202, "not_everywhere", False)
    assert (done.status_code, done.json()["outcome"], done.json()["proven"]) == (200, "erased", True)
    assert (unknown.status_code, unknown.json()["type"]) == (404, "/problems/unknown-key")


def test_every_place_is_told_with_its_count(engine: Engine, run: Any) -> None:
    load_book(engine, [KEY, "other-1"], key_type="text")
    load_book(engine, ["other-1"], key_type="text", source="newer")
    _, document, _ = run(KEY)
    places = {
        BOOK, "newer", "tidemark_scores", "tidemark_rejects", "tidemark_outcomes", "tidemark_shards",
        "tidemark_online_requests", "tidemark_events.why", "tidemark_jobs.detail", "tidemark_jobs.idempotency_key",
        "tidemark_shards.error", "tidemark_webhook_deliveries.error", "tidemark_decisions.reason",
        "exports in progress", "uploads and trainings in progress", "model bundles",
    }  # fmt: skip
    files = {"write-ahead log", "free space of the database file"} if engine.dialect.name == "sqlite" else set()
    assert places | files <= set(document["left"])
    assert set(document["left"]) == set(document["erased"])
    assert set(document["left"].values()) == {0}
    assert any("backups" in one for one in document["beyond_reach"])


def test_a_text_that_quotes_the_key_is_redacted_and_a_count_is_not(engine: Engine, run: Any) -> None:
    load_book(engine, [KEY, "4711"], key_type="text")
    with writing(engine) as connection:
        for why in (f"customer {KEY} asked", "Key (id)=(4711) is there already", "4711 scored, 0 rejected"):
            record_event(connection, "x", who="me", why=why, portfolio=BOOK)
    assert [run(key)[1]["erased"]["tidemark_events.why"] for key in (KEY, "4711")] == [1, 1]
    with reading(engine) as connection:
        left = connection.execute(text("SELECT why FROM tidemark_events WHERE event = 'x' ORDER BY id")).scalars().all()
    assert left == ["customer (erased) asked", "Key (id)=((erased)) is there already", "4711 scored, 0 rejected"]


def test_a_log_that_a_reader_holds_is_told_and_gone_when_the_reader_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure_bytes, "LOG_WAIT_SECONDS", 0.2)
    path = tmp_path / "tidemark.db"
    engine = open_engine(f"sqlite:///{path}")
    upgrade_database(engine)
    load_book(engine, [KEY, "other-1"], key_type="text")
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM book").fetchone()
        erasure = erase_record(engine, Person(BOOK, KEY), who="test")
        assert (erasure.outcome, [one.name for one in erasure.pending]) == ("not_yet_gone", ["write-ahead log"])
        assert not erasure.is_proven
    assert erase_record(engine, Person(BOOK, KEY), who="test").is_proven
    engine.dispose()
    assert [one for one in tmp_path.iterdir() if KEY.encode() in one.read_bytes()] == []


def test_a_record_that_a_load_replaced_leaves_no_byte_in_the_file(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'tidemark.db'}")
    upgrade_database(engine)
    for _ in range(3):
        load_book(engine, [KEY, *(f"other-{row}" for row in range(300))], key_type="text")
    erase_record(engine, Person(BOOK, KEY), who="test")
    engine.dispose()
    assert [one for one in tmp_path.iterdir() if KEY.encode() in one.read_bytes()] == []


def test_a_database_of_an_older_release_remembers_its_sources_and_is_rewritten_once(empty_database_url: str) -> None:
    engine = open_engine(empty_database_url)
    _make_older(engine)
    engine.dispose()  # connections of this release overwrite what they delete
    upgrade_database(engine)
    erasure = erase_record(engine, Person(BOOK, KEY), who="test")
    assert (erasure.is_proven, erasure.erased["oldest"], erasure.left["book"]) == (True, 1, 0)
    engine.dispose()
    if empty_database_url.startswith("sqlite"):
        path = Path(empty_database_url.removeprefix("sqlite:///"))
        assert [one for one in path.parent.glob("tidemark.db*") if KEY.encode() in one.read_bytes()] == []


def _make_older(engine: Engine) -> None:
    """A database as the release before left it: a source that no job will name again, and bytes in free space."""
    now = "2026-01-01 00:00:00.000000"
    definitions = [book_definition(source=name, **more).to_json() for name, more in (("oldest", {}), ("book", {}))]
    with writing(engine) as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0010")
        connection.execute(text("PRAGMA secure_delete=OFF" if engine.dialect.name == "sqlite" else "SELECT 1"))
        add = "INSERT INTO tidemark_portfolios (name, title, definition, fingerprint, created_at, updated_at)"
        values = {"definition": definitions[1], "now": now}
        connection.execute(text(f"{add} VALUES ('book', 'A book', :definition, 'f', :now, :now)"), values)
        columns = "kind, portfolio, state, priority, request_fingerprint, requested_by, definition, options, inputs"
        counts = "scored, rejected, shards_total, shards_open, shards_failed, created_at"
        values = "'scoring', 'book', 'queued', 100, 'f', 'me', :definition, '{}', 0, 0, 0, 0, 0, 0, :now"
        add = f"INSERT INTO tidemark_jobs ({columns}, {counts}) VALUES ({values})"
        connection.execute(text(add), {"definition": definitions[0], "now": now})
        for table in ("oldest", "book"):
            connection.execute(text(f"CREATE TABLE {table} (id text, amount double precision, tidemark_row bigint)"))
        rows = [{"key": f"{KEY}" if row == 7 else f"other-{row}"} for row in range(50)]
        connection.execute(text("INSERT INTO oldest (id) VALUES (:key)"), rows)
    with writing(engine) as connection:
        connection.execute(text("PRAGMA secure_delete=OFF" if engine.dialect.name == "sqlite" else "SELECT 1"))
        connection.execute(text(f"UPDATE oldest SET id = 'moved-{KEY}' WHERE id = '{KEY}'"))
        connection.execute(text(f"UPDATE oldest SET id = '{KEY}' WHERE id = 'moved-{KEY}'"))
