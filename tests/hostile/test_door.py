"""The API's door: nobody without a key makes the process read, wait, remember or log anything to speak of."""

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from sqlalchemy import Engine

from db.schema.states import KeyRole
from tests.building import load_book
from tests.hostile.api_process import ApiProcess, api_process, head, quick, read_all
from tests.hostile.probe import probing

MEBIBYTE = 1 << 20
JSON = "Content-Type: application/json"
LARGE = f"Content-Length: {8 * MEBIBYTE}"
WRONG = "Authorization: Bearer tdm_0123456789ab_wrong"
RECORDS = "/v1/portfolios/book/records"


@pytest.fixture
def api(engine: Engine, any_database_url: str, tmp_path: Path) -> Iterator[ApiProcess]:
    """An API with short deadlines and small limits."""
    load_book(engine, [1, 2, 3])
    limits: dict[str, Any] = {"api_header_seconds": 1, "api_body_seconds": 1, "api_bodies_bytes": 12 * MEBIBYTE}
    with api_process(engine, any_database_url, tmp_path, **limits, api_keyless_per_minute=10_000) as running:
        yield running


@pytest.mark.slow  # it measures how quickly others are answered, on a machine that does nothing else
def test_a_hostile_client_at_the_door_gets_nothing_done(api: ApiProcess) -> None:
    """One process for all of them: starting one costs more than asking it."""
    check_that_no_byte_of_a_body_is_read(api)
    check_that_slow_clients_are_sent_away(api)
    check_that_a_read_key_is_refused_before_its_body(api)
    check_that_bodies_in_flight_are_bounded(api)
    check_that_keyless_floods_leave_health_quick(api)
    check_that_large_bodies_with_a_key_do_not_stop_the_others(api)
    check_that_floods_fill_neither_log_nor_memory(api)


def answer_to_head(api: ApiProcess, path: str, *lines: str) -> tuple[bytes, bytes]:
    """Send the head of a request and no body; return status line and all that came until the API closed."""
    with api.connect() as connection:
        connection.sendall(head(path, *lines))
        result = read_all(connection)
    return result.partition(b"\r\n")[0], result


def check_that_no_byte_of_a_body_is_read(api: ApiProcess) -> None:
    multipart = "Content-Type: multipart/form-data; boundary=x"
    asked = [
        ("/v1/jobs", JSON, LARGE), ("/v1/jobs", JSON, "Transfer-Encoding: chunked"), ("/v1/jobs", JSON, LARGE, WRONG),
        ("/v1/score", JSON, LARGE, "Expect: 100-continue"), (RECORDS, "Content-Type: text/csv", LARGE),
        (RECORDS, "Content-Type: text/csv", "Transfer-Encoding: chunked", WRONG), (RECORDS, multipart, LARGE),
        ("/v1/portfolios", JSON, LARGE, "Authorization: Basic x"), ("/v1/nothing", JSON, LARGE),
        ("/jobs", "Content-Type: application/x-www-form-urlencoded", LARGE, "Cookie: tidemark_session=x.y.z"),
    ]  # fmt: skip
    for path, *lines in asked:
        status, result = answer_to_head(api, path, *lines)  # the whole body would never come
        assert b" 401 " in status, (path, lines, result[:300])
        assert b"application/problem+json" in result, result[:300]
        assert b"100 Continue" not in result


def check_that_slow_clients_are_sent_away(api: ApiProcess) -> None:
    key = f"Authorization: Bearer {api.key()}"
    slow: list[tuple[bytes, bytes]] = [
        (b"", b" 408 "),  # says nothing at all
        (b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nX-Slow: ", b" 408 "),
        (head("/v1/jobs", JSON, key, LARGE) + b"{", b" 408 "),
        (head(RECORDS, "Content-Type: text/csv", key, LARGE) + b"id,bad", b" 408 "),
        (head("/v1/jobs", JSON, key, "Transfer-Encoding: chunked") + b"1\r\n{\r\n", b" 408 "),
        (b"GET / HTTP/1.1\r\nX-Endless: " + b"x" * 200_000, b" 431 "),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b" 400 "),
    ]
    for sent, expected in slow:
        with api.connect(20) as connection:
            with suppress(ConnectionError):
                connection.sendall(sent)
            result = read_all(connection)
        assert expected in result.partition(b"\r\n")[0], (sent[:80], result[:200])
        assert b"application/problem+json" in result


