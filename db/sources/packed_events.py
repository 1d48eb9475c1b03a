"""Reads events from PostgreSQL with one row for each record: the server joins the values of each column.

A row of its own for every event costs more than all that is then made of it, most of it in the client. Packed, reading
takes half of the processor's time. What cannot be packed without loss is read row by row: odd columns, texts that hold
the separators, and a record with more events than a part of the range has.
"""

# pyarrow's arrays have no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportAttributeAccessIssue=false

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute
from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Date,
    DateTime,
    Double,
    Float,
    Integer,
    LargeBinary,
    Select,
    String,
    Subquery,
    Text,
    cast,
    func,
    literal,
    select,
    types,
)
from sqlalchemy.dialects.postgresql import CITEXT

from db.connections.frame_reading import fetch_table, stream_frames
from db.sources.event_query import EVENT_AT, EVENT_KEY, EventQuery
from db.sources.event_times import DAY, FIRST, LAST, UNREADABLE, read_times
from db.sources.source_table import KeyRange

PART_EVENTS = 1_000_000  # that one query packs: what server and client hold of it is bounded
_SEPARATOR, _NO_TEXT = "\x1f", "\x1e"
_NO_NUMBER = np.iinfo(np.int64).min
_POSTGRESQL_BEGINS = 946_684_800_000_000  # 2000-01-01, in microseconds since 1970
_COUNT, _TIMES = "events", "times"


def is_packable(query: EventQuery) -> bool:
    """Whether times and keys are of types that can be packed, and so are all other columns."""
    if query.engine.dialect.name != "postgresql" or not isinstance(query.at.type, (DateTime, Date)):
        return False
    key = query.key.type
    # Keys that are equal without being the same text would become one.
    is_text = isinstance(key, String) and key.collation is None and not isinstance(key, (types.Enum, CITEXT))
    is_key = is_text or isinstance(key, (Integer, types.Uuid))
    return is_key and not any(isinstance(one.type, Boolean) for one in query.columns)


def read_packed(query: EventQuery, key_range: KeyRange) -> Iterator[pd.DataFrame]:
    """Yield the events of a range as `EventQuery.rows` has them, with their times read.

    Several queries may be needed: whoever calls reads them at one moment.
    """
    after: str | None = key_range.after
    while True:
        rest = KeyRange(after, key_range.upto, 0)
        packed = fetch_table(query.engine, _pack(query, rest))
        counts = packed[_COUNT].to_numpy()
        if counts.sum() < PART_EVENTS:
            yield from _unpacked(query, packed, rest)
            return
        # The last record may have more events than came, and is read again; if it is the only one, row by row.
        whole = packed.slice(0, max(1, len(packed) - 1))
        part = KeyRange(after, json.dumps(whole[EVENT_KEY][-1].as_py()), 0)
        yield from _unpacked(query, whole if len(packed) > 1 else None, part)
        after = part.upto


