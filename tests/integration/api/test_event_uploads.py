"""Events over HTTP: uploads into a table, and the events of records that are scored at once."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
from sqlalchemy import Engine, text

from db.connections.engine import reading
from db.portfolios.definition import EventsDefinition, FieldDefinition, FieldKind
from db.schema.states import KeyRole
from scheduler.api.routes.online import RecordsToScore
from scheduler.client.tidemark import Tidemark
from scheduler.client.transport import TidemarkError
from tests.building import BOOK, load_book
from tests.integration.api.server import RunningApi

EVENTS = EventsDefinition(
    "bookings", "bookings", "id", "at", type="kind", fields=(FieldDefinition("amount", FieldKind.NUMERIC),)
)
PATH = f"/v1/portfolios/{BOOK}/events/bookings"
CSV = {"Content-Type": "text/csv"}
ROWS = b"id,at,kind,amount\n1,2026-11-24,card,1.5\n1,2026-11-24T09:30:00+01:00,cash,\n2,2026-11-25,card,3\n"


@pytest.fixture
def book(engine: Engine) -> Engine:
    """A book whose portfolio has events."""
    load_book(engine, range(5), events=(EVENTS,))
    return engine


@pytest.fixture
def client(api: RunningApi, book: Engine) -> Iterator[Tidemark]:
    with Tidemark(api.url, api.key()) as made:
        yield made


def test_events_are_uploaded_and_counted(admin: httpx.Client, book: Engine) -> None:
    answer = admin.post(PATH, content=ROWS, headers=CSV)
    assert answer.status_code == 200, answer.text
    counts = {name: answer.json()[name] for name in ("loaded", "replaced", "records", "total", "refused", "dry_run")}
    assert counts == {"loaded": 3, "replaced": 0, "records": 2, "total": 3, "refused": 0, "dry_run": False}
    with reading(book) as connection:
        times = connection.execute(text("SELECT at FROM bookings ORDER BY id, at")).scalars().all()
    assert times == ["2026-11-24T00:00:00.000000", "2026-11-24T08:30:00.000000", "2026-11-25T00:00:00.000000"]


def test_present_events_need_a_mode(admin: httpx.Client, book: Engine) -> None:
    admin.post(PATH, content=ROWS, headers=CSV)
    refused = admin.post(PATH, content=ROWS, headers=CSV)
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/state-conflict")
    assert "already holds events of 2 records" in refused.json()["detail"]
    again = admin.post(PATH, content=ROWS, headers=CSV, params={"mode": "by_record"}).json()
    assert (again["replaced"], again["total"]) == (3, 3)
    added = admin.post(PATH, content=ROWS, headers=CSV, params={"mode": "append", "dry_run": True}).json()
    assert (added["total"], added["dry_run"]) == (6, True)
    assert admin.post(PATH, content=ROWS, headers=CSV, params={"mode": "replace"}).json()["total"] == 3


def test_rows_above_the_budget_refuse_the_upload_without_its_path(admin: httpx.Client, book: Engine) -> None:
    answer = admin.post(PATH, content=b"id,at,kind,amount\n1,yesterday,card,1\n", headers=CSV)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-records")
    assert answer.json()["detail"].startswith("the upload: 1 of 1 row cannot be loaded (100.00%)")


def test_an_unknown_table_or_key_is_refused_before_the_body_is_read(
    api: RunningApi, admin: httpx.Client, book: Engine
) -> None:
    unknown = admin.post(f"/v1/portfolios/{BOOK}/events/calls", content=b"not read", headers=CSV)
    assert (unknown.status_code, unknown.json()["type"]) == (404, "/problems/not-found")
    assert api.client(None).post(PATH, content=b"not read", headers=CSV).status_code == 401
    reader = api.client(api.key(KeyRole.READ))
    assert reader.post(PATH, content=b"not read", headers=CSV).status_code == 403
    load_book(api.engine, [1], name="other", source="other")
    stranger = api.client(api.key(KeyRole.OPERATE, ["other"]))
    assert stranger.post(PATH, content=b"not read", headers=CSV).status_code == 404


def test_an_upload_of_events_may_be_larger_than_another_body(admin: httpx.Client, book: Engine) -> None:
    row = b"1,2026-11-24 00:00:00.000000,a kind of event with a long name,1234567890.123\n"
    content = b"id,at,kind,amount\n" + row * (9_000_000 // len(row))
    assert len(content) > 8 << 20
    answer = admin.post(PATH, content=content, headers=CSV)
    assert answer.json()["loaded"] == 9_000_000 // len(row), answer.text


def test_the_client_loads_events_from_a_file_and_a_frame(client: Tidemark, tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_bytes(ROWS)
    assert client.load_events(BOOK, "bookings", tmp_path / "events.csv")["loaded"] == 3
    frame = pd.DataFrame({"id": [3], "at": [pd.Timestamp("2026-11-24")], "kind": ["card"], "amount": [1.0]})
    assert client.load_events(BOOK, "bookings", frame, mode="append")["total"] == 4
    assert client.load_events(BOOK, "bookings", frame, mode="by_record", dry_run=True)["replaced"] == 1
    with pytest.raises(TidemarkError, match="event table calls does not exist"):
        client.load_events(BOOK, "calls", frame)


def score(records: list[Any]) -> RecordsToScore:
    return RecordsToScore.model_validate({"portfolio": BOOK, "records": records})


def test_a_record_to_score_may_hold_its_events() -> None:
    events = {"bookings": [{"at": "2026-11-24", "kind": "card", "amount": 1.5}], "calls": []}
    assert score([{"id": 1, "events": events}, {"id": 2, "events": None}, {"id": 3}]).records == [
        {"id": 1, "events": events},
        {"id": 2, "events": None},
        {"id": 3},
    ]


def many(count: int) -> dict[str, Any]:
    return {"events": {"a": [{}] * (count // 2), "b": [{}] * (count - count // 2)}}


@pytest.mark.parametrize(
    ("records", "pointer", "detail"),
    [
        ([{"amount": 1}, {"amount": {"a": 1}}], "#/records/1/amount", "valid"),
        ([{"amount": {"a": []}}], "#/records/0/amount", "valid"),
        ([{"events": [1]}], "#/records/0/events", "valid"),
        ([{"events": {"bookings": 5}}], "#/records/0/events/bookings", "valid list"),
        ([{"events": {"bookings": [{}, 5]}}], "#/records/0/events/bookings/1", "valid dictionary"),
        ([{"events": {"bookings": [{"at": [1]}]}}], "#/records/0/events/bookings/0/at", "valid"),
        ([{}, many(10_001)], "#/records/1", "at most 10,000 events in a record, got 10,001; send the newest"),
        ([many(10_000)] * 11, "#/records", "at most 100,000 events in a request, got 110,000; send it in parts"),
    ],
)
def test_wrong_or_too_many_events_are_told_with_their_place(
    admin: httpx.Client, records: list[Any], pointer: str, detail: str
) -> None:
    body = json.dumps({"portfolio": BOOK, "records": records})
    answer = admin.post("/v1/score", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text
    mistakes = answer.json()["errors"]
    assert {one["pointer"] for one in mistakes} == {pointer}
    assert any(detail in one["detail"] for one in mistakes), mistakes
