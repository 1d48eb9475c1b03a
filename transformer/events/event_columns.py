"""Events as columns, those of each record together and oldest first, none later than its record's moment."""

# pyarrow's arrays have no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportAttributeAccessIssue=false

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from transformer.records.column_reading import read_names, read_numbers
from transformer.records.event_schema import EventTable

MICROSECONDS = 1_000_000
DAY = 86_400 * MICROSECONDS
MONDAY = 3 * DAY  # 1970 began on a Thursday
PARTS = 4  # quarters of a day
NO_NAME = -1

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Codes = NDArray[np.int32]


@dataclass(frozen=True)
class Names:
    """A column of names: the number of each event's name, `NO_NAME` where it has none, and the names."""

    codes: Codes
    names: tuple[str, ...]


@dataclass(frozen=True)
class EventColumns:
    """E events of N records. Those of record i are `starts[i]` to `starts[i + 1]`, oldest first.

    `age` (E) is in days before the record's moment, `part` (E) the quarter of the day, `clock` (E) the days since
    Monday began, both in UTC.
    """

    starts: Integers
    age: Floats
    part: NDArray[np.int8]
    clock: NDArray[np.float32]
    names: dict[str, Names]
    numbers: dict[str, Floats]

    @property
    def records(self) -> int:
        """N."""
        return len(self.starts) - 1

    @classmethod
    def of(cls, frame: pd.DataFrame, at: Integers, record: Integers, moments: Integers, table: EventTable) -> Self:
        """Align the events of a frame with N records.

        `at` (E) is each event's time and `moments` (N) each record's, in microseconds since 1970; `record` (E) is the
        number of the event's record, below 0 for none. Events of one time keep the order that they have here. Later
        ones than the moment of their record are left out, and those that are as old as the table's window, or older.
        """
        kept = np.flatnonzero(record >= 0)
        before = moments[record[kept]] - at[kept]
        oldest = np.inf if table.window_days is None else table.window_days * DAY
        is_seen = (before >= 0) & (before < oldest)
        kept, before = kept[is_seen], before[is_seen]
        owner = record[kept]
        order = np.lexsort((-before, owner)) if not _is_sorted(owner, before) else slice(None)
        kept, before, owner = kept[order], before[order], owner[order]
        starts = np.searchsorted(owner, np.arange(len(moments) + 1))
        chosen = frame if len(kept) == len(frame) and _is_whole(kept) else frame.iloc[kept]
        codes = {one.name: one.missing_codes for one in table.values}
        names = {name: encode_names(chosen[name], codes.get(name, ())) for name in table.names}
        numbers = {name: read_numbers(chosen[name], codes[name]) for name in table.numbers}
        part = (at[kept] % DAY * PARTS // DAY).astype(np.int8)
        clock = ((at[kept] + MONDAY) % (7 * DAY) / DAY).astype(np.float32)
        return cls(starts.astype(np.int64), before / DAY, part, clock, names, numbers)

    def take(self, rows: Integers) -> "EventColumns":
        """Return the events of some of the records, in the order of `rows`."""
        counts = self.starts[rows + 1] - self.starts[rows]
        starts = np.concatenate([[0], np.cumsum(counts)])
        places = np.repeat(self.starts[rows] - starts[:-1], counts) + np.arange(starts[-1])
        names = {name: Names(one.codes[places], one.names) for name, one in self.names.items()}
        numbers = {name: one[places] for name, one in self.numbers.items()}
        own = (self.age[places], self.part[places], self.clock[places])
        return EventColumns(starts.astype(np.int64), *own, names, numbers)

    def stack(self) -> tuple[Codes, Floats]:
        """Return the names as codes and the numbers, one row for each column."""
        codes = np.stack([one.codes for one in self.names.values()]) if self.names else None
        numbers = np.stack(list(self.numbers.values())) if self.numbers else None
        none = (0, len(self.age))
        return np.zeros(none, np.int32) if codes is None else codes, np.zeros(none) if numbers is None else numbers


def join_events(parts: list[EventColumns]) -> EventColumns:
    """Return the events of all these records, one part after another; at least one part is given."""
    first = parts[0]
    offsets = np.cumsum([0, *(one.starts[-1] for one in parts)])
    starts = [one.starts[:-1] + offset for one, offset in zip(parts, offsets, strict=False)]
    names = {name: _join_names([one.names[name] for one in parts]) for name in first.names}
    numbers = {name: np.concatenate([one.numbers[name] for one in parts]) for name in first.numbers}
    return EventColumns(
        np.concatenate([*starts, offsets[-1:]]).astype(np.int64),
        np.concatenate([one.age for one in parts]),
        np.concatenate([one.part for one in parts]),
        np.concatenate([one.clock for one in parts]),
        names,
        numbers,
    )


def _join_names(parts: list[Names]) -> Names:
    every = pd.Index(sorted({name for one in parts for name in one.names}), dtype="object")
    codes = [
        np.append(every.get_indexer(pd.Index(one.names, dtype="object")), NO_NAME).astype(np.int32)[one.codes]
        for one in parts
    ]
    return Names(np.concatenate(codes), tuple(every))


def encode_names(column: "pd.Series[Any]", missing_codes: tuple[float | str, ...] = ()) -> Names:
    """Return a column's names as numbers; text that Arrow holds is never made into Python's."""
    array = pa.array(column) if str(column.dtype) in ("str", "string") else None
    if array is None:
        codes, distinct = pd.factorize(read_names(column, missing_codes), use_na_sentinel=True)
        return Names(codes.astype(np.int32), tuple(str(one) for one in distinct))
    array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    found = array.dictionary_encode()
    written = read_names(pd.Series(found.dictionary.to_pylist(), dtype="object"), missing_codes)
    table, distinct = pd.factorize(written, use_na_sentinel=True)
    places = found.indices.fill_null(len(table)).to_numpy(zero_copy_only=False)
    return Names(np.append(table, NO_NAME).astype(np.int32)[places], tuple(str(one) for one in distinct))


def _is_sorted(owner: Integers, before: Integers) -> bool:
    """Whether records stand in order, and the events of each oldest first."""
    step = np.diff(owner)
    return bool(((step > 0) | ((step == 0) & (np.diff(before) <= 0))).all())


def _is_whole(kept: Integers) -> bool:
    return not len(kept) or bool(kept[0] == 0 and kept[-1] == len(kept) - 1 and (np.diff(kept) == 1).all())
