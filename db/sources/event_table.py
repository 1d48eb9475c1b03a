"""The table or view with the events of a portfolio's records: checks it, and reads the events of one key range.

How times are read is told in `db.sources.event_times`. A record with ten million events takes no more memory than one
with `NEWEST_READ`: the rows come in parts, in the order of keys and times, and older ones are let go on the way.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Date,
    DateTime,
    Double,
    Engine,
    Float,
    Integer,
    Numeric,
    Select,
    String,
    Table,
    Text,
    case,
    cast,
    column,
    false,
    func,
    literal,
    literal_column,
    or_,
    select,
    text,
    type_coerce,
    types,
)

from db.connections.engine import reading
from db.connections.frame_reading import join_frames, stream_frames
from db.errors import SourceError
from db.portfolios.definition import EventsDefinition, PortfolioDefinition, Source
from db.portfolios.portfolio_sources import NamedSource
from db.portfolios.source_names import find_kind, name_source
from db.schema.core_tables import PREFIX
from db.sources.event_times import FIRST, LAST, UNREADABLE, as_datetime, read_times
from db.sources.source_table import (
    RECORD_KEY,
    ROW,
    KeyRange,
    in_range,
    reading_remembered,
    reflect_source,
    remembered_source,
    require_columns,
)
from db.sources.source_trouble import reading_source

EVENT_AT = f"{PREFIX}at"  # microseconds since 1970 in UTC, in frames only
EVENT_KEY = RECORD_KEY  # the key of the event's record: int64 where the column holds whole numbers, else text
NEWEST_READ = 100_000  # events of one record; older ones are not used
UNREADABLE_TIMES = "unreadable_times"  # in a frame's `attrs`: rows that were left out because they have no time
_HELD_ROWS = 1_000_000  # before they are searched for records with too many events
_DATED = (DateTime, Date)  # what the database itself can compare with a time
_NUMBERS = (Integer, Float, Numeric)

_HAS_ROWID = text(
    "SELECT 1 FROM pragma_table_list WHERE schema = 'main' AND name = :name AND type = 'table' AND NOT wr"
)


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
            order = _order_of_ties(connection, table, source)
        statement = _select_events(engine, table, events).where(
            false() if key_range.upto is None else in_range(engine.dialect, table.c[events.key], key_range)
        )
        if engine.dialect.name == "postgresql":
            statement = _within(statement, table.c[events.at], after, upto)
        statement = statement.order_by(table.c[events.key], table.c[events.at], *order)
        return _collect(engine, statement, table.c[events.key], after, upto)


def _load_with(events: EventsDefinition) -> str:
    return f"Load events with: tidemark load NAME EVENTS --events {events.name}"


def _require_readable(connection: Connection, table: Table, events: EventsDefinition) -> None:
    require_columns(table, (events.key, events.at, *events.columns))
    at = table.c[events.at].type
    if connection.dialect.name == "postgresql" and not isinstance(at, (*_DATED, String, *_NUMBERS)):
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


def _select_events(engine: Engine, table: Table, events: EventsDefinition) -> Select[Any]:
    key, at = table.c[events.key], table.c[events.at]
    is_whole = isinstance(key.type, Integer)
    named = [
        (cast(key, BigInteger) if is_whole and engine.dialect.name == "postgresql" else key).label(EVENT_KEY)
        if is_whole
        else cast(key, Text).label(EVENT_KEY),
        _plain_time(engine, at).label(EVENT_AT),
    ]
    statement = select(*named, *(table.c[name] for name in dict.fromkeys(events.columns)))
    # A column of SQLite may hold what it was not declared for.
    is_odd = is_whole and engine.dialect.name == "sqlite"
    return statement.where(func.typeof(key) == "integer") if is_odd else statement


def _plain_time(engine: Engine, at: Column[Any]) -> ColumnElement[Any]:
    """The time as the database sends it fastest; infinite ones, and years that Arrow cannot hold, as none."""
    if engine.dialect.name == "sqlite" or isinstance(at.type, String):
        return at
    if not isinstance(at.type, _DATED):
        return cast(at, Double)
    limits = _limits_of(at)
    is_held = at.between(_time_literal(FIRST, limits), _time_literal(LAST, limits))
    time = cast(at, DateTime) if isinstance(at.type, Date) else at
    # Sent in its own form: as text, which columns of other types become, it takes twice as long.
    return type_coerce(case((is_held, time)), BigInteger)


def _limits_of(at: Column[Any]) -> types.TypeEngine[Any]:
    """The type of a time that the column is compared with. A date is the start of its day, so limits are cut to it."""
    return DateTime(timezone=bool(getattr(at.type, "timezone", False))) if isinstance(at.type, DateTime) else Date()


def _order_of_ties(connection: Connection, table: Table, source: Source) -> list[ColumnElement[Any]]:
    """What decides between events of one time: the row of the loaded file, the row's place, or all that it holds."""
    if ROW in table.c:
        return [table.c[ROW]]
    name = name_source(connection, source.name)
    if connection.dialect.name == "postgresql":
        if find_kind(connection, name) == "table":
            return [column("tableoid", _selectable=table), column("ctid", _selectable=table)]
    elif connection.execute(_HAS_ROWID, {"name": name}).first() is not None:
        return [literal_column("rowid")]
    return [cast(one, Text) for one in table.c]


