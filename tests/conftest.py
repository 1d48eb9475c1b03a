"""Fixtures for everybody: real Redis, and the same test on SQLite and on two PostgreSQL servers."""

import gc
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from shutil import copyfile
from typing import TYPE_CHECKING

import pytest

from db.connections.engine import opened_engine
from db.migrations.upgrade import prepare_database
from tests.left_open import LeftOpen
from tests.servers import GivenPostgres, PostgresServer, RedisServer, newest_postgres, older_postgres

if TYPE_CHECKING:
    from tests.trained_book import TrainedBook

pytest_plugins = ["tests.faults.reporting", "tests.file_durations", "tests.garbage", "tests.quick_selection"]

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

    def running(self, name: str) -> GivenPostgres:
        """Return a server that runs, also when a test has stopped it."""
        server = self.get(name)
        if isinstance(server, PostgresServer) and not server.is_running:
            server.start()
        return server

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


class Databases:
    """Makes databases: empty, or with Tidemark's tables copied from a template, which every migration made once."""

    def __init__(self, servers: _PostgresServers, folder: Path) -> None:
        self._servers = servers
        self._folder = folder
        self._template_of = cache(self._make_template)

    @contextmanager
    def open(self, kind: str, folder: Path, *, with_tables: bool) -> Iterator[str]:
        """Give the URL of a database of this kind; SQLite's file lies in the folder."""
        if kind == _SQLITE:
            path = folder / "tidemark.db"
            if with_tables:
                self.copy_tables(path)
            yield f"sqlite:///{path}"
            return
        server = self._servers.running(kind)
        with server.fresh_database(self._template_of(kind) if with_tables else None) as url:
            yield url

    def copy_tables(self, path: Path) -> None:
        """Make a file of SQLite that holds Tidemark's tables."""
        copyfile(self._template_of(_SQLITE), path)
        path.chmod(0o600)

    def _make_template(self, kind: str) -> str:
        if kind == _SQLITE:
            found = str(self._folder / "template.db")
            url = f"sqlite:///{found}"
        else:
            server = self._servers.running(kind)
            found = server.make_database("tidemark_template")
            url = server.url(found)
        with opened_engine(url) as engine:
            prepare_database(engine)
        return found


@pytest.fixture(scope="session")
def databases(_postgres_servers: _PostgresServers, tmp_path_factory: pytest.TempPathFactory) -> Databases:
    """What makes the databases of the tests."""
    return Databases(_postgres_servers, tmp_path_factory.mktemp("templates"))


# The older server finds little that the newest one does not: `run.py older` asks it.
_ALL = [_SQLITE, pytest.param(_OLDER, marks=[] if _GIVEN_URL else [pytest.mark.older]), _NEWEST]


@pytest.fixture(params=_ALL)
def database_url(request: pytest.FixtureRequest, databases: Databases, tmp_path: Path) -> Iterator[str]:
    """The URL of a database that holds Tidemark's tables and no row; once for each kind, whose name is in the id."""
    with databases.open(request.param, tmp_path, with_tables=True) as url:
        yield url


@pytest.fixture(params=[_SQLITE, _NEWEST])
def any_database_url(request: pytest.FixtureRequest, databases: Databases, tmp_path: Path) -> Iterator[str]:
    """The same for slow tests: SQLite and the newest PostgreSQL alone."""
    with databases.open(request.param, tmp_path, with_tables=True) as url:
        yield url


@pytest.fixture(params=[pytest.param(_SQLITE, marks=pytest.mark.slow), _NEWEST])
def postgres_first_url(request: pytest.FixtureRequest, databases: Databases, tmp_path: Path) -> Iterator[str]:
    """The same for the very slow ones: in every run PostgreSQL alone."""
    with databases.open(request.param, tmp_path, with_tables=True) as url:
        yield url


@pytest.fixture(params=_ALL)
def empty_database_url(request: pytest.FixtureRequest, databases: Databases, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without tables, for tests that make them."""
    with databases.open(request.param, tmp_path, with_tables=False) as url:
        yield url


@pytest.fixture
def sqlite_url(databases: Databases, tmp_path: Path) -> Iterator[str]:
    """The URL of a database of SQLite that holds Tidemark's tables, for tests whose subject is not the database."""
    with databases.open(_SQLITE, tmp_path, with_tables=True) as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server: PostgresServer, databases: Databases, tmp_path: Path) -> Iterator[str]:
    """The same on the newest PostgreSQL alone."""
    with databases.open(_NEWEST, tmp_path, with_tables=True) as url:
        yield url


@pytest.fixture
def postgres_server(_postgres_servers: _PostgresServers) -> PostgresServer:
    """The newest PostgreSQL, running; a test may stop, kill and restart it."""
    server = _postgres_servers.running(_NEWEST)
    assert isinstance(server, PostgresServer)
    return server


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of this run; where tests run in several processes, one of all of them."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def template(shared_folder: Path) -> "TrainedBook":
    """A book with a trained model, to be copied or read."""
    from tests.trained_book import open_trained_book  # noqa: PLC0415 - most tests need none of it

    return open_trained_book(shared_folder / "template")


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
