"""Opens a file of events and yields those that can be loaded, as columns; the other rows are counted with a reason."""

# pyarrow.compute makes its functions at run time, so their names are unknown before.
# pyright: reportAttributeAccessIssue=false

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as arrow_types

from db.events.wording import counted
from db.portfolios.definition import EventsDefinition, FieldKind
from db.sources.event_times import UNREADABLE, read_times
from scheduler.data_files.column_cleaning import clean_texts, flatten, is_number, is_text, read_categories, read_numbers
from scheduler.data_files.errors import DataFileError, MissingColumnError
from scheduler.data_files.parquet_source import ParquetSource
from scheduler.data_files.record_file import KeyType, cut_batches, key_type_of, read_key_column, scan_keys
from scheduler.data_files.source import Source, open_source

_EXAMPLES = 5
_SHOWN_TEXT = 40


class Refusal(StrEnum):
    """Why a row of a file cannot be loaded."""

    NO_KEY = "no_key"
    NO_TIME = "no_time"
    UNREADABLE_TIME = "unreadable_time"
    NOT_A_NUMBER = "not_a_number"


_SAID = {
    Refusal.NO_KEY: "without a key",
    Refusal.NO_TIME: "without a time",
    Refusal.UNREADABLE_TIME: "whose time cannot be read; write it as 2026-11-24T09:30:00",
    Refusal.NOT_A_NUMBER: "with text in place of a number",
}


@dataclass(frozen=True)
class RefusedRow:
    """A row of the file, counted from 1 without the header; `text` is what could not be read."""

    row: int
    column: str
    why: Refusal
    text: str = ""


@dataclass
class EventSurvey:
    """The rows of a file that cannot be loaded, each counted once."""

    rows: int = 0
    refused: int = 0
    counts: Counter[tuple[str, Refusal]] = field(default_factory=Counter[tuple[str, Refusal]])
    examples: list[RefusedRow] = field(default_factory=list[RefusedRow])

    @property
    def document(self) -> list[dict[str, Any]]:
        """The refused rows by column and reason, for programs."""
        return [{"column": column, "reason": why, "rows": count} for (column, why), count in self.counts.most_common()]

    @property
    def sentences(self) -> list[str]:
        """The same for people, with the first few rows."""
        return [
            f"{counted(count, 'row')} {_SAID[why]} ({column}): "
            + ", ".join(_shown(one) for one in self.examples if (one.column, one.why) == (column, why))
            for (column, why), count in self.counts.most_common()
        ]

    def add(self, first: int, column: str, why: Refusal, rows: npt.NDArray[np.intp], texts: dict[int, str]) -> None:
        """Count refused rows; `first` is the number of rows before this part of the file."""
        self.refused += len(rows)
        self.counts[column, why] += len(rows)
        known = sum((one.column, one.why) == (column, why) for one in self.examples)
        for row in rows[: max(0, _EXAMPLES - known)].tolist():
            self.examples.append(RefusedRow(first + row + 1, column, why, texts.get(row, "")[:_SHOWN_TEXT]))


def _shown(one: RefusedRow) -> str:
    return f"row {one.row:,}" + (f" {one.text!r}" if one.text else "")


@dataclass(frozen=True)
class EventFile:
    """An opened file of events, with what is known before its rows are read."""

    path: Path
    events: EventsDefinition
    key_type: KeyType
    rows_estimate: int | None
    ignored_columns: tuple[str, ...]
    source: Source = field(repr=False)

    def frames(self, survey: EventSurvey, batch_rows: int = 200_000) -> Iterator[pd.DataFrame]:
        """Yield the rows that can be loaded, in file order: key, time in microseconds, then the events' columns.

        Raises `DataFileError`.
        """
        for table in cut_batches(self.source.batches(_needed(self.events)), batch_rows):
            yield self._read_frame(table, survey)
            survey.rows += table.num_rows

    def _read_frame(self, table: pa.Table, survey: EventSurvey) -> pd.DataFrame:
        events, is_good = self.events, np.ones(table.num_rows, dtype=bool)

        def refuse(column: str, why: Refusal, is_bad: npt.NDArray[np.bool_], texts: dict[int, str]) -> None:
            rows = np.flatnonzero(is_bad & is_good)
            if len(rows):
                survey.add(survey.rows, column, why, rows, texts)
                is_good[rows] = False

        keys = read_key_column(table, events.key, self.key_type, self.source.where)
        times, texts = _read_times(flatten(table.column(events.at)))
        is_empty = np.array([one == "" for one in texts], dtype=bool)
        refuse(events.key, Refusal.NO_KEY, pd.isna(keys), {})
        refuse(events.at, Refusal.NO_TIME, (times == UNREADABLE) & is_empty, {})
        wrong = np.flatnonzero((times == UNREADABLE) & ~is_empty).tolist()
        refuse(events.at, Refusal.UNREADABLE_TIME, times == UNREADABLE, {row: texts[row] for row in wrong})
        columns: dict[str, npt.NDArray[Any]] = {events.key: keys, events.at: times}
        for name, kind, codes in _columns_of(events):
            array = flatten(table.column(name))
            if kind is FieldKind.CATEGORICAL:
                columns[name] = read_categories(array)
                continue
            numbers = read_numbers(array, codes)
            columns[name] = numbers.values
            is_bad = np.zeros(table.num_rows, dtype=bool)
            is_bad[list(numbers.unreadable)] = True
            refuse(name, Refusal.NOT_A_NUMBER, is_bad, numbers.unreadable)
        frame = pd.DataFrame({name: pd.Series(values, dtype=values.dtype) for name, values in columns.items()})
        return frame if is_good.all() else frame[is_good].reset_index(drop=True)