def _within(statement: Select[Any], at: Column[Any], after: int | None, upto: int | None) -> Select[Any]:
    """Leave the rest to the database where it compares exactly; `_limit` judges every row once more."""
    if not isinstance(at.type, _DATED):
        return statement
    limits = _limits_of(at)
    if after is not None and FIRST <= after <= LAST:
        statement = statement.where(or_(at > _time_literal(after, limits), at.is_(None)))
    if upto is not None and FIRST <= upto <= LAST:
        statement = statement.where(or_(at <= _time_literal(upto, limits), at.is_(None)))
    return statement


def _time_literal(microseconds: int, kind: types.TypeEngine[Any]) -> ColumnElement[Any]:
    time = as_datetime(microseconds)
    if isinstance(kind, Date):
        written = time.date().isoformat()
    else:
        written = time.isoformat() if getattr(kind, "timezone", False) else time.replace(tzinfo=None).isoformat()
    return cast(literal(written, Text()), kind)


def _collect(
    engine: Engine, statement: Select[Any], key: Column[Any], after: int | None, upto: int | None
) -> pd.DataFrame:
    whole = frozenset([EVENT_KEY] if isinstance(key.type, Integer) else [])
    held: list[pd.DataFrame] = []
    rows = unreadable = 0
    limit = _HELD_ROWS
    for part in stream_frames(engine, statement, whole=whole):
        times = read_times(part[EVENT_AT])
        unreadable += int((times == UNREADABLE).sum())
        held.append(_limit(part, times, after, upto))
        rows += len(held[-1])
        if rows > limit:
            held = [_newest(join_frames(held))]
            rows = len(held[0])
            limit = max(_HELD_ROWS, 2 * rows)  # so that no row is moved more than a few times
    events = _newest(join_frames(held))
    events.attrs[UNREADABLE_TIMES] = unreadable
    return events


def _limit(part: pd.DataFrame, times: NDArray[np.int64], after: int | None, upto: int | None) -> pd.DataFrame:
    is_wanted = times != UNREADABLE
    if after is not None:
        is_wanted &= times > after
    if upto is not None:
        is_wanted &= times <= upto
    timed = part.assign(**{EVENT_AT: times})
    return timed if is_wanted.all() else timed[is_wanted].reset_index(drop=True)


def _newest(events: pd.DataFrame) -> pd.DataFrame:
    """Cut to the newest `NEWEST_READ` of each record; rows of one key are neighbours, in the source's order."""
    keys, times = events[EVENT_KEY], events[EVENT_AT].to_numpy()
    starts = np.flatnonzero(keys.ne(keys.shift()).to_numpy(dtype=bool)) if len(events) else np.zeros(0, np.int64)
    lengths = np.diff(np.append(starts, len(events)))
    record = np.repeat(np.arange(len(starts)), lengths)
    if ((np.diff(times) < 0) & (np.diff(record) == 0)).any():  # text in other forms than ISO 8601 sorts otherwise
        events = events.iloc[np.lexsort((times, record))].reset_index(drop=True)
    if lengths.max(initial=0) <= NEWEST_READ:
        return events
    behind = np.repeat(starts + lengths, lengths) - np.arange(len(events))
    return events[behind <= NEWEST_READ].reset_index(drop=True)
