"""The table or view with a portfolio's records: its columns, its key ranges, its rows as a frame.

Nothing is read here that is not granted to the portfolio it is read for (`db.portfolios.source_grants`).
"""

import difflib
import json
import re
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any
from weakref import WeakKeyDictionary

import pandas as pd
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Dialect,
    Engine,
    MetaData,
    Select,
    Table,
    Text,
    and_,
    cast,
    func,
    literal,
    select,
)

from db.connections.engine import reading
from db.connections.frame_reading import fetch_frame
from db.errors import SourceError
from db.portfolios.definition import Source
from db.portfolios.source_grants import require_grant, require_granted
from db.portfolios.source_names import find_kind, split_source
from db.schema.core_tables import PREFIX
from db.sources.key_boundaries import find_boundaries, key_literal
from db.sources.source_trouble import is_about_missing, reading_source

DECIMAL_COMMA = re.compile(r"[-+]?[0-9. ]*,[0-9]+$")  # of a text in place of a number: what it most likely is
UNREADABLE = f"{PREFIX}unreadable"  # JSON object of the texts that stood where a number belongs
ROW = f"{PREFIX}row"  # position in the file that was loaded
RECORD_KEY = f"{PREFIX}record_key"  # the key as text, in frames only
_OWN_COLUMNS = (UNREADABLE, ROW)
_LOAD_RECORDS = "Load records with: tidemark load NAME DATA"

_sources: "WeakKeyDictionary[Engine, dict[Source, _FoundSource]]" = WeakKeyDictionary()


@dataclass(frozen=True)
class _FoundSource:
    """The columns of a source, and its canonical name."""

    table: Table
    name: str


@dataclass(frozen=True)
class KeyRange:
    """Keys greater than `after` and not greater than `upto`, both JSON values; or the records without a key."""

    after: str | None
    upto: str | None
    expected: int
    holds_missing_keys: bool = False


def check_source(engine: Engine, source: Source, columns: tuple[str, ...]) -> None:
    """Raise `SourceError` if the table or view is not granted, does not exist, or lacks one of the columns."""
    with reading_source(engine, source), reading(engine) as connection:
        require_columns(reflect_source(connection, source), columns)


def reflect_source(connection: Connection, source: Source, *, load_with: str = _LOAD_RECORDS) -> Table:
    """Return the source's columns and their types. Raises `SourceError` if it is not granted or does not exist."""
    return _find_source(connection, source, load_with).table


def _find_source(connection: Connection, source: Source, load_with: str) -> _FoundSource:
    name = require_granted(connection, source)
    schema, table = split_source(source.name)
    if find_kind(connection, name) is not None:
        found = Table(table, MetaData(), schema=schema, autoload_with=connection, resolve_fks=False)
        return _FoundSource(found, name)
    raise SourceError(
        f"the source {source.name} is neither a table nor a view of this database. {load_with}, or name an existing "
        "table in the portfolio file"
    )


def find_source(connection: Connection, source: Source) -> Table | None:
    """Return the source as `reflect_source` does; None if it is not granted or does not exist."""
    try:
        return reflect_source(connection, source)
    except SourceError:
        return None


def remembered_source(engine: Engine, source: Source, *, load_with: str = _LOAD_RECORDS) -> Table:
    """The source as first read, cached because reading it costs as much as a thousand records.

    Its grant is checked each time, because it may have been revoked during a job.
    """
    known = _sources.setdefault(engine, {})
    with reading(engine) as connection:
        if source in known:
            require_grant(connection, source, known[source].name)
        else:
            known[source] = _find_source(connection, source, load_with)
    return known[source].table


def forget_sources(engine: Engine) -> None:
    """Let the next attempt read every source's columns again: one of them may have changed."""
    _sources.pop(engine, None)


@contextmanager
def reading_remembered(engine: Engine, source: Source, check: Callable[[], None]) -> Generator[None]:
    """Translate errors as `reading_source` does; if the source is not what it was, `check` says what is missing now.

    If nothing is, as when it was just replaced, the error stays, and another attempt can read it.
    """
    try:
        with reading_source(engine, source):
            yield
    except Exception as error:
        forget_sources(engine)
        if is_about_missing(error):
            check()
        raise


def missing_columns(table: Table, wanted: tuple[str, ...]) -> dict[str, str | None]:
    """Return the wanted columns that the source lacks, each with the nearest existing name."""
    there = [column.name for column in table.columns]
    absent = [name for name in wanted if name not in there]
    return {name: next(iter(difflib.get_close_matches(name, there, n=1)), None) for name in absent}


def require_columns(table: Table, wanted: tuple[str, ...]) -> None:
    """Raise `SourceError` naming every wanted column that the source lacks."""
    absent = missing_columns(table, wanted)
    if absent:
        listed = ", ".join(f"{name} (nearest: {near})" if near else name for name, near in absent.items())
        raise SourceError(f"the source {table.fullname} lacks the columns {listed}")


def count_records(engine: Engine, source: Source) -> int:
    """Return the number of rows of the source."""
    with reading_source(engine, source), reading(engine) as connection:
        table = reflect_source(connection, source)
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def plan_key_ranges(
    connection: Connection, source: Source, key: str, *, shard_rows: int, columns: tuple[str, ...] = ()
) -> list[KeyRange]:
    """Cut the source into ranges of about `shard_rows` records in key order; records of one key stay together.

    Records without a key come last, in a range of their own. Raises `SourceError` if the key or one of `columns` is
    missing, or the source may not be read, and `SourceBusyError`.
    """
    with reading_source(connection.engine, source):
        table = reflect_source(connection, source)
        require_columns(table, (key, *columns))
        return _cut(connection, table, key, shard_rows)


