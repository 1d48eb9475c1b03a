"""Reads the rows of a query as columns: Arrow over ADBC on PostgreSQL, the driver's own tuples on SQLite.

Measured on 31 columns: ADBC needs 1.8 microseconds a record where a Python object per value needs 10, and it works
without the interpreter's lock, so that reading ahead takes nothing from the network.
"""

import os
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import adbc_driver_manager
import pandas as pd
import pyarrow as pa
from adbc_driver_postgresql import dbapi as adbc
from psycopg import pq
from psycopg.conninfo import make_conninfo
from sqlalchemy import Engine, Select, cast, event, types
from sqlalchemy.dialects import postgresql
from sqlalchemy.pool import QueuePool

from db.connections.engine import POSTGRESQL_OPTIONS, reading, translated_errors
from db.connections.stale_connections import check_stale_connections

_TURNED_ROWS = 500  # that are made into columns at a time, on SQLite
_STREAMED_ROWS = 50_000  # at a time, on SQLite; ADBC sends some 16 MB at a time
_CONNECTIONS = 2  # the range that is worked on, and the one that is read ahead
# Types that arrive as numbers, text or truth values; all others, NUMERIC too, are sent as PostgreSQL writes them.
_SENT_AS_THEY_ARE = (types.Integer, types.Float, types.Boolean, types.String)
# With this style of parameters SQLAlchemy writes a percent sign as it is.
_DIALECT = postgresql.dialect(paramstyle="named")  # pyright: ignore[reportNoOverloadImplementation]

_pools: "WeakKeyDictionary[Engine, tuple[int, QueuePool]]" = WeakKeyDictionary()
_lock = Lock()
_held: ContextVar[tuple[Engine | None, Any]] = ContextVar("held", default=(None, None))  # the connection of a snapshot


def fetch_frame(engine: Engine, statement: Select[Any]) -> pd.DataFrame:
    """Return the rows of a reading query as columns: float64 or int64, `str`, or objects if the types are mixed.

    Missing is NaN. On PostgreSQL, values of other types than binary numbers, text and truth values are their text.
    """
    if engine.dialect.name == "postgresql":
        return _fetch_with_adbc(engine, statement)
    with _reading(engine) as connection:
        result = connection.execute(statement)
        names, cursor = list(result.keys()), result.cursor
        assert cursor is not None, "a query has a cursor"
        values = _fetch_columns(cursor, len(names), None)
    return pd.DataFrame({name: _as_series(column) for name, column in zip(names, values, strict=True)})


def stream_frames(
    engine: Engine, statement: Select[Any], *, whole: frozenset[str] = frozenset()
) -> Generator[pd.DataFrame]:
    """Yield the rows of a reading query in their order, some 100,000 at a time, each part as `fetch_frame` gives it.

    The columns in `whole` hold a whole number in every row: they are exact int64 on SQLite too. At least one frame
    is yielded. The connection is in use until the end.
    """
    parts = _stream_with_adbc if engine.dialect.name == "postgresql" else _stream_on_sqlite
    yield from parts(engine, statement, whole)


def _stream_on_sqlite(engine: Engine, statement: Select[Any], whole: frozenset[str]) -> Generator[pd.DataFrame]:
    with _reading(engine) as connection:
        result = connection.execute(statement)
        names, cursor = list(result.keys()), result.cursor
        assert cursor is not None, "a query has a cursor"
        values, is_first = _fetch_columns(cursor, len(names), _STREAMED_ROWS), True
        while values[0] or is_first:
            columns = zip(names, values, strict=True)
            yield pd.DataFrame(
                {
                    name: pd.Series(column, dtype="int64") if name in whole else _as_series(column)
                    for name, column in columns
                }
            )
            values, is_first = _fetch_columns(cursor, len(names), _STREAMED_ROWS), False


def _fetch_columns(cursor: Any, columns: int, most: int | None) -> list[list[object]]:
    """Return the next rows as columns. More rows at a time wake the garbage collector: thrice as slow."""
    values: list[list[object]] = [[] for _ in range(columns)]
    while (left := _TURNED_ROWS if most is None else most - len(values[0])) > 0:
        rows = cursor.fetchmany(min(left, _TURNED_ROWS))
        if not rows:
            break
        for column, turned in zip(values, zip(*rows, strict=True), strict=True):
            column.extend(turned)
    return values


def _stream_with_adbc(engine: Engine, statement: Select[Any], _whole: frozenset[str]) -> Generator[pd.DataFrame]:
    text = _statement_text(statement)
    with translated_errors(engine, only_reads=True), _connected(engine) as connection, connection.cursor() as cursor:
        cursor.execute(text)
        reader, is_first = cursor.fetch_record_batch(), True
        for batch in reader:
            yield pa.Table.from_batches([batch]).to_pandas(split_blocks=True, self_destruct=True)
            is_first = False
        if is_first:
            yield reader.schema.empty_table().to_pandas()


def fetch_table(engine: Engine, statement: Select[Any]) -> pa.Table:
    """Return the rows of a query on PostgreSQL as Arrow has them: no value is made into text."""
    with translated_errors(engine, only_reads=True), _connected(engine) as connection, connection.cursor() as cursor:
        cursor.execute(_compiled(statement))
        return cursor.fetch_arrow_table()


