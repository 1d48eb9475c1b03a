"""Hostile inputs beyond those of `tests/integration/api/test_hostile.py`: what is sent, which refusals are right."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from tests.hostile.test_dense_files import chained_bytes, dense_table, parquet_bytes

Case = tuple[str, str, dict[str, Any], set[int]]

JSON = {"Content-Type": "application/json"}
TOML = {"Content-Type": "application/toml"}
PARQUET = {"Content-Type": "application/vnd.apache.parquet"}
CSV = {"Content-Type": "text/csv"}
LINES = {"Content-Type": "application/x-ndjson"}
TRAIN: dict[str, Any] = {"kind": "training", "portfolio": "book"}
RECORDS, OUTCOMES = "/v1/portfolios/book/records", "/v1/portfolios/book/outcomes"
ONE: dict[str, Any] = {"id": 1, "amount": 1, "colour": "red"}


def keys_and_headers() -> Iterator[Case]:
    """Keys that are none, and headers that mean nothing."""
    keys = (
        "", "Bearer", "Bearer tdm_", "Bearer tdm__", "Bearer tdm_a_b", "bearer x", "Basic YTpi", "Token x",
        "Bearer tdm_%00_x", "Bearer ../../etc/passwd", "Bearer ' OR 1=1 --", "Bearer tdm_' OR '1'='1_x", "Digest a=b",
        "Bearer Bearer tdm_a_b", "Bearer tdm_0123456789ab_" + "x" * 40_000, "tdm_0123456789ab_x", "Bearer\ttdm_a_b",
        "Bearer tdm_\u00e9_x", "Bearer eyJhbGciOiJub25lIn0.e30.",
    )  # fmt: skip
    for key in keys:
        yield "GET", "/v1/jobs", {"headers": {"Authorization": key.encode("latin-1")}}, {401}
    for kind in (
        "application/xml", "text/json", "application/jsonp", "application/octet-stream", "json", "", "application/",
        "application/json, text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded",
        "application/toml", "application/jso\u00f1",
    ):  # fmt: skip
        yield (
            "POST",
            "/v1/jobs",
            {"content": b'{"kind":"training"}', "headers": {"Content-Type": kind.encode("latin-1")}},
            {415},
        )
    for encoding in ("gzip", "br", "deflate", "gzip, gzip"):
        yield "POST", "/v1/jobs", {"content": b"{}", "headers": JSON | {"Content-Encoding": encoding}}, {415}
    for seen in ("x", "-1", "9" * 30, "1;2", "1.5", "0x1"):
        yield "GET", "/v1/jobs/1/events", {"headers": {"Last-Event-ID": seen}}, {404, 422}
    for key in ("a\tb", "\x7f", "k" * 256, "n\u00e4chtlich", "a b"):
        yield "POST", "/v1/jobs", {"json": TRAIN, "headers": {"Idempotency-Key": key.encode("latin-1")}}, {422, 400}


def methods_and_paths() -> Iterator[Case]:
    """Methods that a path does not have, and paths that lead nowhere."""
    for method, path in (
        ("PUT", "/v1/portfolios/book"), ("DELETE", "/v1/portfolios/book"), ("PATCH", "/v1/jobs/1"), ("PUT",
        "/v1/score"),
        ("GET", "/v1/score"), ("DELETE", "/v1/schedules"), ("PUT", "/v1/keys"), ("POST", "/healthz"), ("POST",
        "/metrics"),
        ("DELETE", "/v1/webhooks"), ("OPTIONS", "/v1/jobs"), ("BREW", "/v1/jobs"), ("CONNECT", "/v1/jobs"),
        ("PROPFIND", "/v1/jobs"), ("GET", "/v1/job-actions"), ("PUT", RECORDS), ("DELETE", "/v1/jobs"), ("POST",
        "/readyz"),
    ):  # fmt: skip
        yield method, path, {}, {400, 405}
    for path in (
        "/v1", "/v1/", "/v1/jobs/", "//v1/jobs", "/v1//jobs", "/V1/jobs", "/v1/jobs;x=1", "/v1/jobs%2f1", "/.env",
        "/.git/config",
        "/wp-login.php", "/static/..%2f..%2fetc%2fpasswd", "/static/%2e%2e/%2e%2e/etc/passwd", "/openapi.json/x",
        "/problems/x", "/problems/..%2f..", "/admin", "/metrics/x", "/%00", "/%ff%fe",
        "/" + "a" * 50_000, "/v1/jobs/1/scores.csv.exe",
        "/v1/graphql", "/cgi-bin/%%32%65", "/v1/jobs/%c0%ae%c0%ae/1", "/v1/portfolios/book%2f..%2fother",
    ):  # fmt: skip
        yield "GET", path, {}, {400, 401, 404, 422}


def numbers_and_cursors() -> Iterator[Case]:
    """Ids that are out of range, cursors that nobody gave, limits that are none."""
    for number in ("0", "-1", "2147483648", "x", "1e9", "%00", "+1", "\u0661"):
        yield "GET", f"/v1/schedules/{number}", {}, {404, 422}
        yield "DELETE", f"/v1/webhooks/{number}", {}, {404, 422}
    for version in ("-x", "x" * 200, "%20", "a%00", "*", "%F0%9F%92%A9"):
        yield "GET", f"/v1/models/{version}", {}, {404, 422}
    for name in ("x", "'", "%00", "0" * 500, "tdm_0123456789ab_x"):
        yield "DELETE", f"/v1/keys/{name}", {}, {404, 422}
    for query in (
        "portfolios?cursor=%00", "portfolios?cursor=A", "portfolios?limit=0", "jobs/1/scores?cursor=zz",
        "jobs/1/scores?cursor=0",
        "jobs/1/rejects?cursor=1", "jobs/1/rejects?cursor=1-", "jobs/1/rejects?cursor=9999999999999999999-1",
        "schedules?cursor=0",
        "schedules?cursor=9999999999", "portfolios/book/models?cursor='", "portfolios/book/models?limit=1001",
        "portfolios/book/drift?cursor=-1", "portfolios/book/outcomes?cursor=x", "portfolios/book/decisions?limit=1e2",
        "jobs?limit=" + "9" * 4500, "jobs?limit=1&limit=x", "jobs/1/scores?band=I", "jobs?limit=%31%00",
        "jobs?limit=0x10",
        "jobs/1/scores.csv?raw=maybe", "jobs?cursor=%F0%9F%92%A9", "webhooks/1/deliveries?cursor=0",
    ):  # fmt: skip
        yield "GET", f"/v1/{query}", {}, {404, 422}


def bodies() -> Iterator[Case]:
    """JSON of the wrong shape, type and range, for every endpoint that takes one."""
    wrong: dict[str, list[Any]] = {
        "/v1/jobs": [
            TRAIN | {"portfolio": ["book"]}, TRAIN | {"portfolio": {"$ne": ""}}, TRAIN | {"portfolio": None},
            TRAIN | {"seed": "0"}, TRAIN | {"seed": True}, TRAIN | {"epochs": 0}, TRAIN | {"priority": 1e308},
            TRAIN | {"kind": ["training"]}, TRAIN | {"options": {}}, {"kind": "scoring", "portfolio": "book",
            "dry_run": "x"},
            TRAIN | {"portfolio": "book\u202e"}, TRAIN | {"portfolio": "\uff42ook"},
            TRAIN | {"portfolio": "b" * 100_000},
        ],
        "/v1/job-actions": [
            {}, {"action": "delete"}, {"action": "cancel", "jobs": [0]}, {"action": "cancel", "jobs": [2**60]},
            {"action": "cancel", "jobs": ["1"]}, {"action": "cancel", "jobs": [1] * 1001}, {"action": "cancel",
            "state": "x"},
            {"action": "cancel", "kind": 5}, {"action": ["cancel"]}, {"action": "cancel", "why": "a\u0000b"},
        ],
        "/v1/keys": [
            {"name": "x\n", "role": "read"}, {"name": "x", "role": "READ"}, {"name": 5, "role": "read"}, [],
            {"name": "x", "role": "read", "portfolios": []}, {"name": "x", "role": "read", "portfolios": ["B"]},
            {"name": "x", "role": "read", "portfolios": "book"}, {"name": "x", "role": "read",
            "expires_in_days": "NaN"},
        ],
        "/v1/schedules": [
            {"portfolio": "book", "cron": cron} for cron in (
                "", "* * * * * * *", "60 24 32 13 8", "*/0 * * * *", "a b c d e", "1-0 * * * *",
                "0" * 300, "-1 * * * *",
                "* * * * mon-", "\uff10 2 * * *", "* * * *; ls",
            )
        ] + [
            {"portfolio": "book", "cron": "0 2 * * *"} | more for more in (
                {"time_zone": ""}, {"time_zone": "Mars/Olympus"}, {"time_zone": "UTC; DROP TABLE x"},
                {"time_zone": "/etc/localtime"},
                {"time_zone": "../UTC"}, {"time_zone": "x" * 65}, {"time_zone": 5}, {"catch_up": "sometimes"},
                {"overlap": 5},
                {"portfolio": "absent"}, {"portfolio": "tidemark_jobs; --"},
            )
        ],
        "/v1/webhooks": [
            {"url": f"https://{host}/", "events": ["job.*"]} for host in (
                "127.1", "0x7f000001", "017700000001", "0", "2130706433", "[fe80::1]", "[::]", "192.168.0.1",
                "172.16.0.1", "100.64.0.1",
                "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "localhost:443", "localhost.", "a.localhost",
                "u@receiver.example",
                "receiver.example:99999", "exa mple", "", "224.0.0.1", "255.255.255.255", "[::1%25lo]", "0.0.0.0",
            )
        ] + [{"url": "https://receiver.example/\r\nX: y", "events": ["job.*"]}, {"url": "https://receiver.example/",
        "events": ["*"]},
            {"url": "https://receiver.example/", "events": ["job.*"] * 51},
            {"url": ["https://receiver.example/"], "events": ["job.*"]},
            {"url": "https://receiver.example/" + "x" * 2000, "events": ["job.*"]}],
        "/v1/score": [
            {"portfolio": "book", "records": ONE}, {"portfolio": "book", "records": [None]}, {"portfolio": "book",
            "records": ["x"]},
            {"portfolio": "book", "records": [ONE | {"colour": ["red"]}]}, {"portfolio": "book"}, {"records": [ONE]},
            {"portfolio": "book", "records": [ONE], "model": "m1"}, {"portfolio": "absent", "records": [ONE]},
            {"portfolio": "book", "records": [{f"c{at}": 1 for at in range(2001)}]},
        ],
        "/v1/portfolios/book/erasures": [{}, {"record_key": 5}, {"record_key": "x" * 1025}, {"record_key": ["1"]},
        {"record_key": "1", "x": 1}],
        "/v1/models/m1/promote": [{"why": "x" * 501}, {"why": ["x"]}, {"who": "root"}, []],
        "/v1/portfolios/absent/rollback": [{"why": 5}, {"why": "x"}],
        "/v1/portfolios/absent/hold": [{"why": "x"}, "hold"],
    }  # fmt: skip
    for path, some in wrong.items():
        for body in some:
            yield "POST", path, {"json": body}, {400, 404, 409, 422}
    for text in (
        "tru", "{'kind': 'training'}", '{"kind": "training",}', "[1,]", "01", "+1", ".5", "1.", "0x10", '"\\x41"',
        '"\n"', "\ufeff{}",
        "{}{}", "nul", "-", '{"a": 1e400}', '{"a": -Infinity}',
        "1" * 200_000, "0." + "1" * 200_000, '"' + "\\ud83d" + '"', '{"a":' * 17 + "1" + "}" * 17,
    ):  # fmt: skip
        yield "POST", "/v1/jobs", {"content": text.encode(), "headers": JSON}, {400, 422}


def portfolios() -> Iterator[Case]:
    """Portfolio files that are hostile by their names, sizes and shapes."""
    for head in (
        'name = "x"\nkey = "id"\nsource = "../x"',
        'name = "x"\nkey = "id"\nsource = "tidemark_events"',
        'name = "x"\nkey = 5',
        'name = "x"\nkey = "id"\nsource = ["x"]', 'name = "x"\nkey = ""', 'name = ""\nkey = "id"',
        'name = "x"\nkey = "id"\nreject_budget = 2',
        'name = "x"\nkey = "id"\nreject_budget = nan', 'name = "x"\nkey = "id"\ntarget = 1',
        'name = "x"\nname = "y"\nkey = "id"',
        'name = "x"\nkey = "id"\nsource = "a..b"',
        'name = "x"\nkey = "id"\nsource = "' + "s" * 200 + '"',
        'name = "x\\n"\nkey = "id"', 'name = "con/nul"\nkey = "id"',
    ):  # fmt: skip
        text = head + '\n[fields.amount]\nkind = "numeric"\n'
        yield "POST", "/v1/portfolios", {"content": text.encode(), "headers": TOML}, {400, 422}
    for document in (
        {},
        {"name": "x"},
        {"name": "x", "key": "id", "fields": []},
        {"name": "x", "key": "id", "fields": {"a": {"kind": "blob"}}},
        5,
    ):
        yield "POST", "/v1/portfolios", {"json": document}, {400, 422}
    yield "POST", "/v1/portfolios", {"content": b"#" * (2 << 20), "headers": TOML}, {413}


def files() -> Iterator[Case]:
    """Files that are dense, deep, endless or not what they say, as records and as outcomes."""
    head = b"id,bad,amount,colour\n"
    nested = pa.table({"id": [1], "bad": [0], "amount": [1.0], "colour": pa.array([{"a": 1}])})
    blobs = pa.table({"id": [1], "bad": [0], "amount": [1.0], "colour": pa.array([b"x" * 64], pa.binary(64))})
    uploads: list[tuple[bytes, dict[str, str], set[int]]] = [
        (parquet_bytes(dense_table(900, "x" * 2000)), PARQUET, {413, 422}),
        (parquet_bytes(dense_table(100_000, "x")), PARQUET, {413, 422}),
        (chained_bytes(), PARQUET, {413, 422}),
        (parquet_bytes(nested), PARQUET, {422}),
        (parquet_bytes(blobs), PARQUET, {422}),
        (b"PAR1", PARQUET, {422}),
        (b"PAR1\xff\xff\xff\xffPAR1", PARQUET, {422, 413}),
        (parquet_bytes(dense_table(10, "x"))[::-1], PARQUET, {413, 422}),
        (b"\x50\x4b\x03\x04" + b"x" * 100, CSV, {422}),
        (head + b'1,0,1,"' + b"x\n" * 300_000, CSV, {422}),
        (head + b"k" * 3000 + b",0,1,red\n", CSV, {422}),
        (b",".join(b"c%d" % at for at in range(30_000)) + b"\n", CSV, {422}),
        (b'"id"x,bad\n', CSV, {422}),
        (head + b"1,0,1,red,extra\n", CSV, {422}),
        (b"\xef\xbb\xbf\xef\xbb\xbf" + head + b"1,0,1,red\n", CSV, {422}),
        (head.replace(b"\n", b"\r") + b"1,0\r", CSV, {422}),
        (b"\x00" * 1000, CSV, {422}),
        (b"null\n", LINES, {422}),
        (b"{}\n{}\n", LINES, {422}),
        (b'{"id": 1}{"id": 2}\n', LINES, {422}),
        (b'{"id": 1, "bad": 0, "amount": ' + b"9" * 5000 + b', "colour": "x"}\n', LINES, {422}),
        (b'{"id": "' + b"k" * 3000 + b'", "bad": 0, "amount": 1, "colour": "x"}\n', LINES, {422}),
        (b'"' * 900_000, LINES, {422}),
    ]
    for path in (RECORDS, OUTCOMES):
        for body, headers, statuses in uploads:
            yield "POST", path, {"content": body, "headers": headers}, statuses
    yield "POST", f"{RECORDS}?replace=perhaps", {"content": head, "headers": CSV}, {422}
    yield "POST", f"{OUTCOMES}?job=0", {"content": head, "headers": CSV}, {422}
    yield "POST", f"{OUTCOMES}?job=99", {"content": head, "headers": CSV}, {404}
    yield "POST", f"{OUTCOMES}?outcome=%00", {"content": head, "headers": CSV}, {422}
    yield "POST", "/v1/portfolios/absent/records", {"content": head, "headers": CSV}, {404}
    yield "POST", "/v1/portfolios/book/records", {"files": {"file": b"x"}}, {415}


def every_input() -> list[Case]:
    """Return all of them."""
    return [
        *keys_and_headers(), *methods_and_paths(), *numbers_and_cursors(), *bodies(), *portfolios(), *files(),
    ]  # fmt: skip
