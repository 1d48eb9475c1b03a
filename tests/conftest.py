"""Fixtures for everybody: real Redis, and the same test on SQLite and on two PostgreSQL servers."""

import gc
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

from tests.left_open import LeftOpen
from tests.servers import GivenPostgres, PostgresServer, RedisServer, newest_postgres, older_postgres

pytest_plugins = ["tests.faults.reporting"]

_GIVEN_URL = os.environ.get("TIDEMARK_TEST_POSTGRES_URL")
_SQLITE = "sqlite"


def _name_older() -> str:
    if _GIVEN_URL:
        return "postgresql-given"
    older = older_postgres()
    return f"postgresql-{older.version}" if older else "postgresql-older"


def _name_newest() -> str:
    newest = newest_postgres()
    return f"postgresql-{newest.version}" if newest else "postgresql-newest"


_OLDER, _NEWEST = _name_older(), _name_newest()


def pytest_configure() -> None:
    """Let SIGTERM end a run like Ctrl-C does, so that the servers are stopped."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _left_open() -> Iterator[LeftOpen]:
    watch = LeftOpen()
    with watch.watching():
        yield watch
        gc.collect()
        assert watch.take_lost() + watch.still_open() == [], "these opened connections to SQLite that nobody closed"


@pytest.fixture(autouse=True)
def _every_connection_has_an_owner(request: pytest.FixtureRequest, _left_open: LeftOpen) -> Iterator[None]:
    """Fail the test that forgets an open connection: who opens an engine uses `opened_engine`, which disposes of it."""
    _left_open.opener = request.node.nodeid
    yield
    assert _left_open.take_lost() == [], "these opened connections to SQLite and forgot them: use opened_engine"


class _PostgresServers:
    """The servers of this session, each started by the first test that asks for it."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.get = cache(self._open)

    def close(self) -> None:
        self._stack.close()

    def _open(self, name: str) -> GivenPostgres:
        if _GIVEN_URL and name == _OLDER:
            return GivenPostgres(_GIVEN_URL)
        binaries = older_postgres() if name == _OLDER else newest_postgres()
        if binaries is None:
            _miss("PostgreSQL is missing: install requirements-test.lock")
        server = PostgresServer(binaries)
        self._stack.callback(server.stop, "immediate")
        server.start()
        return server


def _miss(reason: str) -> None:
    """Skip where a developer's machine lacks a server; in CI, where the lock file must bring it, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def _postgres_servers() -> Iterator[_PostgresServers]:
    servers = _PostgresServers()
    yield servers
    servers.close()


@pytest.fixture(params=[_SQLITE, _OLDER, _NEWEST])
def database_url(request: pytest.FixtureRequest, _postgres_servers: _PostgresServers, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database; the test runs once for each kind, whose name is in its id."""
    yield from _empty_database(request.param, _postgres_servers, tmp_path)


@pytest.fixture(params=[_SQLITE, _NEWEST])
def any_database_url(
    request: pytest.FixtureRequest, _postgres_servers: _PostgresServers, tmp_path: Path
) -> Iterator[str]:
    """The URL of an empty database, for slow tests: SQLite and the newest PostgreSQL alone."""
    yield from _empty_database(request.param, _postgres_servers, tmp_path)


@pytest.fixture
def postgres_server(_postgres_servers: _PostgresServers) -> PostgresServer:
    """The newest PostgreSQL, running; a test may stop, kill and restart it."""
    server = _postgres_servers.get(_NEWEST)
    assert isinstance(server, PostgresServer)
    if not server.is_running:
        server.start()
    return server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """The session's Redis on a private socket; whoever stops it need not start it again."""
    server = RedisServer()
    server.start()
    yield server
    server.kill()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The Celery URL of an empty, running Redis."""
    if not redis_server.is_running:
        redis_server.start()
    with redis_server.client() as client:
        client.flushall()
    return redis_server.url


def _empty_database(name: str, servers: _PostgresServers, folder: Path) -> Iterator[str]:
    if name == _SQLITE:
        yield f"sqlite:///{folder / 'tidemark.db'}"
        return
    server = servers.get(name)
    if isinstance(server, PostgresServer) and not server.is_running:
        server.start()
    with server.fresh_database() as url:
        yield url