def join_frames(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Put the parts of one query together; a column whose parts are of several kinds is judged as a whole."""
    if len(frames) == 1:
        return frames[0]
    joined = {}
    for name in frames[0].columns:
        parts = [frame[name] for frame in frames]
        is_mixed = len({str(part.dtype) for part in parts}) > 1
        joined[name] = _as_series(_plain(parts)) if is_mixed else pd.concat(parts, ignore_index=True)
    return pd.DataFrame(joined)


def _plain(parts: list[pd.Series]) -> list[object]:
    return [value for part in parts for value in part.astype("object").where(part.notna(), None).tolist()]


def _fetch_with_adbc(engine: Engine, statement: Select[Any]) -> pd.DataFrame:
    text = _statement_text(statement)
    with translated_errors(engine, only_reads=True), _connected(engine) as connection, connection.cursor() as cursor:
        cursor.execute(text)
        return cursor.fetch_arrow_table().to_pandas(split_blocks=True, self_destruct=True)


def _statement_text(statement: Select[Any]) -> str:
    return _compiled(_with_plain_types(statement))


def _compiled(statement: Select[Any]) -> str:
    return str(statement.compile(dialect=_DIALECT, compile_kwargs={"literal_binds": True}))


def _with_plain_types(statement: Select[Any]) -> Select[Any]:
    plain = [
        column if _is_sent_as_it_is(column.type) else cast(column, types.Text).label(column.name)
        for column in statement.selected_columns
    ]
    return statement.with_only_columns(*plain)


def _is_sent_as_it_is(kind: types.TypeEngine[Any]) -> bool:
    return isinstance(kind, _SENT_AS_THEY_ARE) and not isinstance(kind, types.Enum)


@contextmanager
def reading_one_moment(engine: Engine) -> Generator[None]:
    """Let all frames that this thread reads in the block be of one snapshot, which the first of them fixes.

    In a block of the same database it is that block's snapshot.
    """
    if _held.get()[0] is engine:
        yield
        return
    is_postgresql = engine.dialect.name == "postgresql"
    with _snapshot_with_adbc(engine) if is_postgresql else reading(engine) as connection:
        token = _held.set((engine, connection))
        try:
            yield
        finally:
            _held.reset(token)


@contextmanager
def _snapshot_with_adbc(engine: Engine) -> Generator[Any]:
    with translated_errors(engine, only_reads=True), _connected(engine) as connection:
        try:
            _run(connection, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield connection
            _run(connection, "COMMIT")
        except BaseException:
            connection.invalidate()  # with the transaction
            raise


def _run(connection: Any, command: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(command)


@contextmanager
def _reading(engine: Engine) -> Generator[Any]:
    """Yield the connection of the snapshot, else one for this query."""
    owner, held = _held.get()
    if owner is engine:
        yield held
    else:
        with reading(engine) as connection:
            yield connection


@contextmanager
def _connected(engine: Engine) -> Generator[Any]:
    """Yield the connection of the snapshot, else one of the pool, and discard it afterwards if it failed."""
    owner, held = _held.get()
    if owner is engine:
        yield held
        return
    connection = _pool_of(engine).connect()
    try:
        yield connection
    except adbc_driver_manager.Error:
        connection.invalidate()  # the pool cannot know whether it was the query's fault
        raise
    finally:
        connection.close()


def _answers(connection: Any) -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
    except adbc_driver_manager.Error:
        return False
    return True


def _pool_of(engine: Engine) -> QueuePool:
    with _lock:
        owner, pool = _pools.get(engine, (None, None))
        if pool is None or owner != os.getpid():
            pool = _open_pool(engine)
            _pools[engine] = (os.getpid(), pool)
            event.listen(engine, "engine_disposed", lambda _engine, opened=pool: opened.dispose())
        return pool


def _open_pool(engine: Engine) -> QueuePool:
    _, given = engine.dialect.create_connect_args(engine.url)
    known = {one.keyword.decode() for one in pq.Conninfo.get_defaults()}  # the rest is psycopg's own
    options = POSTGRESQL_OPTIONS | {name: value for name, value in given.items() if name in known}
    address = make_conninfo(**{name: str(value) for name, value in options.items()})
    # A statement is a transaction of its own, so there is nothing to roll back when a connection returns.
    pool = QueuePool(
        lambda: adbc.connect(address, autocommit=True),  # pyright: ignore[reportArgumentType]
        pool_size=_CONNECTIONS,
        reset_on_return=None,
    )
    check_stale_connections(pool, _answers)
    return pool


def _as_series(values: list[object]) -> pd.Series:
    """Numbers become float64 and text `str` at once; anything mixed stays as objects for `transformer` to judge."""
    kinds = set(map(type, values)) - {type(None)}
    if kinds and kinds <= {float, int}:
        return pd.Series(values, dtype="float64")
    if kinds == {str}:
        return pd.Series(values, dtype="str")
    return pd.Series(values, dtype="object")
