"""The session's cookie goes over TLS alone, whatever a proxy says or leaves out; on a laptop it works without."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from db.connections.engine import opened_engine
from tests.integration.api.server import RunningApi, running_api

ELSEWHERE = {"Host": "scores.example"}


@pytest.fixture
def engine(sqlite_url: str) -> Iterator[Engine]:
    """SQLite alone: the database has no part in it."""
    with opened_engine(sqlite_url) as opened:
        yield opened


def is_secure(api: RunningApi, headers: dict[str, str]) -> bool:
    answer = api.client(None).get("/sign-in", headers=headers)
    assert answer.status_code == 200
    return "secure" in answer.headers["set-cookie"].lower().split("; ")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (ELSEWHERE, True),  # a proxy on another host that says nothing
        (ELSEWHERE | {"X-Forwarded-Proto": "https"}, True),
        (ELSEWHERE | {"X-Forwarded-Proto": "http"}, True),
        ({"X-Forwarded-For": "192.0.2.7"}, True),  # a proxy on this host that rewrites the name
        ({"X-Forwarded-Proto": "https"}, True),
        ({"Host": "10.1.2.3:8400"}, True),
        ({"Host": "127.0.0.1.evil.example"}, True),
        ({}, False),
        ({"Host": "localhost:8400"}, False),
        ({"Host": "[::1]:8400"}, False),
    ],
)
def test_a_cookie_is_secure_unless_the_browser_sits_at_this_machine(
    engine: Engine, tmp_path: Path, headers: dict[str, str], expected: bool
) -> None:
    for trusted in ("", "127.0.0.1", "10.9.9.9"):  # a proxy that is believed, and one that is not
        with running_api(engine, home=tmp_path, api_trusted_proxies=trusted) as api:
            assert is_secure(api, headers) is expected, trusted


@pytest.mark.parametrize(("rule", "expected"), [("always", True), ("never", False)])
def test_a_setting_decides_where_one_is_given(engine: Engine, tmp_path: Path, rule: str, expected: bool) -> None:
    with running_api(engine, home=tmp_path, cookie_secure=rule) as api:
        assert [is_secure(api, headers) for headers in (ELSEWHERE, {})] == [expected, expected]
