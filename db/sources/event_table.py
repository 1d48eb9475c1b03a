"""The table or view with the events of a portfolio's records: checks it, and reads the events of one key range.

How times are read is told in `db.sources.event_times`. A record with ten million events takes no more memory than one
with `NEWEST_READ`: the rows come in parts, in the order of keys and times, and older ones are let go on the way.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sqlalchemy import Column, Connection, Engine, Float, Integer, Numeric, String, Table, types

from db.connections.engine import reading
from db.connections.frame_reading import join_frames, reading_one_moment, stream_frames
from db.errors import SourceError
from db.portfolios.definition import EventsDefinition, PortfolioDefinition, Source
from db.portfolios.portfolio_sources import NamedSource
from db.sources.event_query import DATED, EVENT_AT, EVENT_KEY, EventQuery, order_of_ties
from db.sources.event_times import UNREADABLE
from db.sources.packed_events import is_packable, read_packed, with_times
from db.sources.source_table import (
    KeyRange,
    reading_remembered,
    reflect_source,
    remembered_source,
    require_columns,
)
from db.sources.source_trouble import reading_source

NEWEST_READ = 100_000  # events of one record; older ones are not used
UNREADABLE_TIMES = "unreadable_times"  # in a frame's `attrs`: rows that were left out because they have no time
_HELD_ROWS = 1_000_000  # before they are searched for records with too many events
_NUMBERS = (Integer, Float, Numeric)


def check_events(
    engine: Engine, source: Source, events: EventsDefinition, *, records: NamedSource | None = None
) -> None:
    """Raise `SourceError` if the events cannot be read.

    The table is not granted or not there, lacks a column, its times are of a type that holds none, or its key is of
    another type than that of the `records`, if they are given.
    """
    with reading_source(engine, source), reading(engine) as connection:
        table = reflect_source(connection, source, load_with=_load_with(events))
        _require_readable(connection, table, events)
        key = table.c[events.key]
    if records is not None:
        with reading_source(engine, records.source), reading(engine) as connection:
            book = reflect_source(connection, records.source)
            require_columns(book, (records.key,))
            _require_same_type(book.c[records.key], key, events)


def check_all_events(engine: Engine, definition: PortfolioDefinition) -> None:
    """Check every event table of a definition like `check_events`, against the key of its records."""
    records = NamedSource(definition.records, definition.key)
    for one in definition.events:
        check_events(engine, definition.events_of(one), one, records=records)


def read_events(
    engine: Engine,
    source: Source,
    events: EventsDefinition,
    key_range: KeyRange,
    *,
    after: int | None = None,
    upto: int | None = None,
) -> pd.DataFrame:
    """Return the events of the records of one range, by key, then time; equal times in the source's order.

    Only events with `after < at <= upto` (microseconds since 1970 in UTC; None: no limit), and of one record the
    newest `NEWEST_READ`. Columns: `EVENT_KEY`, `EVENT_AT`, then `events.columns` as `fetch_frame` gives values. Rows
    without a readable time are left out and counted in `attrs[UNREADABLE_TIMES]`. Raises `SourceError`.
    """
    with reading_remembered(engine, source, lambda: check_events(engine, source, events)):
        table = remembered_source(engine, source, load_with=_load_with(events))
        with reading(engine) as connection:
            _require_readable(connection, table, events)
            ties = order_of_ties(connection, table, source)
        query = EventQuery(engine, table, events, ties, after, upto)
        with reading_one_moment(engine):
            return _collect(query, _read_parts(query, key_range))


def begins_record(keys: "pd.Series[Any]") -> NDArray[np.bool_]:
    """Return where the events of another record begin; those of one stand together."""
    if keys.dtype == np.int64:  # shifted, whole numbers would become floats, which cannot tell large ones apart
        values = keys.to_numpy()
        return np.concatenate([np.ones(len(values[:1]), bool), values[1:] != values[:-1]])
    return keys.ne(keys.shift()).to_numpy(dtype=bool, na_value=True)


def _load_with(events: EventsDefinition) -> str:
    return f"Load events with: tidemark load NAME EVENTS --events {events.name}"


def _require_readable(connection: Connection, table: Table, events: EventsDefinition) -> None:
    require_columns(table, (events.key, events.at, *events.columns))
    at = table.c[events.at].type
    if connection.dialect.name == "postgresql" and not isinstance(at, (*DATED, String, *_NUMBERS)):
        raise SourceError(
            f"the column {events.at} of {table.fullname}, with the times of the events {events.name}, is of type {at}: "
            "expected timestamp, timestamptz, date, text in the form 2026-11-24T09:30:00, or a number of seconds since "
            "1970. Change the column, or name a view that casts it"
        )


def _require_same_type(record_key: Column[Any], event_key: Column[Any], events: EventsDefinition) -> None:
    """Of two types the ranges of one are no ranges of the other: events would be left out silently."""
    expected, found = _kind_of(record_key), _kind_of(event_key)
    if None in (expected, found) or expected == found:
        return
    raise SourceError(
        f"the key {record_key.name} of the records in {record_key.table.name} holds {expected}, the key "
        f"{event_key.name} of the events {events.name} in {event_key.table.name} holds {found}: the two have to be of "
        "one type. Change one of the columns, or name as the source of the events a view that casts its key"
    )


def _kind_of(key: Column[Any]) -> str | None:
    """What a column holds, in words; None where SQLite was told nothing."""
    kind = key.type
    if isinstance(kind, types.NullType):
        return None
    if isinstance(kind, Integer):
        return "whole numbers"
    if isinstance(kind, String) and not isinstance(kind, types.Enum):
        return "text" if kind.collation is None else f"text sorted as {kind.collation}"
    return f"values of type {kind}"


def _read_parts(query: EventQuery, key_range: KeyRange) -> Iterator[pd.DataFrame]:
    if is_packable(query) and key_range.upto is not None:
        yield from read_packed(query, key_range)
        return
    whole = frozenset([EVENT_KEY] if isinstance(query.key.type, Integer) else [])
    for part in stream_frames(query.engine, query.rows(key_range), whole=whole):
        yield with_times(part)


def _collect(query: EventQuery, parts: Iterator[pd.DataFrame]) -> pd.DataFrame:
    """Join the parts; `EVENT_AT` of a part is `UNREADABLE` where a row has no time."""
    held: list[pd.DataFrame] = []
    rows = unreadable = 0
    limit = _HELD_ROWS
    for part in parts:
        unreadable += int((part[EVENT_AT].to_numpy() == UNREADABLE).sum())
        held.append(_limit(part, query.after, query.upto))
        rows += len(held[-1])
        if rows > limit:
            held = [_newest(join_frames(held))]
            rows = len(held[0])
            limit = max(_HELD_ROWS, 2 * rows)  # so that no row is moved more than a few times
    events = _newest(join_frames(held))
    events.attrs[UNREADABLE_TIMES] = unreadable
    return events


def _limit(part: pd.DataFrame, after: int | None, upto: int | None) -> pd.DataFrame:
    times = part[EVENT_AT].to_numpy()
    is_wanted = times != UNREADABLE
    if after is not None:
        is_wanted &= times > after
    if upto is not None:
        is_wanted &= times <= upto
    return part if is_wanted.all() else part[is_wanted].reset_index(drop=True)


def _newest(events: pd.DataFrame) -> pd.DataFrame:
    """Cut to the newest `NEWEST_READ` of each record; rows of one key are neighbours, in the source's order."""
    times, starts = events[EVENT_AT].to_numpy(), np.flatnonzero(begins_record(events[EVENT_KEY]))
    lengths = np.diff(np.append(starts, len(events)))
    record = np.repeat(np.arange(len(starts)), lengths)
    if ((np.diff(times) < 0) & (np.diff(record) == 0)).any():  # text in other forms than ISO 8601 sorts otherwise
        events = events.iloc[np.lexsort((times, record))].reset_index(drop=True)
    if lengths.max(initial=0) <= NEWEST_READ:
        return events
    behind = np.repeat(starts + lengths, lengths) - np.arange(len(events))
    return events[behind <= NEWEST_READ].reset_index(drop=True)