def open_event_file(path: Path | str, events: EventsDefinition, *, most_bytes: int | None = None) -> EventFile:
    """Open a file for loading: names and types are checked, a text file is read through once for its key type.

    Raises `DataFileError`, and `MissingColumnError` when the file lacks a column.
    """
    path, needed = Path(path), _needed(events)
    source = open_source(path, needed)
    uses = {events.key: "key", events.at: "at"} | ({} if events.type is None else {events.type: "type"})
    uses |= {one.name: f"fields.{one.name}" for one in events.fields}
    absent = {name: f"events.{events.name}.{use}" for name, use in uses.items() if name not in source.names}
    if absent:
        raise MissingColumnError(source.where, absent, source.names)
    if isinstance(source, ParquetSource):
        key_type, rows = _check_types(source, events), source.count_rows()
        source.require_size(list(needed), most_bytes)
    else:
        key_type, rows = scan_keys(source, events.key)
    ignored = tuple(name for name in source.names if name not in needed)
    return EventFile(path, events, key_type, rows, ignored, source)


def checked_frames(file: EventFile, survey: EventSurvey, budget: float) -> Iterator[pd.DataFrame]:
    """Yield the frames of a file; at its end raise `DataFileError` if the budget is exceeded."""
    yield from file.frames(survey)
    _require_budget(survey, budget, file.source.where)


def _require_budget(survey: EventSurvey, budget: float, where: str) -> None:
    if survey.refused > budget * survey.rows:
        share = (
            f"{survey.refused:,} of {counted(survey.rows, 'row')} cannot be loaded ({survey.refused / survey.rows:.2%})"
        )
        message = f"{share}, the budget is {budget:.2%}: nothing was loaded. {'; '.join(survey.sentences)}"
        raise DataFileError(where, f"{message}. Correct the file, or raise rejects.budget in the portfolio file")


def _needed(events: EventsDefinition) -> tuple[str, ...]:
    return tuple(dict.fromkeys((events.key, events.at, *events.columns)))


def _columns_of(events: EventsDefinition) -> Iterator[tuple[str, FieldKind, frozenset[str]]]:
    if events.type is not None:
        yield events.type, FieldKind.CATEGORICAL, frozenset()
    for one in events.fields:
        yield one.name, one.kind, frozenset(code for code in one.missing_codes if isinstance(code, str))


def _read_times(array: pa.Array) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Return the times, and the text of each one that cannot be read; "" if there is none."""
    if is_text(array.type):
        array = clean_texts(array)
    elif arrow_types.is_date(array.type) or arrow_types.is_timestamp(array.type):
        zone = getattr(array.type, "tz", None)
        array = array.cast(pa.timestamp("us", zone), safe=False)
    times = read_times(array.to_pandas())
    is_wrong = times == UNREADABLE
    if not is_wrong.any():
        return times, [""] * len(times)
    texts = pc.if_else(pa.array(is_wrong), pc.fill_null(array.cast(pa.string()), ""), "")
    return times, texts.to_pylist()


def _check_types(source: ParquetSource, events: EventsDefinition) -> KeyType:
    kinds = {name: source.schema.field(name).type for name in _needed(events)}
    kinds = {name: one.value_type if arrow_types.is_dictionary(one) else one for name, one in kinds.items()}
    at = kinds[events.at]
    is_time = arrow_types.is_date(at) or arrow_types.is_timestamp(at)
    is_seconds = is_number(at) and not arrow_types.is_boolean(at)
    if not (is_time or is_seconds or is_text(at) or arrow_types.is_null(at)):
        raise DataFileError(source.where, f"the column {events.at} holds {at}; expected times, dates or texts")
    for name, kind, _ in _columns_of(events):
        found = kinds[name]
        is_plain = is_text(found) or is_number(found) or arrow_types.is_null(found)
        is_dated = arrow_types.is_date(found) or arrow_types.is_timestamp(found)
        if not is_plain and not (kind is FieldKind.CATEGORICAL and is_dated):
            expected = "numbers" if kind is FieldKind.NUMERIC else "texts or numbers"
            raise DataFileError(source.where, f"the column {name} holds {found}; expected {expected}")
    return key_type_of(kinds[events.key], events.key, source.where)
