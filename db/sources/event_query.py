"""Which events of a table are read, with which columns and in which order, as SQL."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Date,
    DateTime,
    Double,
    Engine,
    Integer,
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

from db.portfolios.definition import EventsDefinition, Source
from db.portfolios.source_names import find_kind, name_source
from db.schema.core_tables import PREFIX
from db.sources.event_times import FIRST, LAST, as_datetime
from db.sources.source_table import RECORD_KEY, ROW, KeyRange, in_range

EVENT_AT = f"{PREFIX}at"  # microseconds since 1970 in UTC, in frames only
EVENT_KEY = RECORD_KEY  # the key of the event's record: int64 where the column holds whole numbers, else text
DATED = (DateTime, Date)  # what the database itself can compare with a time

_HAS_ROWID = text(
    "SELECT 1 FROM pragma_table_list WHERE schema = 'main' AND name = :name AND type = 'table' AND NOT wr"
)


@dataclass(frozen=True)
class EventQuery:
    """The events of a table with `after < at <= upto` (microseconds since 1970 in UTC; None: no limit).

    `ties` decides between events of one time.
    """

    engine: Engine
    table: Table
    events: EventsDefinition
    ties: tuple[ColumnElement[Any], ...]
    after: int | None
    upto: int | None

    @property
    def key(self) -> Column[Any]:
        """The key of the events' records."""
        return self.table.c[self.events.key]

    @property
    def at(self) -> Column[Any]:
        """The time of the events."""
        return self.table.c[self.events.at]

    @property
    def columns(self) -> tuple[Column[Any], ...]:
        """The other columns that are read."""
        return tuple(self.table.c[name] for name in dict.fromkeys(self.events.columns))

    def rows(self, key_range: KeyRange) -> Select[Any]:
        """Return the query of a row for each event of the records of a range."""
        return self.limited(_select_events(self.engine, self.table, self.events), key_range)

    def limited(self, statement: Select[Any], key_range: KeyRange) -> Select[Any]:
        """Return the query with its condition and its order: by key, then time, equal times in the source's order."""
        is_postgresql = self.engine.dialect.name == "postgresql"
        within = false() if key_range.upto is None else in_range(self.engine.dialect, self.key, key_range)
        statement = statement.where(within)
        statement = _within(statement, self.at, self.after, self.upto) if is_postgresql else statement
        return statement.order_by(self.key, self.at, *self.ties)


def order_of_ties(connection: Connection, table: Table, source: Source) -> tuple[ColumnElement[Any], ...]:
    """Return what decides between events of one time: the loaded file's row, the row's place, or all that it holds."""
    if ROW in table.c:
        return (table.c[ROW],)
    name = name_source(connection, source.name)
    if connection.dialect.name == "postgresql":
        if find_kind(connection, name) == "table":
            return (column("tableoid", _selectable=table), column("ctid", _selectable=table))
    elif connection.execute(_HAS_ROWID, {"name": name}).first() is not None:
        return (literal_column("rowid"),)
    return tuple(cast(one, Text) for one in table.c)


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
    if not isinstance(at.type, DATED):
        return cast(at, Double)
    limits = _limits_of(at)
    is_held = at.between(_time_literal(FIRST, limits), _time_literal(LAST, limits))
    time = cast(at, DateTime) if isinstance(at.type, Date) else at
    # Sent in its own form: as text, which columns of other types become, it takes twice as long.
    return type_coerce(case((is_held, time)), BigInteger)


def _limits_of(at: Column[Any]) -> types.TypeEngine[Any]:
    """The type of a time that the column is compared with. A date is the start of its day, so limits are cut to it."""
    return DateTime(timezone=bool(getattr(at.type, "timezone", False))) if isinstance(at.type, DateTime) else Date()


def _within(statement: Select[Any], at: Column[Any], after: int | None, upto: int | None) -> Select[Any]:
    """Leave the rest to the database where it compares exactly; `_limit` judges every row once more."""
    if not isinstance(at.type, DATED):
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
