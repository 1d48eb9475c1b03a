"""Loads the events of a data file into a portfolio's event table, in bulk and in one transaction."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    DateTime,
    Double,
    Engine,
    Index,
    Integer,
    MetaData,
    Select,
    String,
    Table,
    Text,
    delete,
    exists,
    func,
    insert,
    select,
)
from sqlalchemy.schema import CreateIndex

from db.connections.bulk_insert import copy_columns
from db.connections.engine import writing
from db.errors import KeyTypeError, SourceError
from db.events.event_log import LATE, record_event
from db.events.wording import counted
from db.portfolios.definition import EventsDefinition, FieldKind, PortfolioDefinition
from db.portfolios.portfolio_sources import note_sources
from db.portfolios.source_grants import note_made_by_load
from db.portfolios.source_names import split_source
from db.privacy.erased_keys import ErasureCount, drop_erased, hold_off_erasures, read_erasures
from db.sources.book_sharing import share_with_roles
from db.sources.event_times import as_datetime
from db.sources.loading import count_rows, make_staging, require_loadable
from db.sources.scored_nights import Night, find_newest_night
from db.sources.source_table import ROW, find_source, missing_columns, reflect_source


class EventLoadMode(StrEnum):
    """What happens to events that the table holds already."""

    NEW_RECORDS = "new_records"  # nothing: the load is refused if records of the file have events
    APPEND = "append"  # they stay
    BY_RECORD = "by_record"  # those of the records in the file are replaced
    REPLACE = "replace"  # the table is made anew


@dataclass(frozen=True)
class EventLoadOutcome:
    """The result of a load, in events. `late` ones lie before the end of `night`, which was scored without them."""

    loaded: int
    replaced: int
    records: int
    total: int
    late: int = 0
    night: str | None = None


@dataclass(frozen=True)
class EventLoad:
    """What is to be loaded, and how; of a trial nothing stays."""

    definition: PortfolioDefinition
    events: EventsDefinition
    key_type: str  # of the file: "integer" or "text"
    mode: EventLoadMode = EventLoadMode.NEW_RECORDS
    is_trial: bool = False
    who: str = "system"


class _TrialEnded(Exception):  # noqa: N818 - not an error: it rolls back what a trial wrote
    def __init__(self, outcome: EventLoadOutcome) -> None:
        self.outcome = outcome


def load_events(engine: Engine, load: EventLoad, frames: Iterable[pd.DataFrame]) -> EventLoadOutcome:
    """Put every row of the frames into the event table, all or nothing.

    A frame has the columns key (integers or text), time (int64: microseconds since 1970 in UTC), and the others of the
    definition. A missing table is created, with an index on key and time, and belongs to this portfolio from then on.
    Persons erased since the load began are left out. Raises `SourceError` when the table was not made for this
    portfolio, is a view, lacks a column, or holds events of the file's records and the mode does not say what to do;
    `KeyTypeError` when the keys are of another type than those of the records.
    """
    erasures_before = read_erasures(engine, load.definition.name)
    try:
        with writing(engine) as connection:
            return _load(connection, load, frames, erasures_before)
    except _TrialEnded as trial:
        return trial.outcome


def _load(
    connection: Connection, load: EventLoad, frames: Iterable[pd.DataFrame], erasures_before: ErasureCount
) -> EventLoadOutcome:
    if load.mode is EventLoadMode.REPLACE:  # the erasure locks before it needs the table, and so does dropping it
        hold_off_erasures(connection, erasures_before)
    source = load.definition.events_of(load.events)
    is_there = require_loadable(connection, source) is not None
    table = _prepare_table(connection, load, is_there=is_there)
    has_index = is_there and load.mode is not EventLoadMode.REPLACE
    note_made_by_load(connection, source, who=load.who)
    staging = make_staging(connection, table)
    loaded = _fill_staging(connection, staging, load, frames)
    if hold_off_erasures(connection, erasures_before):
        loaded -= drop_erased(connection, staging.c[load.events.key], erasures_before)
    note_sources(connection, load.definition)
    outcome = _move(connection, load, staging, table, loaded=loaded, has_index=has_index)
    if load.is_trial:
        raise _TrialEnded(outcome)
    why = f"{counted(loaded, 'event')} of {load.events.name}, {outcome.replaced:,} replaced"
    record_event(connection, "events.loaded", who=load.who, portfolio=load.definition.name, why=why)
    if outcome.late:
        why = f"{counted(outcome.late, 'event')} of {load.events.name}: the night of {outcome.night} had not seen them"
        record_event(connection, LATE, who=load.who, portfolio=load.definition.name, why=why)
    return outcome


def _prepare_table(connection: Connection, load: EventLoad, *, is_there: bool) -> Table:
    source, events = load.definition.events_of(load.events), load.events
    if not is_there:
        return _create_table(connection, load)
    table = reflect_source(connection, source)
    if load.mode is EventLoadMode.REPLACE:
        if ROW not in table.c:  # someone dropped ours and made another one of its name
            raise SourceError(f"the table {table.fullname} was not made by Tidemark, so it cannot be dropped")
        table.drop(connection)
        return _create_table(connection, load)
    absent = missing_columns(table, (events.key, events.at, *events.columns, ROW))
    if absent:
        raise SourceError(
            f"the table {table.fullname} lacks the columns {', '.join(absent)}: it was made for another portfolio "
            "file, or not by Tidemark. Load with --replace to recreate it (its present events are deleted)"
        )
    if isinstance(table.c[events.key].type, Integer) and load.key_type == "text":
        raise KeyTypeError(events.source, events.key, "integer", load.key_type)
    return table


def _create_table(connection: Connection, load: EventLoad) -> Table:
    events = load.events
    schema, name = split_source(events.source)
    time = DateTime() if connection.dialect.name == "postgresql" else Text()
    columns: list[Column[Any]] = [Column(events.key, _key_type(connection, load)), Column(events.at, time)]
    kinds = {} if events.type is None else {events.type: FieldKind.CATEGORICAL}
    kinds |= {one.name: one.kind for one in events.fields}
    columns += [Column(one, Double() if kind is FieldKind.NUMERIC else Text()) for one, kind in kinds.items()]
    table = Table(name, MetaData(), *columns, Column(ROW, BigInteger), schema=schema)
    table.create(connection)
    share_with_roles(connection, table)
    return table


def _make_index(connection: Connection, table: Table, events: EventsDefinition) -> None:
    """With the row, so that a key range is read in order without sorting."""
    columns = (table.c[events.key], table.c[events.at], table.c[ROW])
    Index(f"ix_{table.name}_{events.key}_{events.at}"[:60], *columns).create(connection)


def _key_type(connection: Connection, load: EventLoad) -> Any:
    """The type of the records' key, so that one range means the same in both; the file's before there are records."""
    book = find_source(connection, load.definition.records)
    if book is None or load.definition.key not in book.c:
        return BigInteger() if load.key_type == "integer" else Text()
    kind = book.c[load.definition.key].type
    if isinstance(kind, Integer):
        if load.key_type == "text":
            raise KeyTypeError(load.definition.source, load.definition.key, "integer", "text")
        return BigInteger()
    return Text() if isinstance(kind, String) and kind.collation is None else kind


def _fill_staging(connection: Connection, staging: Table, load: EventLoad, frames: Iterable[pd.DataFrame]) -> int:
    events, loaded = load.events, 0
    as_text = not isinstance(staging.c[events.key].type, Integer)
    for frame in frames:
        columns: dict[str, Any] = {name: frame[name].to_numpy(dtype=object) for name in (events.key, *events.columns)}
        if as_text:
            columns[events.key] = frame[events.key].astype("str").to_numpy(dtype=object)
        columns[events.at] = _written_times(connection, frame[events.at])
        columns[ROW] = np.arange(loaded + 1, loaded + 1 + len(frame))
        if len(frame):
            copy_columns(connection, staging, columns)
        loaded += len(frame)
    return loaded


def _written_times(connection: Connection, microseconds: "pd.Series[int]") -> Any:
    """SQLite gets text of one length, which sorts as the times do."""
    times = microseconds.to_numpy().astype("datetime64[us]")
    return times if connection.dialect.name == "postgresql" else np.datetime_as_string(times, unit="us").astype(object)


def _move(
    connection: Connection, load: EventLoad, staging: Table, table: Table, *, loaded: int, has_index: bool
) -> EventLoadOutcome:
    key, at, staged_key = table.c[load.events.key], table.c[load.events.at], staging.c[load.events.key]
    connection.execute(CreateIndex(Index("ix_tidemark_staging_key", staged_key)))
    has_events = load.mode is not EventLoadMode.REPLACE and connection.execute(select(key).limit(1)).first() is not None
    night = find_newest_night(connection, load.definition) if has_events else None
    replaced = late_before = 0
    is_staged = exists().where(staged_key == key)
    if has_events and load.mode is EventLoadMode.NEW_RECORDS:
        _require_new_records(connection, load, staged_key, key)
    if has_events and load.mode is EventLoadMode.BY_RECORD:
        late_before = 0 if night is None else count_rows(connection, table, is_staged & _is_late(connection, at, night))
        replaced = connection.execute(delete(table).where(is_staged)).rowcount
    late = (
        0 if night is None else count_rows(connection, staging, _is_late(connection, staging.c[load.events.at], night))
    )
    records = count_rows(connection, select(staged_key).distinct().subquery())
    newest_row = connection.execute(select(func.max(table.c[ROW]))).scalar() if has_events else None
    connection.execute(_moved(staging, table, load.events, newest_row or 0))
    if not has_index:  # made now, it costs half of what it does row by row
        _make_index(connection, table, load.events)
    staging.drop(connection)
    late = max(0, late - late_before)  # those that were there already were read
    return EventLoadOutcome(
        loaded, replaced, records, count_rows(connection, table), late, None if night is None else night.date
    )


def _moved(staging: Table, table: Table, events: EventsDefinition, newest_row: int) -> Any:
    """Rows are numbered on, so that of two events of one time the one loaded later stays the later one."""
    names = [one.name for one in staging.columns]
    values = [one + newest_row if one.name == ROW else one for one in staging.columns]
    order = (staging.c[events.key], staging.c[events.at], staging.c[ROW])
    rows: Select[Any] = select(*values).order_by(*order)
    return insert(table).from_select(names, rows)


def _require_new_records(connection: Connection, load: EventLoad, staged_key: Column[Any], key: Column[Any]) -> None:
    known = select(staged_key).where(exists().where(key == staged_key)).distinct().subquery()
    found = count_rows(connection, known)
    if found:
        raise SourceError(
            f"the table {load.events.source} already holds events of {counted(found, 'record')} of the file. Load with "
            "--append to add the file's events to them, with --by-record to replace all events of these records, or "
            "with --replace to recreate the table"
        )


def _is_late(connection: Connection, at: Column[Any], night: Night) -> ColumnElement[bool]:
    end: Any = as_datetime(night.end).replace(tzinfo=None)
    return at < (end if connection.dialect.name == "postgresql" else end.isoformat(timespec="microseconds"))
