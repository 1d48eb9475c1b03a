"""The canonical name of a source in the database, and the tables that can never be a source.

Never a source: Tidemark's tables and views, the database's catalogues, temporary tables, and a view that reads one of
them, itself or through other views. What a function inside a view reads cannot be seen: do not grant such a
view without reading it.
"""

import sqlite3
from typing import cast

from sqlalchemy import Connection, text

from db.errors import SourceError, SourceReservedError
from db.schema.core_tables import PREFIX

VIEWS = frozenset({"latest_scores"})
_OTHER_TOOLS = frozenset({"alembic_version"})
# `pragma_...`, `dbstat` and such are tables of SQLite that no catalogue lists: `find_kind` does not find them.
_RESERVED_STARTS = (PREFIX, "sqlite_", "pg_")

_VISIBLE_SCHEMA = text("""
    SELECT coalesce((
        SELECT n.nspname FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE c.relname = :name AND pg_catalog.pg_table_is_visible(c.oid) LIMIT 1
    ), current_schema(), 'public')
""")
_KIND_ON_POSTGRESQL = text("""
    SELECT c.relkind::text FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = :schema AND c.relname = :name AND c.relkind IN ('r', 'p', 'f', 'v', 'm')
""")
_KIND_ON_SQLITE = text("SELECT name, type FROM main.sqlite_master WHERE type IN ('table', 'view')")
# Catalogues are pinned, so pg_depend does not list them; the query tree of a view does.
_USED_ON_POSTGRESQL = text(r"""
    WITH RECURSIVE used(oid) AS (
        SELECT c.oid FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = :schema AND c.relname = :name
        UNION
        SELECT more.oid FROM used CROSS JOIN LATERAL (
            SELECT d.refobjid AS oid FROM pg_catalog.pg_rewrite AS r
            JOIN pg_catalog.pg_depend AS d
              ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid
             AND d.refclassid = 'pg_catalog.pg_class'::regclass
            WHERE r.ev_class = used.oid
            UNION ALL
            SELECT found.match[1]::oid FROM pg_catalog.pg_rewrite AS r
            CROSS JOIN LATERAL regexp_matches(r.ev_action::text, '\:relid (\d+)', 'g') AS found(match)
            WHERE r.ev_class = used.oid
            UNION ALL
            SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i WHERE i.inhparent = used.oid
        ) AS more
    )
    SELECT n.nspname, c.relname FROM used
    JOIN pg_catalog.pg_class AS c ON c.oid = used.oid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
""")


def split_source(source: str) -> tuple[str | None, str]:
    """Return schema and table of "table" or "schema.table"."""
    schema, _, table = source.rpartition(".")
    return schema or None, table


def name_source(connection: Connection, source: str) -> str:
    """Return "schema.table" on PostgreSQL, on SQLite the table in small letters; whether it is there or not.

    Raises `SourceReservedError` if the name alone shows that it is reserved.
    """
    schema, name = split_source(source)
    if not name.strip() or "." in (schema or ""):
        raise SourceError(f'expected a source as "table" or "schema.table", got {source!r}')
    if is_reserved(schema, name):
        raise SourceReservedError(source)
    if connection.dialect.name == "sqlite":
        if schema is not None and _fold(schema) != "main":  # attached files and temporary tables
            raise SourceReservedError(source)
        return _fold(name)
    schema = schema or connection.execute(_VISIBLE_SCHEMA, {"name": name}).scalar_one()
    if is_reserved(schema, name):
        raise SourceReservedError(source)
    return f"{schema}.{name}"


def is_reserved(schema: str | None, name: str) -> bool:
    """Whether a table is Tidemark's or the database's own, by its name in whatever spelling."""
    folded, folded_schema = name.casefold(), (schema or "").casefold()
    if folded_schema == "information_schema" or folded_schema.startswith("pg_"):
        return True
    return folded.startswith(_RESERVED_STARTS) or folded in VIEWS | _OTHER_TOOLS


def find_kind(connection: Connection, name: str) -> str | None:
    """Return "table" or "view" for a source by the name that the database gives it, None if there is none."""
    if connection.dialect.name == "sqlite":
        return next((row.type for row in connection.execute(_KIND_ON_SQLITE) if _fold(row.name) == name), None)
    schema, table = split_source(name)
    kind = connection.execute(_KIND_ON_POSTGRESQL, {"schema": schema, "name": table}).scalar()
    return None if kind is None else "view" if kind in {"v", "m"} else "table"


def require_no_reserved_table(connection: Connection, name: str, source: str) -> None:
    """Raise `SourceReservedError` if the source, by its canonical name, reads a reserved table."""
    if connection.dialect.name == "sqlite":
        used = [(None, table) for table in _tables_read_on_sqlite(connection, name)]
    else:
        schema, table = split_source(name)
        used = [tuple(row) for row in connection.execute(_USED_ON_POSTGRESQL, {"schema": schema, "name": table})]
    if any(is_reserved(schema, str(table)) for schema, table in used):
        raise SourceReservedError(source)


def _tables_read_on_sqlite(connection: Connection, name: str) -> set[str]:
    """SQLite asks its authorizer for every table that a statement reads, also behind views, when it compiles it."""
    driver = cast("sqlite3.Connection", connection.connection.driver_connection)
    read: set[str] = set()

    def note(action: int, table: str | None, *_rest: object) -> int:
        if action == sqlite3.SQLITE_READ and table is not None:
            read.add(table)
        return sqlite3.SQLITE_OK

    quoted = connection.dialect.identifier_preparer.quote_identifier(name)
    driver.set_authorizer(note)
    try:
        driver.execute(f"EXPLAIN SELECT * FROM main.{quoted}").close()  # noqa: S608 - the name is quoted
    finally:
        driver.set_authorizer(None)
    return read


def _fold(name: str) -> str:
    """SQLite takes the 26 letters of ASCII for the same in either case, and no others."""
    return name.encode(errors="surrogatepass").lower().decode(errors="surrogatepass")
