"""Loads records of a data file into the source table, in bulk and in one transaction."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
    Engine,
    FromClause,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    delete,
    exists,
    func,
    insert,
    select,
)
from sqlalchemy.schema import CreateIndex, CreateTable

from db.connections.bulk_insert import copy_rows
from db.connections.engine import writing
from db.errors import KeyTypeError, SourceError
from db.events.event_log import record_event
from db.events.wording import counted
from db.portfolios.definition import FieldKind, PortfolioDefinition, Source
from db.portfolios.portfolio_sources import note_sources
from db.portfolios.source_grants import is_made_by_load, note_made_by_load, require_grant
from db.portfolios.source_names import find_kind, name_source, split_source
from db.privacy.erased_keys import drop_erased, hold_off_erasures, read_erasures
from db.sources.book_sharing import share_with_roles
from db.sources.source_table import ROW, UNREADABLE, missing_columns, reflect_source

_STAGING = "tidemark_staging"
_SHOWN_KEYS = 3


@dataclass(frozen=True)
class LoadOutcome:
    """The result of a load, in records."""

    loaded: int
    replaced: int
    without_key: int
    total: int
    repeated_keys: int = 0  # that the file holds more than once
    repeated_examples: tuple[str, ...] = ()


def load_records(
    engine: Engine,
    definition: PortfolioDefinition,
    frames: Iterable[pd.DataFrame],
    *,
    key_type: str,
    replace_all: bool = False,
    who: str,
) -> LoadOutcome:
    """Put every row of the frames into the source table; rows whose key the file holds are replaced.

    `key_type` is "integer" or "text". All or nothing: one transaction. Rows without a key replace those without a key
    of earlier loads. A key that the file holds twice is kept twice, so that scoring can reject the second one.
    Loading the same file again changes nothing. A missing table is created, and belongs to this portfolio
    from then on. Persons erased since the load began are left out; a file with the key that is loaded later brings
    the person back. Raises `SourceError` when the table was not made for this portfolio, is a view or lacks a column,
    and `KeyTypeError` when the keys are of another type than the table's.
    """
    erasures_before = read_erasures(engine, definition.name)
    with writing(engine) as connection:
        if replace_all:  # the erasure locks before it needs the table, and so does dropping it
            hold_off_erasures(connection, erasures_before)
        kind = require_loadable(connection, definition.records)
        table = _prepare_table(connection, definition, key_type, is_there=kind is not None, replace_all=replace_all)
        note_made_by_load(connection, definition.records, who=who)
        staging = make_staging(connection, table)
        loaded = _fill_staging(connection, staging, frames)
        key, staged_key = table.c[definition.key], staging.c[definition.key]
        if hold_off_erasures(connection, erasures_before):
            loaded -= drop_erased(connection, staged_key, erasures_before)
        note_sources(connection, definition)
        without_key = count_rows(connection, staging, staged_key.is_(None))
        repeated, examples = _find_repeated(connection, staged_key)
        replaced = _delete_replaced(connection, key, staged_key, without_key=without_key)
        _move_staged(connection, staging, table, staged_key)
        total = count_rows(connection, table)
        why = f"{counted(loaded, 'record')}, {replaced:,} replaced"
        record_event(connection, "records.loaded", who=who, portfolio=definition.name, why=why)
    return LoadOutcome(loaded, replaced, without_key, total, repeated, examples)


def _move_staged(connection: Connection, staging: Table, table: Table, staged_key: Column[Any]) -> None:
    names = [column.name for column in staging.columns]
    connection.execute(insert(table).from_select(names, select(*staging.columns).order_by(staged_key)))
    staging.drop(connection)


def _find_repeated(connection: Connection, staged_key: Column[Any]) -> tuple[int, tuple[str, ...]]:
    """How many keys were staged more than once, and the first few of them."""
    repeated = select(staged_key.label("key")).where(staged_key.is_not(None)).group_by(staged_key)
    found = repeated.having(func.count() > 1).subquery()
    count = count_rows(connection, found)
    shown = select(found.c.key).order_by(found.c.key).limit(_SHOWN_KEYS) if count else None
    return count, () if shown is None else tuple(str(key) for key in connection.execute(shown).scalars())


def require_loadable(connection: Connection, source: Source) -> str | None:
    """Return the kind of the target: a table that `load` created for this portfolio, or nothing.

    The name of a new table must be granted too; otherwise loading could be used to find out which tables exist.
    """
    name = name_source(connection, source.name)
    require_grant(connection, source, name)
    kind = find_kind(connection, name)
    if kind == "view":
        raise SourceError(f"the source {source.name} is a view; load rows into the tables behind it")
    if kind is not None and not is_made_by_load(connection, source):
        raise SourceError(
            f"the table {source.name} was made for another portfolio, or not by Tidemark: nothing is loaded into "
            "it, and it is not dropped. Name another source in the portfolio file; load then creates it"
        )
    return kind


def _prepare_table(
    connection: Connection, definition: PortfolioDefinition, key_type: str, *, is_there: bool, replace_all: bool
) -> Table:
    if not is_there:
        return _create_table(connection, definition, key_type)
    table = reflect_source(connection, definition.records)
    if replace_all:
        if ROW not in table.c:  # someone dropped ours and made another one of its name
            raise SourceError(f"the table {table.fullname} was not made by Tidemark, so it cannot be dropped")
        table.drop(connection)
        return _create_table(connection, definition, key_type)
    _require_own_table(table, definition)
    _require_key_type(table, definition, key_type)
    return table


def _create_table(connection: Connection, definition: PortfolioDefinition, key_type: str) -> Table:
    schema, name = split_source(definition.source)
    columns: list[Column[Any]] = [Column(definition.key, BigInteger if key_type == "integer" else Text)]
    if definition.target is not None:
        columns.append(Column(definition.target, Double))
    columns += [Column(name, Text) for name in definition.time_columns]
    columns += [
        Column(column, Double if kind is FieldKind.NUMERIC else Text)
        for column, kind in definition.column_kinds.items()
    ]
    columns += [Column(ROW, BigInteger), Column(UNREADABLE, Text)]
    table = Table(name, MetaData(), *columns, schema=schema)
    table.create(connection)
    # Not unique: a key that a file holds twice must come as far as the rejects.
    Index(f"ix_{name}_{definition.key}"[:60], table.c[definition.key]).create(connection)
    share_with_roles(connection, table)
    return table


def _require_own_table(table: Table, definition: PortfolioDefinition) -> None:
    target = () if definition.target is None else (definition.target,)
    named = (definition.key, *target, *definition.time_columns, *definition.input_columns)
    absent = missing_columns(table, (*named, ROW, UNREADABLE))
    if absent:
        raise SourceError(
            f"the table {table.fullname} lacks the columns {', '.join(absent)}: it was made for another portfolio "
            "file, or not by Tidemark. Load with --replace to recreate it (its present rows are deleted)"
        )


def _require_key_type(table: Table, definition: PortfolioDefinition, key_type: str) -> None:
    table_type = "integer" if isinstance(table.c[definition.key].type, Integer) else "text"
    if table_type == "integer" and key_type == "text":
        raise KeyTypeError(definition.source, definition.key, table_type, key_type)


def make_staging(connection: Connection, table: Table) -> Table:
    """Make a temporary table with the same columns."""
    columns = [Column(column.name, column.type) for column in table.columns]
    staging = Table(_STAGING, MetaData(), *columns, prefixes=["TEMPORARY"])
    connection.execute(CreateTable(staging))
    return staging


def _fill_staging(connection: Connection, staging: Table, frames: Iterable[pd.DataFrame]) -> int:
    loaded = 0
    as_text = isinstance(staging.columns[0].type, Text)
    for frame in frames:
        copy_rows(connection, staging, [*frame.columns, ROW], _rows_of(frame, loaded, keys_as_text=as_text))
        loaded += len(frame)
    return loaded


def _rows_of(frame: pd.DataFrame, first: int, *, keys_as_text: bool) -> Iterator[tuple[Any, ...]]:
    """Rows as plain Python values, missing ones as None; the key is the first column."""
    columns = [_plain_values(frame[name]) for name in frame.columns]
    if keys_as_text:
        columns[0] = [None if key is None else str(key) for key in columns[0]]
    return zip(*columns, range(first + 1, first + 1 + len(frame)), strict=True)


def _plain_values(series: pd.Series) -> list[Any]:
    return series.astype("object").where(series.notna(), None).tolist()


def _delete_replaced(connection: Connection, key: Column[Any], staged_key: Column[Any], *, without_key: int) -> int:
    connection.execute(CreateIndex(Index("ix_tidemark_staging_key", staged_key)))
    replaced = connection.execute(delete(key.table).where(exists().where(staged_key == key))).rowcount
    if without_key:
        replaced += connection.execute(delete(key.table).where(key.is_(None))).rowcount
    return replaced


def count_rows(connection: Connection, table: FromClause, condition: Any = None) -> int:
    """Return the number of rows that meet the condition, if one is given."""
    statement = select(func.count()).select_from(table)
    return connection.execute(statement if condition is None else statement.where(condition)).scalar_one()
