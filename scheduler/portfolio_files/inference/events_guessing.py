"""Examines a file of events and guesses the columns of its key, its time and its type, and the kinds of the others."""

# pyarrow.compute makes its functions at run time, so their names are unknown before.
# pyright: reportAttributeAccessIssue=false

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as arrow_types

from db.sources.event_times import UNREADABLE, read_times
from scheduler.data_files.column_cleaning import clean_keys, clean_texts, flatten, is_number, is_text
from scheduler.data_files.errors import DataFileError
from scheduler.data_files.parquet_source import ParquetSource
from scheduler.data_files.source import open_source
from scheduler.portfolio_files.inference.column_profiles import ColumnProfile, Guess
from scheduler.portfolio_files.inference.sampling import profile_columns, read_sample

_DAY = 86_400 * 1_000_000
_LEAST_KNOWN_KEYS = 0.5  # share of a column's values that must be keys of records
_LEAST_TIMES = 0.95  # share of a column's texts that must be times
_MOST_TYPES = 1000
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_TIME_WORDS = ("at", "timestamp", "datetime", "time", "date", "when", "day", "ts", "on")
_TYPE_WORDS = ("type", "kind", "event", "activity", "action", "category", "operation", "code")
_KEY_WORDS = frozenset({"id", "key", "number", "no", "nr"})


@dataclass(frozen=True)
class EventsGuess:
    """A guess about a file of events. `known_keys` is the share of its rows whose key is one of the records'."""

    name: str
    file_name: str
    key: str
    at: str
    type: str | None
    profiles: tuple[ColumnProfile, ...]  # of the other columns
    rows: int
    known_keys: float
    per_record: float
    span_days: float
    unreadable_times: int


def guess_events(name: str, path: Path, key: str, record_keys: pa.Array) -> EventsGuess:
    """Guess from a sample of the file; `record_keys` are the keys of all records, as text, `key` is their column.

    Raises `DataFileError` if no column holds the keys, or none holds times.
    """
    source = open_source(path, (key,))
    sample = read_sample(source)
    columns = {one: flatten(sample.column(one)) for one in sample.column_names}
    own_key, known_keys = _find_key(columns, key, record_keys, source.where)
    at, unreadable = _find_time({one: array for one, array in columns.items() if one != own_key}, source.where)
    times = read_times(_cleaned(columns[at]).to_pandas())
    times = times[times != UNREADABLE]
    kind = _find_type(columns, {own_key, at})
    is_typed = isinstance(source, ParquetSource)
    roles = [one for one in (own_key, at, kind) if one is not None]
    return EventsGuess(
        name=name,
        file_name=path.name,
        key=own_key,
        at=at,
        type=kind,
        profiles=tuple(_as_labels(one, columns) if is_typed else one for one in profile_columns(sample, roles)),
        rows=sample.num_rows,
        known_keys=known_keys,
        per_record=sample.num_rows / max(1, pc.count_distinct(columns[own_key]).as_py()),
        span_days=0.0 if not len(times) else float(np.ptp(times)) / _DAY,
        unreadable_times=unreadable,
    )


def looks_like_events(sample: pa.Table, key: str, profiles: Iterable[ColumnProfile]) -> str | None:
    """Return why a file that was given as records holds events: its keys repeat, and it has times; else None."""
    keys = flatten(sample.column(key))
    distinct = pc.count_distinct(keys).as_py()
    dated = next((one.name for one in profiles if one.is_date), None)
    if dated is None or not distinct or sample.num_rows < 2 * distinct:
        return None
    return (
        f"each key occurs {sample.num_rows / distinct:.1f} times, with times in the column {dated}: this looks like "
        "events. Give a file with one row for each record, and this one with --events NAME=FILE"
    )


def guess_moment(profiles: Sequence[ColumnProfile], *, is_needed: bool) -> str | None:
    """Return the column of times whose name says that a record is judged then; if one `is_needed`, else the first."""
    dates = [one.name for one in profiles if one.is_date]
    named = [one for one in dates if _says_moment(one)]
    return next(iter(named or (dates if is_needed else [])), None)