def check_that_a_read_key_is_refused_before_its_body(api: ApiProcess) -> None:
    status, message = answer_to_head(api, "/v1/jobs", JSON, LARGE, f"Authorization: Bearer {api.key(KeyRole.READ)}")
    assert b" 403 " in status, message


def check_that_bodies_in_flight_are_bounded(api: ApiProcess) -> None:
    """12 MiB are allowed: of two bodies of 8 MiB that stay unfinished, one is refused, and room is free again."""
    key = f"Authorization: Bearer {api.key()}"
    with api.connect() as first, api.connect() as second:
        for connection in (first, second):
            with suppress(ConnectionError):
                connection.sendall(head("/v1/jobs", JSON, key, LARGE) + b" " * (8 * MEBIBYTE - 1))
        values = [read_all(connection).partition(b"\r\n\r\n")[0] for connection in (first, second)]
    assert sorted(one.split()[1] for one in values) == [b"408", b"503"], values
    assert any(b"retry-after: 1" in one.lower() for one in values)
    again = httpx.post(
        f"{api.url}/v1/jobs", content=b" " * 8 * MEBIBYTE, headers=dict([JSON.split(": "), key.split(": ")])
    )
    assert again.status_code == 400


def in_parallel(count: int, act: Callable[[int], None]) -> None:
    with ThreadPoolExecutor(count) as threads:
        list(threads.map(act, range(count)))


