"""Whoever looks at scores leaves a trace, which names no record; and the log of all is for those who may see all."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, text

from db.connections.engine import writing
from db.events.event_pages import LoggedEvent, page_log
from db.schema.states import KeyRole
from tests.building import load_book
from tests.hostile.scored import RECORDS, REJECTED, scored_book
from tests.integration.api.server import RunningApi
from tests.integration.dashboard.window import Window

SCORED = RECORDS - REJECTED


def looks(engine: Engine) -> list[LoggedEvent]:
    """Return the looks at results, oldest first."""
    found = [*page_log(engine, kind="scores.*"), *page_log(engine, kind="rejects.*")]
    return sorted(found, key=lambda one: one.id)


@pytest.mark.parametrize("form", ["csv", "parquet", "arrow"])
def test_an_export_is_in_the_log_with_who_what_and_how_many(
    admin: httpx.Client, api: RunningApi, engine: Engine, form: str
) -> None:
    job = scored_book(engine)
    admin.get(f"/v1/jobs/{job}/scores.{form}")
    admin.get(f"/v1/jobs/{job}/rejects.{form}")
    found = [(one.event, one.why, one.job_id, one.portfolio) for one in looks(engine)]
    assert found == [
        ("scores.exported", f"{form}, {SCORED} scores", job, "book"),
        ("rejects.exported", f"{form}, {REJECTED} rejects", job, "book"),
    ]
    assert all(one.who.endswith("(test)") for one in looks(engine))


def test_pages_are_told_once_an_hour_for_each_key_and_job(api: RunningApi, engine: Engine) -> None:
    job = scored_book(engine)
    first, second = (api.client(api.key(KeyRole.READ)) for _ in range(2))
    for client in (first, first, first, second):
        assert client.get(f"/v1/jobs/{job}/scores", params={"limit": 2}).status_code == 200
    assert [one.event for one in looks(engine)] == ["scores.read"] * 2
    assert len({one.who for one in looks(engine)}) == 2
    with writing(engine) as connection:
        connection.execute(text("UPDATE tidemark_events SET at = '2026-01-01 00:00:00.000000'"))
    first.get(f"/v1/jobs/{job}/scores")
    assert [one.event for one in looks(engine)] == ["scores.read"] * 3


def test_what_is_refused_is_no_look(api: RunningApi, engine: Engine) -> None:
    job = scored_book(engine)
    foreign = api.client(api.key(KeyRole.READ, ["book"]))
    with writing(engine) as connection:
        connection.execute(text("UPDATE tidemark_api_keys SET portfolios = '[\"other\"]'"))
    assert foreign.get(f"/v1/jobs/{job}/scores.csv").status_code == 404
    assert looks(engine) == []


def test_one_person_looked_up_in_the_dashboard_is_told_without_the_key(api: RunningApi, engine: Engine) -> None:
    scored_book(engine)
    window = Window(api)
    window.sign_in(api.key())
    for _ in range(2):
        assert window.send("/portfolios/book/customer", {"record_key": "17"}).status_code == 200
    saved = window.send("/portfolios/book/customer/save", {"record_key": "17", "file_format": "csv"})
    assert saved.status_code == 200
    found = [(one.event, one.why, one.portfolio) for one in looks(engine)]
    look = ("scores.read", "one record in the dashboard, 1 night", "book")
    assert found == [look, look, ("scores.exported", "one record as csv, 1 night", "book")]


def command(engine: Engine, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TIDEMARK_")}
    url = engine.url.render_as_string(hide_password=False)
    settings = {"TIDEMARK_HOME": str(folder / "home"), "TIDEMARK_DATABASE_URL": url}
    line = [sys.executable, "-m", "scheduler.cli.main", *arguments]
    return subprocess.run(line, env=clean | settings, capture_output=True, text=True, check=False)


def events_by_command(engine: Engine, folder: Path, *arguments: str) -> list[dict[str, Any]]:
    done = command(engine, folder, "events", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["events"]


def test_the_command_leaves_the_same_trace_and_shows_it(engine: Engine, tmp_path: Path) -> None:
    job = scored_book(engine)
    assert command(engine, tmp_path, "scores", "export", str(job), str(tmp_path / "s.pdf")).returncode == 64
    assert looks(engine) == [], "nothing was written"
    assert command(engine, tmp_path, "scores", "export", str(job), str(tmp_path / "s.csv")).returncode == 0
    (event,) = events_by_command(engine, tmp_path, "--kind", "scores.*")
    assert (event["event"], event["job_id"], event["portfolio"]) == (
        "scores.exported",
        job,
        "book",
    )
    assert event["why"] == f"csv, {SCORED} scores, by command"
    assert command(engine, tmp_path, "events", "--kind", "key").returncode == 64


def test_what_was_done_with_keys_is_shown_to_those_who_may_see_all_alone(
    api: RunningApi, admin: httpx.Client, engine: Engine, tmp_path: Path
) -> None:
    job = scored_book(engine)
    made = admin.post("/v1/keys", json={"name": "short", "role": "read"}).json()
    admin.delete(f"/v1/keys/{made['id']}")
    asked = {"kind": "key.*"}
    shown = admin.get("/v1/events", params=asked).json()["events"]
    assert [one["event"] for one in shown[:2]] == ["key.revoked", "key.created"]
    assert made["id"] in shown[0]["why"]
    by_command = events_by_command(engine, tmp_path, "--kind", "key.revoked")
    assert [one["id"] for one in by_command] == [shown[0]["id"]]
    for key in (api.key(KeyRole.ADMIN, ["book"]), api.key(KeyRole.OPERATE), api.key(KeyRole.READ, ["book"])):
        client = api.client(key)
        assert client.get("/v1/events", params=asked).status_code == 403
        assert client.get("/v1/events", params={"portfolio": "book"}).status_code == 403
        assert "key." not in client.get(f"/v1/jobs/{job}/events").text


def test_the_log_is_paged_and_filtered_by_portfolio(admin: httpx.Client, engine: Engine) -> None:
    scored_book(engine)
    load_book(engine, [1], name="other", source="other")
    foreign = admin.post("/v1/jobs", json={"kind": "training", "portfolio": "other"}).json()["job"]
    seen: list[int] = []
    cursor: dict[str, str] = {}
    while True:
        page = admin.get("/v1/events", params={"portfolio": "book", "limit": 3, **cursor}).json()
        seen += [one["id"] for one in page["events"]]
        assert not {"other", foreign} & {named for one in page["events"] for named in (one["portfolio"], one["job"])}
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == sorted(set(seen), reverse=True)
    assert len(seen) > 3


def test_looks_do_not_bury_what_happened_to_a_job(admin: httpx.Client, engine: Engine) -> None:
    job = scored_book(engine)
    before = admin.get(f"/v1/jobs/{job}/events").text
    admin.get(f"/v1/jobs/{job}/scores.csv")
    after = admin.get(f"/v1/jobs/{job}/events").text
    assert "exported" not in after
    assert after == before