def with_times(part: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with their times read."""
    return part.assign(**{EVENT_AT: read_times(part[EVENT_AT])})


def _unpacked(query: EventQuery, packed: pa.Table | None, key_range: KeyRange) -> Iterator[pd.DataFrame]:
    frame = None if packed is None else _unpack(query, packed)
    if frame is not None:
        yield frame
        return
    for part in stream_frames(query.engine, query.rows(key_range)):
        yield with_times(part)


def _pack(query: EventQuery, key_range: KeyRange) -> Select[Any]:
    """The limit also keeps the server from dividing the work, which would mix up the order."""
    named = [query.key.label("k"), query.at.label("t"), *_labelled(query)]
    rows = query.limited(select(*named), key_range).limit(PART_EVENTS).subquery()
    is_whole = isinstance(query.key.type, Integer)
    time = func.coalesce(rows.c.t, cast(literal("infinity", Text()), query.at.type))
    made: list[ColumnElement[Any]] = [
        cast(rows.c.k, BigInteger if is_whole else Text).label(EVENT_KEY),
        func.count().label(_COUNT),
    ]
    made.append(_joined(_sent_time(query.at.type), time, _TIMES))
    for place, one in enumerate(query.columns):
        made += _form_of(one.type).pack(rows, f"c{place}")
    return select(*made).group_by(rows.c.k).order_by(rows.c.k)


def _labelled(query: EventQuery) -> list[ColumnElement[Any]]:
    return [one.label(f"c{place}") for place, one in enumerate(query.columns)]


def _unpack(query: EventQuery, packed: pa.Table) -> pd.DataFrame | None:
    """Return a row for each event; None if a text holds what separates texts, or stands for none."""
    counts = packed[_COUNT].to_numpy()
    columns: dict[str, Any] = {EVENT_KEY: _repeat_keys(packed[EVENT_KEY], counts)}
    columns[EVENT_AT] = _read_sent(_bytes_of(packed[_TIMES]), query.at.type)
    for place, one in enumerate(query.columns):
        values = _form_of(one.type).unpack(packed, f"c{place}", counts)
        if values is None:
            return None
        columns[one.name] = values
    return pd.DataFrame(columns)


def _repeat_keys(keys: pa.ChunkedArray, counts: NDArray[np.int64]) -> Any:
    if pa.types.is_integer(keys.type):
        return np.repeat(keys.to_numpy(), counts)
    return pd.Series(keys.take(pa.array(np.repeat(np.arange(len(keys)), counts))), dtype="str")


def _sent_time(kind: types.TypeEngine[Any]) -> str:
    if isinstance(kind, DateTime):
        return "timestamptz_send" if kind.timezone else "timestamp_send"
    return "date_send"


def _read_sent(sent: bytes, kind: types.TypeEngine[Any]) -> NDArray[np.int64]:
    """Infinite times, and those outside the years 1 to 9999, are no times."""
    unit, size = (1, ">i8") if isinstance(kind, DateTime) else (DAY, ">i4")
    times = np.frombuffer(sent, size).astype(np.int64)
    first, last = (FIRST - _POSTGRESQL_BEGINS) // unit, (LAST - _POSTGRESQL_BEGINS) // unit
    is_time = (times >= first) & (times <= last)
    read = np.where(is_time, times, 0) * unit + _POSTGRESQL_BEGINS
    return read if is_time.all() else np.where(is_time, read, UNREADABLE)


@dataclass(frozen=True)
class _Fractions:
    """Numbers with a fraction, and NaN for none: as many bytes for each."""

    send: str
    size: str

    def pack(self, rows: Subquery, name: str) -> list[ColumnElement[Any]]:
        """Return what the server makes of the column."""
        return [_joined(self.send, func.coalesce(rows.c[name], cast(literal("NaN", Text()), rows.c[name].type)), name)]

    def unpack(self, packed: pa.Table, name: str, _counts: NDArray[np.int64]) -> NDArray[np.floating[Any]]:
        """Return the column."""
        values = np.frombuffer(_bytes_of(packed[name]), self.size)
        return values.astype(values.dtype.newbyteorder("="))


@dataclass(frozen=True)
class _WholeNumbers:
    """The same, with the number of those that are there: one number stands for none."""

    def pack(self, rows: Subquery, name: str) -> list[ColumnElement[Any]]:
        """Return what the server makes of the column."""
        value = func.coalesce(cast(rows.c[name], BigInteger), cast(literal(str(_NO_NUMBER), Text()), BigInteger))
        return [func.count(rows.c[name]).label(f"{name}_there"), _joined("int8send", value, name)]

    def unpack(self, packed: pa.Table, name: str, counts: NDArray[np.int64]) -> NDArray[Any] | None:
        """Return the column: whole numbers, or with NaN where some are missing."""
        values = np.frombuffer(_bytes_of(packed[name]), ">i8").astype(np.int64)
        is_none = values == _NO_NUMBER
        if is_none.sum() != counts.sum() - packed[f"{name}_there"].to_numpy().sum():
            return None
        return np.where(is_none, np.nan, values) if is_none.any() else values


@dataclass(frozen=True)
class _Texts:
    """Texts with a separator, and a text that stands for none; their numbers show whether this was without loss."""

    NONE: ClassVar[pa.Scalar] = pa.scalar(_NO_TEXT)

    def pack(self, rows: Subquery, name: str) -> list[ColumnElement[Any]]:
        """Return what the server makes of the column."""
        value = func.coalesce(cast(rows.c[name], Text), literal(_NO_TEXT, Text()))
        joined = func.string_agg(value, literal(_SEPARATOR, Text()))
        return [func.count(rows.c[name]).label(f"{name}_there"), joined.label(name)]

    def unpack(self, packed: pa.Table, name: str, counts: NDArray[np.int64]) -> "pd.Series[str] | None":
        """Return the column."""
        parts = compute.split_pattern(packed[name], _SEPARATOR)
        if (compute.list_value_length(parts).to_numpy() != counts).any():
            return None
        texts = compute.list_flatten(parts)
        is_none = compute.equal(texts, self.NONE)
        missing = int(counts.sum() - packed[f"{name}_there"].to_numpy().sum())
        if (compute.sum(is_none).as_py() or 0) != missing:
            return None
        if missing:
            texts = compute.if_else(is_none, pa.scalar(None, pa.string()), texts)
        return pd.Series(texts, dtype="str")


def _form_of(kind: types.TypeEngine[Any]) -> _Fractions | _WholeNumbers | _Texts:
    if isinstance(kind, Double):
        return _Fractions("float8send", ">f8")
    if isinstance(kind, Float):
        return _Fractions("float4send", ">f4")
    return _WholeNumbers() if isinstance(kind, Integer) else _Texts()


def _joined(send: str, value: ColumnElement[Any], name: str) -> ColumnElement[Any]:
    """The bytes that the server would send of each value, one after the other."""
    sent = getattr(func, send)(value)
    return func.string_agg(sent, cast(literal("", Text()), LargeBinary)).label(name)


def _bytes_of(column: pa.ChunkedArray) -> bytes:
    return b"".join(column.to_pylist())