def _says_moment(name: str) -> bool:
    plain = "".join(_words(name))
    return any(word in plain for word in ("cutoff", "moment", "decision", "decided", "asof", "snapshot", "scoredat"))


def _find_key(columns: dict[str, pa.Array], key: str, record_keys: pa.Array, where: str) -> tuple[str, float]:
    shares: dict[str, float] = {}
    for name, array in columns.items():
        if arrow_types.is_integer(array.type) or is_text(array.type):
            shares[name] = _share_known(array, record_keys)
    same = next((one for one in shares if one.casefold() == key.casefold()), None)
    if same is not None and shares[same] > 0:
        return same, shares[same]
    likely = {
        one: share
        for one, share in shares.items()
        if share >= _LEAST_KNOWN_KEYS and (is_text(columns[one].type) or _KEY_WORDS & set(_words(one)))
    }
    if likely:
        best = max(likely, key=lambda one: likely[one])
        return best, likely[best]
    if same is not None:
        raise DataFileError(where, f"no value of the column {same} is the key of a record in DATA; expected its keys")
    raise DataFileError(
        where, f"no column holds the keys of the records; expected a column {key} with the values that it has in DATA"
    )


def _as_labels(profile: ColumnProfile, columns: dict[str, pa.Array]) -> ColumnProfile:
    """Take whole numbers that a typed file stores as text for labels, such as the number of a clerk."""
    is_labelled = profile.guess is Guess.NUMERIC and is_text(columns[profile.name].type)
    if not is_labelled or profile.values is None or (profile.values % 1 > 0).any():
        return profile
    return replace(profile, guess=Guess.CATEGORICAL, reason=f"whole numbers stored as text; {profile.reason}")


def _share_known(array: pa.Array, record_keys: pa.Array) -> float:
    try:
        keys = clean_keys(array).cast(pa.string())
    except pa.ArrowInvalid:
        return 0.0
    known = pc.is_in(keys, value_set=record_keys)
    return float(pc.mean(known.cast(pa.float64())).as_py() or 0.0) if len(keys) else 0.0


def _find_time(columns: dict[str, pa.Array], where: str) -> tuple[str, int]:
    """Return the most likely column of times, and how many of its values are none."""
    found: dict[str, int] = {}
    for name, array in columns.items():
        is_typed = arrow_types.is_date(array.type) or arrow_types.is_timestamp(array.type)
        if not is_typed and not is_text(array.type):
            continue
        values = _cleaned(array)
        wrong = int((read_times(values.to_pandas()) == UNREADABLE).sum())
        are_times = is_typed or len(values) - wrong >= _LEAST_TIMES * (len(values) - values.null_count)
        if are_times and wrong < len(values):
            found[name] = wrong
    if not found:
        expected = "times, dates, or texts such as 2026-11-24T09:30:00"
        raise DataFileError(where, f"no column holds the times of the events; expected one with {expected}")
    best = min(found, key=lambda one: _rank(one, _TIME_WORDS))
    return best, found[best]


def _find_type(columns: dict[str, pa.Array], taken: set[str]) -> str | None:
    named = [
        name
        for name, array in columns.items()
        if name not in taken
        and not is_number(array.type)
        and is_text(array.type)
        and _rank(name, _TYPE_WORDS) < len(_TYPE_WORDS)
        and 0 < pc.count_distinct(clean_texts(array), mode="only_valid").as_py() <= _MOST_TYPES
    ]
    return min(named, key=lambda one: _rank(one, _TYPE_WORDS), default=None)


def _rank(name: str, words: Sequence[str]) -> int:
    """The place of a name's last word among these; behind all of them if it is none."""
    last = _words(name)[-1:]
    return words.index(last[0]) if last and last[0] in words else len(words)


def _words(name: str) -> list[str]:
    return [one.casefold() for one in _WORDS.findall(name)]


def _cleaned(array: pa.Array) -> pa.Array:
    if is_text(array.type):
        return clean_texts(array)
    zone = getattr(array.type, "tz", None)
    return array.cast(pa.timestamp("us", zone), safe=False)
