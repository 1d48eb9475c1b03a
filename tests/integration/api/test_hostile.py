"""A hundred hostile requests: each gets the refusal that the documentation names, and nothing is written."""

import gzip
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine, func, select

from db.access.api_keys import KeyRequest, create_key, revoke_key
from db.connections.engine import opened_engine, reading
from db.migrations.upgrade import prepare_database
from db.schema.all_tables import metadata
from db.schema.states import KeyRole
from tests.building import add_model, load_book
from tests.integration.api.server import RunningApi, running_api

MEBIBYTE = 1 << 20
JSON = {"Content-Type": "application/json"}
TOML = {"Content-Type": "application/toml"}
CSV = {"Content-Type": "text/csv"}
LINES = {"Content-Type": "application/x-ndjson"}
PARQUET = {"Content-Type": "application/vnd.apache.parquet"}
RECORDS = "/v1/portfolios/book/records"
TRAIN = {"kind": "training", "portfolio": "book"}

Case = tuple[str, str, dict[str, Any], set[int]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    """One API for every case: none of them may change anything."""
    with opened_engine(f"sqlite:///{tmp_path_factory.mktemp('hostile') / 'tidemark.db'}") as engine:
        prepare_database(engine)
        load_book(engine, [1, 2, 3])
        load_book(engine, [1], name="other", source="other")
        add_model(engine)
        limits = {"api_body_bytes": MEBIBYTE, "api_upload_bytes": MEBIBYTE, "api_upload_rows": 1000}
        with running_api(engine, **limits, api_requests_per_minute=100_000) as api:
            yield api


def parquet_of(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def hostile_bodies() -> Iterator[Case]:
    """JSON that is too large, too deep, broken, or holds what no database stores."""
    deep = "[" * 100_000 + "]" * 100_000
    bodies: list[tuple[bytes | str, set[int]]] = [
        (b"x" * (2 * MEBIBYTE), {413}),
        (deep, {400}),
        ('{"kind":' * 50_000, {400}),
        (json.dumps(TRAIN | {"seed": [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]}), {400}),
        (b"\xff\xfe\x00{", {400}),
        (json.dumps(TRAIN).encode("utf-16"), {400}),
        (b"\xef\xbb\xbf" + json.dumps(TRAIN).encode(), {400}),
        ("", {422}),
        ("null", {422}),
        ("[]", {422}),
        ("17", {422}),
        ('"text"', {422}),
        ("{", {400}),
        ('{"kind": "training", "portfolio": "book"', {400}),
        ('{"kind": "training", "kind": "scoring", "portfolio": "book"}', {400}),
        ('{"kind": "training", "portfolio": "book", "seed": NaN}', {400}),
        ('{"kind": "training", "portfolio": "book", "seed": Infinity}', {400}),
        ('{"kind": "training", "portfolio": "book", "seed": 1e999}', {400}),
        ('{"kind": "training", "portfolio": "book", "seed": ' + "9" * 5000 + "}", {400}),
        ('{"kind": "training", "portfolio": "book", "seed": 9999999999}', {422}),
        ('{"kind": "training", "portfolio": "book", "seed": -1}', {422}),
        ('{"kind": "training", "portfolio": "book", "seed": 1.5}', {422}),
        ('{"kind": "training", "portfolio": "book", "epochs": 1000000}', {422}),
        ('{"kind": "training", "portfolio": "book", "epochs": "many"}', {422}),
        ('{"kind": "training", "portfolio": "book", "hold": "maybe so"}', {422}),
        ('{"kind": "training", "portfolio": "book\\u0000"}', {400}),
        ('{"kind": "training", "portfolio": "\\ud800"}', {400}),
        ('{"kind": "monitoring", "portfolio": "book"}', {422}),
        ('{"portfolio": "book"}', {422}),
        ('{"kind": "training"}', {422}),
        ('{"kind": "training", "portfolio": "book", "requested_by": "root"}', {422}),
        ('{"kind": "training", "portfolio": "book", "priority": "now"}', {422}),
        ('{"kind": "training", "portfolio": "book", "__proto__": {"admin": true}}', {422}),
        ('{"kind": "scoring", "portfolio": "book", "model_version": "absent"}', {404}),
        ('{"kind": "scoring", "portfolio": "book", "model_version": "../../etc/passwd"}', {422}),
        ('{"kind": "scoring", "portfolio": "other"}', {409}),
        ('{"kind": "scoring", "portfolio": "absent"}', {404}),
        ("a=1&b=2", {400}),
    ]
    for body, statuses in bodies:
        yield "POST", "/v1/jobs", {"content": body, "headers": JSON}, statuses
    yield "POST", "/v1/jobs", {"content": json.dumps(TRAIN), "headers": {"Content-Type": "text/plain"}}, {415}
    yield "POST", "/v1/jobs", {"data": {"kind": "training"}}, {415}
    yield "POST", "/v1/jobs", {"files": {"file": b"x"}}, {415}
    for key in ("", "x" * 300, "späte Nacht", "a b"):
        yield "POST", "/v1/jobs", {"json": TRAIN, "headers": {"Idempotency-Key": key.encode()}}, {422}


def hostile_names() -> Iterator[Case]:
    """Path tricks, SQL and formulas where a name belongs."""
    names = (
        "..", "../book", "..%2F..%2Fetc%2Fpasswd", "%2e%2e%2f", "book%00", "book'%20OR%20'1'='1", "book;DROP%20x",
        "BOOK", "b" * 100, "=1+1", "%ff%fe", "book%0a", "~root", "C:%5Cwindows", "{{7*7}}", "$(id)",
    )  # fmt: skip
    for name in names:
        yield "GET", f"/v1/portfolios/{name}", {}, {404, 422}
    for job in ("0", "-1", "1e3", "99999999999999999999", "abc", "1%20OR%201=1", "0x1", "NaN", "1.5", "%F0%9F%92%A9"):
        yield "GET", f"/v1/jobs/{job}", {}, {404, 422}
    for query in (
        "limit=0", "limit=1001", "limit=x", "limit=-5", "cursor=../x", "cursor=0", "cursor='", "state=gone", "kind=x",
        "portfolio=Book", "portfolio=%00", "cursor=99999999999999999999",
    ):  # fmt: skip
        yield "GET", f"/v1/jobs?{query}", {}, {422}
    for path in ("scores.exe", "scores.csv.gz", "scores.", "rejects.xlsx", "scores.csv%00"):
        yield "GET", f"/v1/jobs/1/{path}", {}, {404, 422}
    for method, path in (
        ("PUT", "/v1/jobs"),
        ("DELETE", "/v1/jobs/1"),
        ("PATCH", "/v1/portfolios"),
        ("TRACE", "/v1/jobs"),
    ):
        yield method, path, {}, {405}
    for reason in ({"why": "x" * 501}, {"why": "a\u0007b"}, {"why": 5}, {"who": "root"}):
        yield "POST", "/v1/jobs/1/cancel", {"json": reason}, {404, 422}


def hostile_portfolios() -> Iterator[Case]:
    """Portfolio files with names that no database should see."""
    field = '\n[fields.amount]\nkind = "numeric"\n'
    heads = (
        'name = "x"', 'name = "x"\nkey = "tidemark_jobs"', 'name = "x"\nkey = "id\\u0000"',
        'name = "x"\nkey = "id"\nsource = "a.b.c"', 'name = "x"\nkey = "id"\nsource = "tidemark_api_keys"',
        'name = "../x"\nkey = "id"', "name = \"x'; DROP TABLE tidemark_jobs; --\"\nkey = \"id\"",
        'name = "x"\nkey = "id"\ntitle = "a\\u0000b"', 'name = "x"\nkey = "id"\nunknown = 1', "name = = 1", "[[[",
        "\u0000",
        f'name = "x"\nkey = "{"k" * 64}"', 'name = "x"\nkey = "id"\ntarget = "id"',
    )  # fmt: skip
    for head in heads:
        yield "POST", "/v1/portfolios", {"content": head + field, "headers": TOML}, {400, 422}
    yield "POST", "/v1/portfolios", {"content": b"name = \xff", "headers": TOML}, {400}
    yield "POST", "/v1/portfolios", {"content": "[" * 100_000, "headers": TOML}, {422}
    yield "POST", "/v1/portfolios", {"content": "a." * 100_000 + "a = 1", "headers": TOML}, {422}
    yield "POST", "/v1/portfolios", {"json": ["name"]}, {422}
    yield "POST", "/v1/portfolios", {"json": {"name": "x", "key": {"a": 1}}}, {422}
    yield "POST", "/v1/portfolios", {"content": "x", "headers": {"Content-Type": "text/xml"}}, {415}


def hostile_uploads() -> Iterator[Case]:
    """Broken, oversized, packed and mislabelled uploads."""
    head = b"id,bad,amount,colour\n"
    bomb = gzip.compress(head + b"1,0,1,red\n" * 2_000_000)
    rows = pa.table({"id": range(5000), "bad": [0] * 5000, "amount": [1.0] * 5000, "colour": ["red"] * 5000})
    nested = pa.table({"id": [1], "bad": [0], "amount": [[1.0]], "colour": ["red"]})
    good = parquet_of(rows.slice(0, 3))
    packed = {"Content-Encoding": "gzip"}
    cases: list[tuple[bytes, dict[str, str], set[int]]] = [
        (bomb, CSV | packed, {413}),
        (gzip.compress(bomb), CSV | packed, {422}),
        (bomb[:1000], CSV | packed, {400}),
        (b"not gzip", CSV | packed, {400}),
        (zlib.compress(head), CSV | packed, {400}),
        (good, PARQUET | packed, {415}),
        (head, CSV | {"Content-Encoding": "br"}, {415}),
        (head + b"x" * (2 * MEBIBYTE), CSV, {413}),
        (head + b"1,0,1,red\n" * 5000, CSV, {413}),
        (parquet_of(rows), PARQUET, {413}),
        (b"PAR1" + b"\x00" * 100 + b"PAR1", PARQUET, {422}),
        (good[:-20], PARQUET, {422}),
        (good[:40] + b"\xff" * 40 + good[80:], PARQUET, {422}),
        (b"", PARQUET, {422}),
        (parquet_of(nested), PARQUET, {422}),
        (b"", CSV, {422}),
        (b"\n\n", CSV, {422}),
        (b"id,bad\n1,0\n", CSV, {422}),
        (b"id,id,bad,amount,colour\n1,1,0,1,red\n", CSV, {422}),
        (head + b"1,0,1\n", CSV, {422}),
        (head + b"1,0,1,\xff\xfe\n", CSV, {422}),
        (head + b"1,7,1,red\n", CSV, {422}),
        (head.decode().encode("utf-16"), CSV, {422}),
        (b"=cmd|' /C calc'!A0,bad\n1,0\n", CSV, {422}),
        (b"{", LINES, {422}),
        (b"[1, 2]\n", LINES, {422}),
        (b'{"id": 1, "bad": 0, "amount": {"a": 1}, "colour": "red"}\n', LINES, {422}),
        (b'{"id": 1, "bad": 0, "amount": 1, "colour": "\\u0000"}\n', LINES, {422}),
        (b'{"id": 1, "bad": 0, "amount": 1, "colour": "\\ud800"}\n', LINES, {422}),
        (b'{"id": 1, "bad": 0, "amount": 1, "colour": "red"}\n{"other": 1}\n', LINES, {422}),
        (b"[" * 100_000 + b"\n", LINES, {422}),
        (head, {"Content-Type": "application/pdf"}, {415}),
        (head, {"Content-Type": "csv"}, {415}),
    ]
    for body, headers, statuses in cases:
        yield "POST", RECORDS, {"content": body, "headers": headers}, statuses


def hostile_rest() -> Iterator[Case]:
    """Keys, schedules, webhooks, online requests, erasure."""
    for key in ({}, {"name": "", "role": "read"}, {"name": "x", "role": "root"}, {"name": "x" * 65, "role": "read"}):
        yield "POST", "/v1/keys", {"json": key}, {422}
    for days in (0, -1, 1e9, "soon"):
        yield "POST", "/v1/keys", {"json": {"name": "x", "role": "read", "expires_in_days": days}}, {422}
    yield "POST", "/v1/keys", {"json": {"name": "x", "role": "read", "portfolios": ["absent"]}}, {404}
    yield "DELETE", "/v1/keys/000000000000", {}, {404}
    for cron, zone in (("* * * *", "UTC"), ("61 * * * *", "UTC"), ("0 2 * * *", "../../etc/passwd"), ("$(id)", "UTC")):
        yield "POST", "/v1/schedules", {"json": {"portfolio": "book", "cron": cron, "time_zone": zone}}, {422}
    for url in ("file:///etc/passwd", "https://127.0.0.1/", "https://[::1]/", "javascript:alert(1)", "https://x y/"):
        yield "POST", "/v1/webhooks", {"json": {"url": url, "events": ["job.*"]}}, {422}
    yield "POST", "/v1/webhooks", {"json": {"url": "https://receiver.example/", "events": ["key.created"]}}, {422}
    yield "POST", "/v1/webhooks", {"json": {"url": "https://receiver.example/", "events": []}}, {422}
    one: dict[str, Any] = {"amount": 1, "colour": "red"}
    yield "POST", "/v1/score", {"json": {"portfolio": "book", "records": [one] * 1001}}, {422}
    yield "POST", "/v1/score", {"json": {"portfolio": "book", "records": []}}, {422}
    yield "POST", "/v1/score", {"json": {"portfolio": "book", "records": [[1]]}}, {422}
    yield "POST", "/v1/score", {"json": {"portfolio": "book", "records": [{"amount": {"$gt": 0}}]}}, {422}
    yield "POST", "/v1/score", {"json": {"portfolio": "other", "records": [one]}}, {409}
    yield "POST", "/v1/portfolios/absent/erasures", {"json": {"record_key": "1"}}, {404}
    yield "POST", "/v1/portfolios/book/erasures", {"json": {"record_key": ""}}, {422}
    yield "POST", "/v1/portfolios/book/erasures", {"json": {"record_key": "a\nb"}}, {422}


CASES = [
    *hostile_bodies(), *hostile_names(), *hostile_portfolios(), *hostile_uploads(), *hostile_rest(),
]  # fmt: skip


def rows_written(engine: Engine) -> dict[str, int]:
    """How many rows each table holds."""
    with reading(engine) as connection:
        tables = metadata.sorted_tables
        return {t.name: connection.execute(select(func.count()).select_from(t)).scalar_one() for t in tables}


def test_each_hostile_request_gets_its_refusal_and_writes_nothing(site: RunningApi) -> None:
    assert len(CASES) >= 100
    client = site.client(site.key())
    before = rows_written(site.engine)
    wrong: list[str] = []
    for method, path, request, statuses in CASES:
        answer = client.request(method, path, **request)
        is_told = answer.headers.get("content-type") == "application/problem+json"
        if answer.status_code not in statuses or not is_told:
            body = str(request)[:120]
            wrong.append(f"{method} {path} {body}: {answer.status_code}, expected {statuses}: {answer.text[:150]}")
    assert wrong == []
    assert rows_written(site.engine) == before


@pytest.mark.parametrize("role", list(KeyRole))
def test_keys_that_ended_or_are_of_another_portfolio_open_nothing(site: RunningApi, role: KeyRole) -> None:
    engine = site.engine
    revoked, key = create_key(engine, KeyRequest("gone", role), who="test")
    revoke_key(engine, key.public_id, who="test")
    expired, _ = create_key(engine, KeyRequest("old", role, expires_in_days=-1), who="test")
    foreign = site.key(role, ["other"])
    before = rows_written(engine)
    asked = [("GET", "/v1/portfolios/book", None), ("POST", "/v1/jobs", TRAIN), ("GET", "/v1/models/m1", None)]
    for text, statuses in ((revoked, {401}), (expired, {401}), (foreign, {403, 404})):
        client = site.client(text)
        for method, path, body in asked:
            assert client.request(method, path, json=body).status_code in statuses, (path, text[:4])
    cookie = httpx.Client(base_url=site.url, cookies={"tidemark": site.key(role), "session": "x"})
    assert cookie.get("/v1/jobs").status_code == 401
    cookie.close()
    after = rows_written(engine)
    assert {name: count for name, count in after.items() if count != before[name]} == {
        "tidemark_api_keys": before["tidemark_api_keys"] + 1, "tidemark_events": before["tidemark_events"] + 1,
    }  # fmt: skip
    assert Path(engine.url.database or "").exists()