def _cut(connection: Connection, table: Table, key: str, shard_rows: int) -> list[KeyRange]:
    column = table.c[key]
    ranges: list[KeyRange] = []
    after = None
    for last, records in find_boundaries(connection, column, shard_rows):
        upto = json.dumps(last)
        ranges.append(KeyRange(after, upto, records))
        after = upto
    missing = connection.execute(select(func.count()).select_from(table).where(column.is_(None))).scalar_one()
    if missing:
        ranges.append(KeyRange(None, None, missing, holds_missing_keys=True))
    return ranges


def join_neighbours(ranges: list[KeyRange], shares: Iterable[int]) -> list[KeyRange]:
    """Merge each so many neighbouring ranges; that of the records without a key stays separate."""
    keyed = iter([one for one in ranges if not one.holds_missing_keys])
    groups = [list(islice(keyed, share)) for share in shares]
    joined = [KeyRange(one[0].after, one[-1].upto, sum(each.expected for each in one)) for one in groups]
    return joined + [one for one in ranges if one.holds_missing_keys]


def cut_in_two(connection: Connection, source: Source, key: str, key_range: KeyRange) -> list[KeyRange]:
    """Split a range into two of about equal size; [] if all its records share one key, or have none.

    The counts are current, not those of the planning.
    """
    if key_range.holds_missing_keys:
        return []
    with reading_source(connection.engine, source):
        return _halve(connection, reflect_source(connection, source), key, key_range)


def _halve(connection: Connection, table: Table, key: str, key_range: KeyRange) -> list[KeyRange]:
    column = table.c[key]
    within = in_range(connection.dialect, column, key_range)
    total = connection.execute(select(func.count()).select_from(table).where(within)).scalar_one()
    # Not max(): PostgreSQL before 18 has none for UUIDs.
    last = select(column).where(within).order_by(column.desc()).limit(1).scalar_subquery()
    # The last record of the first half, but never the last key of all: equal keys stay together.
    below = select(column).where(within, column < last).order_by(column)
    middle = below.limit(1).offset(max(0, total // 2 - 1)).scalar_subquery()
    highest = select(column).where(within, column < last).order_by(column.desc()).limit(1).scalar_subquery()
    boundary = func.coalesce(middle, highest)
    as_value = cast(boundary, Text) if connection.dialect.name == "postgresql" else boundary
    value = connection.execute(select(as_value)).scalar()
    if value is None:
        return []
    upto = json.dumps(value)
    first = KeyRange(key_range.after, upto, 0)
    within_first = in_range(connection.dialect, column, first)
    count = connection.execute(select(func.count()).select_from(table).where(within_first)).scalar_one()
    return [replace(first, expected=count), KeyRange(upto, key_range.upto, total - count)]


def read_range(engine: Engine, source: Source, key: str, columns: tuple[str, ...], key_range: KeyRange) -> pd.DataFrame:
    """Return the records of one range in key order.

    Columns: `tidemark_record_key`, the wanted ones, `tidemark_row` and `tidemark_unreadable` (both missing if the
    source has no such column).
    """
    with reading_remembered(engine, source, lambda: check_source(engine, source, (key, *columns))):
        table = remembered_source(engine, source)
        require_columns(table, (key, *columns))
        within = in_range(engine.dialect, table.c[key], key_range)
        statement = _select_records(table, key, columns).where(within).order_by(table.c[key])
        if ROW in table.c:
            statement = statement.order_by(table.c[ROW])
        return fetch_frame(engine, statement)


def read_all(
    engine: Engine, source: Source, key: str, columns: tuple[str, ...], *, batch_rows: int = 50_000
) -> Iterator[pd.DataFrame]:
    """Yield every record that has a key, in key order, `batch_rows` or a few more at a time (for training)."""
    for _, frame in read_by_range(engine, source, key, columns, batch_rows=batch_rows):
        yield frame


def read_by_range(
    engine: Engine, source: Source, key: str, columns: tuple[str, ...], *, batch_rows: int
) -> Iterator[tuple[KeyRange, pd.DataFrame]]:
    """Yield every record that has a key, as `read_all` does, each frame with its range."""
    with reading(engine) as connection:
        ranges = plan_key_ranges(connection, source, key, shard_rows=batch_rows)
    for key_range in ranges:
        if not key_range.holds_missing_keys:
            yield key_range, read_range(engine, source, key, columns, key_range)


def in_range(dialect: Dialect, key: Column[Any], key_range: KeyRange) -> ColumnElement[bool]:
    """The condition that a key is in the range."""
    if key_range.holds_missing_keys or key_range.upto is None:
        return key.is_(None)
    not_above = key <= key_literal(dialect, key, key_range.upto)
    if key_range.after is None:
        return not_above
    return and_(key > key_literal(dialect, key, key_range.after), not_above)


def _select_records(table: Table, key: str, columns: tuple[str, ...]) -> Select[Any]:
    record_key = cast(table.c[key], Text).label(RECORD_KEY)
    own = [table.c[name] if name in table.c else literal(None).label(name) for name in _OWN_COLUMNS]
    return select(record_key, *(table.c[name] for name in columns), *own)
