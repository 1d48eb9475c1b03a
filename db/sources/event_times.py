"""Reads the times of events, to the microsecond.

The rule of time: a time with a zone is that instant; a time without one is UTC; a date without a time is the start of
its day; a number counts seconds since 1970 in UTC. A text is read in the forms of ISO 8601: `2026-11-24`,
`2026-11-24 09:30`, `2026-11-24T09:30:00.123456+01:00`. Anything else, or outside the years 1 to 9999, is not a time.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

SECOND = 1_000_000  # in microseconds
DAY = 86_400 * SECOND
FIRST, LAST = -62_135_596_800 * SECOND, 253_402_300_800 * SECOND - 1  # of the years 1 to 9999
UNREADABLE = np.iinfo(np.int64).min
_START = datetime(1970, 1, 1, tzinfo=UTC)
_ISO_DATE = r"\d{4}-\d{2}-\d{2}(?:[ Tt].*)?$"


def read_times(times: "pd.Series[Any]") -> NDArray[np.int64]:
    """Return the microseconds since 1970 in UTC of each time; `UNREADABLE` where there is none."""
    if isinstance(times.dtype, pd.DatetimeTZDtype):
        return _from_datetimes(times.dt.tz_convert("UTC").dt.tz_localize(None))
    if times.dtype.kind == "M":
        return _from_datetimes(times)
    if pd.api.types.is_bool_dtype(times.dtype):
        return np.full(len(times), UNREADABLE)
    if pd.api.types.is_numeric_dtype(times.dtype):
        return _from_seconds(times.to_numpy(dtype=np.float64, na_value=np.nan))
    if isinstance(times.dtype, pd.StringDtype):
        return _from_text(times)
    return _from_mixed(times)


def as_datetime(microseconds: int) -> datetime:
    """Return the time in UTC. It must be in the years 1 to 9999."""
    return _START + timedelta(microseconds=microseconds)


def as_microseconds(time: datetime) -> int:
    """Return the microseconds since 1970 in UTC, exactly; a time without a zone is UTC."""
    aware = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    return (aware - _START) // timedelta(microseconds=1)


def _from_datetimes(times: "pd.Series[Any]") -> NDArray[np.int64]:
    return _within_years(times.to_numpy().astype("datetime64[us]").astype(np.int64))


def _from_seconds(seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    with np.errstate(invalid="ignore"):
        is_time = (seconds >= FIRST // SECOND) & (seconds < (LAST + 1) // SECOND)
    whole = np.floor(np.where(is_time, seconds, 0.0))
    # The part below a second is rounded alone: the microseconds of a time far from 1970 have more digits than a float.
    parts = np.rint((np.where(is_time, seconds, 0.0) - whole) * SECOND).astype(np.int64)
    return np.where(is_time, whole.astype(np.int64) * SECOND + parts, UNREADABLE)


def _from_text(times: "pd.Series[Any]") -> NDArray[np.int64]:
    """Arrow reads a column in one form at once (30 ns a time); one that mixes forms, or holds others, takes longer."""
    texts = pa.array(times, type=pa.string(), from_pandas=True)
    for kind in (pa.timestamp("us"), pa.timestamp("us", "UTC")):
        try:
            read = pc.cast(texts, kind).cast(pa.int64())
        except pa.ArrowInvalid:
            continue
        return _within_years(read.fill_null(UNREADABLE).to_numpy(zero_copy_only=False))
    stripped = times.str.strip()
    known = stripped.where(stripped.str.match(_ISO_DATE).fillna(value=False).astype(bool))
    return _from_datetimes(pd.to_datetime(known, format="ISO8601", utc=True, errors="coerce").dt.tz_localize(None))


def _from_mixed(times: "pd.Series[Any]") -> NDArray[np.int64]:
    values = times.tolist()
    found = np.full(len(values), UNREADABLE)
    is_text = np.fromiter((isinstance(one, str) for one in values), dtype=bool, count=len(values))
    is_number = np.fromiter((_is_number(one) for one in values), dtype=bool, count=len(values))
    found[is_text] = _from_text(pd.Series([one for one in values if isinstance(one, str)], dtype="str"))
    found[is_number] = _from_seconds(np.array([float(one) for one in values if _is_number(one)], dtype=np.float64))
    for row in np.flatnonzero(~is_text & ~is_number):
        found[row] = _from_object(values[row])
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def _from_object(value: Any) -> int:
    """`datetime` and `date` alone are times; pandas has the first as a subclass."""
    if value is None or value is pd.NaT or not hasattr(value, "isoformat"):
        return int(UNREADABLE)
    [found] = _from_text(pd.Series([value.isoformat()], dtype="str"))
    return int(found)


def _within_years(microseconds: NDArray[np.int64]) -> NDArray[np.int64]:
    is_time = (microseconds >= FIRST) & (microseconds <= LAST)
    return microseconds if is_time.all() else np.where(is_time, microseconds, UNREADABLE)
