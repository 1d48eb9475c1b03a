"""Bulk inserts of plain rows: COPY on PostgreSQL, one prepared statement for many rows on SQLite."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, cast

from psycopg import Connection as PsycopgConnection
from psycopg import sql
from sqlalchemy import Connection, Table


def copy_rows(connection: Connection, table: Table, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
    """Insert rows in the caller's transaction, without an object per row."""
    if connection.dialect.name == "postgresql":
        _copy_on_postgresql(connection, table, columns, rows)
    else:
        _insert_on_sqlite(connection, table, columns, rows)


def _copy_on_postgresql(
    connection: Connection, table: Table, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]
) -> None:
    driver = cast("PsycopgConnection[Any]", connection.connection.driver_connection)
    where = sql.Identifier(*(part for part in (table.schema, table.name) if part))
    names = sql.SQL(", ").join(sql.Identifier(name) for name in columns)
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(where, names)
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


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
