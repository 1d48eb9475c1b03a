"""Engines and transactions: one way to read and one to write, the same on SQLite and PostgreSQL."""

import sqlite3
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, cast

import adbc_driver_manager
import psycopg
from pydantic_core import from_json, to_json
from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, make_url

from db.connections.private_files import make_private_file, make_private_folder
from db.connections.stale_connections import check_stale_connections
from db.errors import (
    DatabaseError,
    DatabaseReadRefusedError,
    DatabaseUnreachableError,
    DatabaseWriteRefusedError,
)

__all__ = [
    "Connection",
    "Engine",
    "open_engine",
    "opened_engine",
    "reading",
    "safe_address",
    "translated_errors",
    "writing",
    "writing_lightly",
]

BUSY_TIMEOUT_SECONDS = 30  # how long a SQLite writer waits for another one
# No writing transaction waits for anything but the database for long: models and networks stay outside.
_IDLE_LIMIT = "30s"
# A server that is gone permanently is noticed within half a minute, not after the system's two hours.
_ALIVE = {"keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30_000}
POSTGRESQL_OPTIONS = {"connect_timeout": 10, "application_name": "tidemark"} | _ALIVE
# Above the five that are kept: the API's threads are twenty, and none of them should wait for another's connection.
_OVERFLOW = 20
_WRITING = "tidemark_writing"
_DISK_FULL_CODE, _FORBIDDEN_CODE = "53100", "42501"  # of PostgreSQL
# The same, and a read-only transaction.
_WRITE_REFUSED_CODES = frozenset({_DISK_FULL_CODE, _FORBIDDEN_CODE, "25006"})
# PostgreSQL: connection lost, server shutting down or out of resources, login refused, no such database.
_CONNECTION_CODES = ("08", "57", "53", "28", "3D")
_WRITE_REFUSED_SQLITE = ("disk is full", "readonly database", "read-only", "disk I/O error")


def _as_json(value: object) -> str:
    return to_json(value).decode()


# A document of a night is 15 kB: the standard library takes four to eight times as long for it.
_JSON: dict[str, Any] = {"json_serializer": _as_json, "json_deserializer": from_json}


def open_engine(url: str, *, busy_seconds: float = BUSY_TIMEOUT_SECONDS) -> Engine:
    """Open an engine for a SQLite or PostgreSQL URL. Nothing is connected yet; the caller has to dispose of it.

    A SQLite writer waits for `busy_seconds` for another one. Raises `DatabaseError` for a URL that is not understood.
    """
    address = _read_url(url)
    if address.get_backend_name() == "sqlite":
        return _open_sqlite(address, busy_seconds)
    return _open_postgresql(address)


@contextmanager
def opened_engine(url: str, *, busy_seconds: float = BUSY_TIMEOUT_SECONDS) -> Generator[Engine]:
    """Yield an engine like `open_engine`, and close its connections at the end."""
    engine = open_engine(url, busy_seconds=busy_seconds)
    try:
        yield engine
    finally:
        engine.dispose()


def safe_address(url: str | URL) -> str:
    """Return the URL with its password hidden."""
    return make_url(url).render_as_string(hide_password=True)


@contextmanager
def reading(engine: Engine) -> Generator[Connection]:
    """Yield a connection that only reads: on SQLite one snapshot, on PostgreSQL one per statement.

    A default PostgreSQL transaction gives no more than that, and doing without one saves two round trips.
    """
    with translated_errors(engine, only_reads=True), engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.execution_options(isolation_level="AUTOCOMMIT")
        with connection.begin():
            yield connection


@contextmanager
def writing(engine: Engine) -> Generator[Connection]:
    """Yield a connection in a writing transaction, committed at the end.

    On SQLite it takes the write lock at once (BEGIN IMMEDIATE): a deferred transaction that turns from reading to
    writing fails immediately, however long the busy timeout.
    """
    with (
        translated_errors(engine),
        engine.connect().execution_options(**{_WRITING: True}) as connection,
        connection.begin(),
    ):
        yield connection


@contextmanager
def writing_lightly(engine: Engine) -> Generator[Connection]:
    """Yield a connection like `writing`, but do not wait for the disk: a power cut may lose the last moments.

    For rows that may be lost in a restart, such as requests whose sender waits for the answer.
    """
    is_sqlite = engine.dialect.name == "sqlite"
    with (
        translated_errors(engine),
        engine.connect().execution_options(**{_WRITING: True}) as connection,
        _hurried(connection) if is_sqlite else nullcontext(),
        connection.begin(),
    ):
        if not is_sqlite:
            connection.exec_driver_sql("SET LOCAL synchronous_commit TO OFF")
        yield connection


@contextmanager
def _hurried(connection: Connection) -> Generator[None]:
    """Change a setting that SQLite allows only outside of transactions, and restore it."""
    driver = cast("sqlite3.Connection", connection.connection.driver_connection)
    driver.execute("PRAGMA synchronous=NORMAL")
    try:
        yield
    finally:
        if not driver.in_transaction:
            driver.execute("PRAGMA synchronous=FULL")


@contextmanager
def translated_errors(engine: Engine, *, only_reads: bool = False) -> Generator[None]:
    """Turn the drivers' errors about the server into ours; programming errors pass unchanged.

    PostgreSQL reports refused reads and writes in the same way, so a block that `only_reads` has to say so.
    """
    try:
        yield
    except (exc.DBAPIError, psycopg.Error, sqlite3.Error, adbc_driver_manager.Error) as error:
        translated = _translate(error, safe_address(engine.url), only_reads=only_reads)
        if translated is None:
            raise
        raise translated from error
    except exc.TimeoutError as error:
        raise DatabaseUnreachableError(safe_address(engine.url), "no free connection in the pool") from error


def _read_url(url: str) -> URL:
    try:
        address = make_url(url)
        backend = address.get_backend_name()
    except exc.ArgumentError as error:
        raise DatabaseError(
            "TIDEMARK_DATABASE_URL is not a database URL; expected sqlite:///path or postgresql://user@host/name"
        ) from error
    if backend in {"postgresql", "postgres"}:
        return address.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and address.database not in {None, "", ":memory:"}:
        return address
    raise DatabaseError(
        f"TIDEMARK_DATABASE_URL names {backend!r} (in memory, or not supported); "
        "expected sqlite:///path or postgresql://user@host/name"
    )


def _open_postgresql(address: URL) -> Engine:
    # An error's text must not hold a person's data.
    options = dict(POSTGRESQL_OPTIONS)
    engine = create_engine(address, hide_parameters=True, connect_args=options, max_overflow=_OVERFLOW, **_JSON)
    check_stale_connections(engine.pool, lambda connection: _answers(engine, connection))
    event.listen(engine, "connect", _limit_idle_transactions)
    return engine


def _answers(engine: Engine, connection: Any) -> bool:
    try:
        return engine.dialect.do_ping(connection)
    except psycopg.Error:
        return False


def _limit_idle_transactions(connection: psycopg.Connection[Any], _record: Any) -> None:
    """Let the server free the locks of a process that was cut off during a transaction; or they stay for hours."""
    connection.autocommit = True  # else a rollback takes the setting back
    connection.execute("SELECT set_config('idle_in_transaction_session_timeout', %s, false)", [_IDLE_LIMIT])
    connection.autocommit = False


def _open_sqlite(address: URL, busy_seconds: float) -> Engine:
    folder = Path(str(address.database)).expanduser().parent
    try:
        make_private_folder(folder)
    except OSError as error:
        raise DatabaseUnreachableError(safe_address(address), f"cannot make its folder: {error.strerror}") from error
    options = {"timeout": busy_seconds}
    engine = create_engine(address, hide_parameters=True, connect_args=options, max_overflow=_OVERFLOW, **_JSON)
    event.listen(engine, "do_connect", lambda *_given: _keep_from_others(address))
    event.listen(engine, "connect", lambda connection, _record: _prepare_sqlite(connection, busy_seconds))
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _keep_from_others(address: URL) -> None:
    """Create the file before SQLite does, readable only by its owner; SQLite's other files copy its permissions."""
    with suppress(OSError):  # SQLite will report the problem
        make_private_file(Path(str(address.database)).expanduser())


def _prepare_sqlite(connection: sqlite3.Connection, busy_seconds: float) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    waits = f"busy_timeout={round(busy_seconds * 1000)}"
    # What is deleted is overwritten, or a person's replaced record would stay in free space of the file.
    for pragma in (waits, "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")
    _switch_to_wal(connection)


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Several first connections block each other's switch, whatever the busy timeout."""
    ends = time.monotonic() + BUSY_TIMEOUT_SECONDS
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > ends:
                raise
            threading.Event().wait(0.02)


def _begin_sqlite(connection: Connection) -> None:
    is_writing = connection.get_execution_options().get(_WRITING, False)
    driver = cast("sqlite3.Connection", connection.connection.driver_connection)  # SQLAlchemy's way costs 20 us more
    driver.execute("BEGIN IMMEDIATE" if is_writing else "BEGIN")


def _translate(error: Exception, address: str, *, only_reads: bool) -> DatabaseError | None:
    # SQLAlchemy wraps the driver's error; bulk reads and writes use the driver itself and raise it bare.
    cause = error.orig if isinstance(error, exc.DBAPIError) else error
    reason = next(iter(str(cause).strip().splitlines()), type(cause).__name__)
    if only_reads and getattr(cause, "sqlstate", None) == _FORBIDDEN_CODE:
        return DatabaseReadRefusedError(address, reason)
    if getattr(cause, "sqlstate", None) in _WRITE_REFUSED_CODES or any(
        text in reason for text in _WRITE_REFUSED_SQLITE
    ):
        is_disk_full = getattr(cause, "sqlstate", None) == _DISK_FULL_CODE or "disk is full" in reason
        return DatabaseWriteRefusedError(address, reason, is_disk_full=is_disk_full)
    if getattr(error, "connection_invalidated", False) or _is_about_connection(cause):
        return DatabaseUnreachableError(address, reason)
    return None


def _is_about_connection(cause: BaseException | None) -> bool:
    if isinstance(cause, sqlite3.Error):
        return any(text in str(cause) for text in ("unable to open", "database is locked", "not a database"))
    if isinstance(cause, adbc_driver_manager.Error):
        is_lost = cause.sqlstate is None and cause.status_code == adbc_driver_manager.AdbcStatusCode.IO
        return is_lost or (cause.sqlstate or "").startswith(_CONNECTION_CODES)
    if not isinstance(cause, psycopg.OperationalError):
        return False
    return cause.sqlstate is None or cause.sqlstate.startswith(_CONNECTION_CODES)