def check_that_keyless_floods_leave_health_quick(api: ApiProcess) -> None:
    idle = api.idle_seconds("/healthz")
    body = b'{"a":' * (8 * MEBIBYTE // 5)

    def post(number: int) -> None:
        with suppress(ConnectionError), api.connect() as connection:
            connection.sendall(
                head("/v1/jobs", JSON, f"Content-Length: {len(body)}", *([WRONG] if number % 2 else [])) + body
            )
            read_all(connection)

    with probing(api.url, "/healthz") as seen:
        for _ in range(3):
            in_parallel(6, post)
    assert seen.quantile("/healthz", 0.99) < quick(idle)
    assert seen.wrong == 0


def check_that_large_bodies_with_a_key_do_not_stop_the_others(api: ApiProcess) -> None:
    """The worst that JSON can be: numbers, texts, lists, names, and values that are all wrong. It was seconds."""
    idle = api.idle_seconds("/healthz")
    headers = {"Authorization": f"Bearer {api.key()}"}
    wrong = '{"portfolio":"book","records":[' + ",".join(['{"a":[],"b":{}}'] * 100_000) + "]}"
    many, most = 1_000_000, 240_000
    bodies = ["[" + one * many + "1]" for one in ("1,", '"a",', "[],")]
    bodies += ["[" + one * most + "1]" for one in ("1,", '"a",', "[],", "1.5,", '{"a":1},')] + [wrong]
    with httpx.Client(base_url=api.url, headers=headers, timeout=60) as client, probing(api.url, "/healthz") as seen:
        for body in bodies:
            answer = client.post("/v1/score", content=body, headers=dict([JSON.split(": ")]))
            assert answer.status_code in {413, 422}, answer.text[:300]
    assert seen.quantile("/healthz", 0.99) < quick(idle)


def check_that_floods_fill_neither_log_nor_memory(api: ApiProcess) -> None:
    """Hundreds of requests of the kinds that a server likes to tell about."""
    process = psutil.Process(api.process.pid)
    idle = api.idle_seconds("/healthz")
    held, written = process.memory_info().rss, api.log.stat().st_size
    kinds = [
        b"nonsense\r\n\r\n", head("/v1/jobs", WRONG, method="GET"), head("/readyz", method="GET"),
        head("/v1/jobs", "Upgrade: websocket", "Connection: Upgrade", method="GET"),
        head("/%ff%fe%00", "X-A: \xff", method="BREW"), head("/v1/jobs", f"Authorization: Bearer {'x' * 30_000}"),
    ]  # fmt: skip

    def flood(number: int) -> None:
        for at in range(150):
            with suppress(ConnectionError, TimeoutError), api.connect() as connection:
                connection.sendall(kinds[(number + at) % len(kinds)])
                connection.recv(1000)

    with probing(api.url, "/healthz") as seen:
        in_parallel(4, flood)
    assert seen.quantile("/healthz", 0.99) < quick(idle)
    assert api.log.stat().st_size - written < 5_000
    assert process.memory_info().rss - held < 40 * MEBIBYTE


def test_an_address_without_a_key_is_limited_and_who_came_in_goes_on(
    engine: Engine, any_database_url: str, tmp_path: Path
) -> None:
    with api_process(engine, any_database_url, tmp_path, api_keyless_per_minute=20, api_key_seconds=0) as api:
        key = api.key()
        assert status_of(api, key) == 200
        statuses = [status_of(api, f"tdm_0123456789ab_{at}", forwarded=f"192.0.2.{at}") for at in range(60)]
        assert statuses[:20] == [401] * 20
        assert statuses.count(429) >= 35, statuses  # nobody was asked to believe X-Forwarded-For
        assert status_of(api, None) == 429
        assert status_of(api, key) == 200
        assert status_of(api, None, path="/healthz") == 200


def test_a_trusted_proxy_is_believed_and_nobody_else_behind_it_is_limited(
    engine: Engine, any_database_url: str, tmp_path: Path
) -> None:
    limits: dict[str, Any] = {"api_keyless_per_minute": 2, "api_trusted_proxies": "127.0.0.1, 10.0.0.0/8"}
    with api_process(engine, any_database_url, tmp_path, **limits) as api:
        assert [status_of(api, None, forwarded="192.0.2.1") for _ in range(3)] == [401, 401, 429]
        # What stands left of the last address was written by the client itself.
        assert status_of(api, None, forwarded="198.51.100.1, 192.0.2.1") == 429
        assert status_of(api, None, forwarded="192.0.2.1, 10.1.1.1") == 429
        assert status_of(api, None, forwarded="192.0.2.2") == 401


def status_of(api: ApiProcess, key: str | None, *, path: str = "/v1/jobs", forwarded: str | None = None) -> int:
    connection = http.client.HTTPConnection(*api.address, timeout=30)
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    connection.request("GET", path, headers=headers | ({"X-Forwarded-For": forwarded} if forwarded else {}))
    answer = connection.getresponse()
    result = answer.read()
    connection.close()
    if answer.status == 429:
        assert int(answer.headers["Retry-After"]) > 0
        assert json.loads(result)["type"] == "/problems/too-many-requests"
    return answer.status


def test_connections_that_say_nothing_are_counted_and_never_all(
    engine: Engine, any_database_url: str, tmp_path: Path
) -> None:
    with api_process(engine, any_database_url, tmp_path, api_connections=40, api_header_seconds=30) as api:
        idle = [api.connect() for _ in range(60)]
        closed = [one for one in idle if is_closed(one)]
        assert len(closed) == 40, "an address has half of the places"
        for one in idle:
            one.close()
        ended = threading.Event()
        ended.wait(0.2)
        assert status_of(api, None, path="/healthz") == 200


def is_closed(connection: Any) -> bool:
    connection.settimeout(0.5)
    try:
        return b" 503 " in connection.recv(1000)
    except TimeoutError:
        return False
