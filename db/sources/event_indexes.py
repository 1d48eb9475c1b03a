"""Finds event tables whose events of a key range cannot be found without reading the whole table."""

from dataclasses import dataclass

from sqlalchemy import Connection, Engine, Index, Table, inspect
from sqlalchemy.schema import CreateIndex

from db.connections.engine import reading
from db.portfolios.catalog import list_portfolios
from db.portfolios.definition import EventsDefinition, PortfolioDefinition
from db.portfolios.source_names import find_kind, name_source, split_source
from db.sources.source_table import find_source


@dataclass(frozen=True)
class MissingIndex:
    """An event table without an index that begins with its key; `statement` makes one."""

    portfolio: str
    source: str
    key: str
    statement: str


def find_missing_indexes(engine: Engine) -> list[MissingIndex]:
    """Return the event tables of all portfolios that lack such an index; views and missing tables are left out."""
    definitions = [one.definition for one in list_portfolios(engine)]
    with reading(engine) as connection:
        found = [_find_missing(connection, one, events) for one in definitions for events in one.events]
    return list(dict.fromkeys(one for one in found if one is not None))


def _find_missing(
    connection: Connection, definition: PortfolioDefinition, events: EventsDefinition
) -> MissingIndex | None:
    table = find_source(connection, definition.events_of(events))
    if table is None or not {events.key, events.at} <= set(table.c.keys()):
        return None
    if find_kind(connection, name_source(connection, events.source)) != "table":
        return None
    schema, name = split_source(events.source)
    seen = inspect(connection)
    indexed = [list[str | None](one["column_names"]) for one in seen.get_indexes(name, schema)]
    indexed.append(list(seen.get_pk_constraint(name, schema)["constrained_columns"]))
    indexed += [list(one["column_names"]) for one in seen.get_unique_constraints(name, schema)]
    if any(columns[:1] == [events.key] for columns in indexed):
        return None
    return MissingIndex(definition.name, events.source, events.key, _make_statement(connection, table, events))


def _make_statement(connection: Connection, table: Table, events: EventsDefinition) -> str:
    index = Index(f"ix_{table.name}_{events.key}_{events.at}"[:60], table.c[events.key], table.c[events.at])
    return str(CreateIndex(index).compile(dialect=connection.dialect)).strip()
