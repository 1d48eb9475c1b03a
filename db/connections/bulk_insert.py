"""Bulk inserts of rows or columns: COPY on PostgreSQL, one prepared statement for many rows on SQLite."""

import io
import sqlite3
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import pyarrow as pa
from psycopg import Connection as PsycopgConnection
from psycopg import Copy, sql
from pyarrow import csv
from sqlalchemy import Connection, Table


def copy_rows(connection: Connection, table: Table, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
    """Insert rows in the caller's transaction, without an object per row."""
    if connection.dialect.name == "postgresql":
        _copy_on_postgresql(connection, table, columns, rows)
    else:
        _insert_on_sqlite(connection, table, columns, rows)


def copy_columns(connection: Connection, table: Table, columns: Mapping[str, Any]) -> None:
    """Insert columns of equal length, arrays or sequences, in the caller's transaction.

    A value that is neither counts for all rows. On PostgreSQL the text of all rows is made at once.
    """
    rows = max((len(one) for one in columns.values() if _is_column(one)), default=0)
    arrays = [
        pa.array(one, from_pandas=True) if _is_column(one) else pa.repeat(pa.scalar(one), rows)
        for one in columns.values()
    ]
    if connection.dialect.name != "postgresql":
        _insert_on_sqlite(connection, table, list(columns), zip(*(one.to_pylist() for one in arrays), strict=True))
        return
    text = io.BytesIO()
    csv.write_csv(pa.table(arrays, names=list(columns)), text, csv.WriteOptions(include_header=False))
    with _copying(connection, table, list(columns), "FORMAT csv") as copy:
        copy.write(text.getbuffer())


def _is_column(value: Any) -> bool:
    return hasattr(value, "__len__") and not isinstance(value, str)


def _copy_on_postgresql(
    connection: Connection, table: Table, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]
) -> None:
    with _copying(connection, table, columns, "FORMAT text") as copy:
        for row in rows:
            copy.write_row(row)


@contextmanager
def _copying(connection: Connection, table: Table, columns: Sequence[str], layout: str) -> Generator[Copy]:
    driver = cast("PsycopgConnection[Any]", connection.connection.driver_connection)
    where = sql.Identifier(*(part for part in (table.schema, table.name) if part))
    names = sql.SQL(", ").join(sql.Identifier(name) for name in columns)
    statement = sql.SQL("COPY {} ({}) FROM STDIN ({})").format(where, names, sql.SQL(layout))  # pyright: ignore
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        yield copy


def _insert_on_sqlite(
    connection: Connection, table: Table, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]
) -> None:
    quote = connection.dialect.identifier_preparer.quote_identifier
    names = ", ".join(quote(name) for name in columns)
    places = ", ".join("?" * len(columns))
    # Names come from the table definition and are quoted; values are bound.
    statement = f"INSERT INTO {quote(table.name)} ({names}) VALUES ({places})"  # noqa: S608
    driver = cast("sqlite3.Connection", connection.connection.driver_connection)
    driver.executemany(statement, rows)
