"""The columns of a book's records: a frame in memory, or a file that is mapped where the book is larger than that.

Such a file has no name, so no other process can open it, and its space is freed however the process ends.
"""

import mmap
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from transformer.records.column_reading import text_of
from transformer.records.schema import RecordSchema

CHUNK_ROWS = 50_000  # of a book of up to 25 columns
VALUES_AT_ONCE = 2_500_000  # rows times columns that are held as frames and arrays at a time

Rows = NDArray[np.int64]


class RecordStore(Protocol):
    """N records, one row each, in a fixed order."""

    def __len__(self) -> int: ...

    def take(self, rows: Rows, columns: tuple[str, ...] | None = None) -> pd.DataFrame:
        """Return some of the records in the order of `rows` as a frame in memory, numbered from 0."""
        ...

    def part(self, rows: Rows) -> "RecordStore":
        """Return some of the records as a store of their own."""
        ...

    def reading(self, schema: RecordSchema) -> "RecordStore":
        """Return the same records, of which every column of a schema can be taken, those made of events too."""
        ...

    def allocate(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """Return an array of zeros stored like the records: in memory, or in a mapped file."""
        ...


def rows_at_once(columns: int, *, most: int) -> int:
    """Return how many rows of so many columns may be held at a time, at most `most`."""
    return min(most, max(1, VALUES_AT_ONCE // max(1, columns)))


def chunks_of(store: RecordStore, columns: tuple[str, ...]) -> Iterator[tuple[slice, pd.DataFrame]]:
    """Yield all records in order, some at a time, and where they stand."""
    size = rows_at_once(2 * len(columns), most=CHUNK_ROWS)
    for start in range(0, len(store), size):
        stop = min(start + size, len(store))
        yield slice(start, stop), store.take(np.arange(start, stop), columns)


@dataclass(frozen=True)
class FrameStore:
    """Records in memory."""

    frame: pd.DataFrame

    def __len__(self) -> int:
        return len(self.frame)

    def take(self, rows: Rows, columns: tuple[str, ...] | None = None) -> pd.DataFrame:
        """Return a copy of some records."""
        frame = self.frame if columns is None else self.frame[list(columns)]
        return frame.iloc[rows].reset_index(drop=True)

    def part(self, rows: Rows) -> "FrameStore":
        """Return a copy of some records."""
        return FrameStore(self.take(rows))

    def reading(self, schema: RecordSchema) -> "FrameStore":  # noqa: ARG002 - there are no events
        """Return the same records."""
        return self

    def allocate(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """Return an array in memory."""
        return np.zeros(shape, dtype)


class FileStore:
    """Records in a file that is mapped into memory; the system drops its pages when it needs them."""

    def __init__(self, tables: tuple[pa.Table, ...], folder: Path, rows: Rows | None = None) -> None:
        self._tables = tables
        self._starts = np.cumsum([0, *(len(one) for one in tables)])
        self._folder = folder
        self._rows = np.arange(self._starts[-1]) if rows is None else rows

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, rows: Rows, columns: tuple[str, ...] | None = None) -> pd.DataFrame:
        """Read some records."""
        if columns == ():
            return pd.DataFrame(index=pd.RangeIndex(len(rows)))
        wanted = self._rows[rows]
        tables = np.searchsorted(self._starts, wanted, side="right") - 1
        order = np.argsort(tables, kind="stable")
        frames: list[pd.DataFrame] = []
        for number in np.unique(tables).tolist():
            mine = wanted[tables == number] - self._starts[number]
            table = self._tables[number]
            table = table if columns is None else table.select(list(columns))
            frames.append(_take(table, mine).to_pandas())
        if not frames:
            return self._tables[0].slice(0, 0).to_pandas() if self._tables else pd.DataFrame()
        joined = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
        return joined.iloc[np.argsort(order, kind="stable")].reset_index(drop=True)

    def part(self, rows: Rows) -> "FileStore":
        """Return some of the records; they stay where they are."""
        return FileStore(self._tables, self._folder, self._rows[rows])

    def reading(self, schema: RecordSchema) -> "FileStore":  # noqa: ARG002 - there are no events
        """Return the same records."""
        return self

    def allocate(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """Return an array in a file of its own."""
        if 0 in shape:
            return np.zeros(shape, dtype)
        with _open_unnamed(self._folder) as file:
            return np.memmap(file, dtype=dtype, mode="w+", shape=shape)


class RecordWriter:
    """Gathers the frames of a book that is being read: in memory up to `most_bytes`, beyond that in a file."""

    def __init__(self, folder: Path, *, most_bytes: int) -> None:
        self._folder, self._most_bytes = folder, most_bytes
        self._frames: list[pd.DataFrame] = []
        self._bytes, self._places = 0, list[int]()
        self._file: IO[bytes] | None = None

    def append(self, frame: pd.DataFrame) -> None:
        """Take the next records; the columns are the same each time, their types may change."""
        self._bytes += int(frame.memory_usage(index=False, deep=True).sum())
        self._frames.append(frame)
        if self._bytes > self._most_bytes:
            self._move_to_file()

    def close(self) -> RecordStore:
        """Return all that was appended."""
        if self._file is None:
            return FrameStore(pd.concat(self._frames, ignore_index=True) if self._frames else pd.DataFrame())
        self._move_to_file()
        self._file.flush()
        with self._file:
            source = pa.BufferReader(pa.py_buffer(mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)))
        tables: list[pa.Table] = []
        for place in self._places:
            source.seek(place)
            tables.append(pa.ipc.open_stream(source).read_all())
        return FileStore(tuple(tables), self._folder)

    def _move_to_file(self) -> None:
        if self._file is None:
            self._file = _open_unnamed(self._folder)
        for frame in self._frames:
            table = _as_table(frame)
            self._places.append(self._file.tell())
            with pa.ipc.new_stream(self._file, table.schema) as stream:
                stream.write_table(table)
        self._frames.clear()


def _open_unnamed(folder: Path) -> IO[bytes]:
    """Open a file that is readable by this process alone; where the system has no such files, it goes when closed."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return tempfile.TemporaryFile(dir=folder, prefix="tidemark-book-")


def _take(table: pa.Table, rows: Rows) -> pa.Table:
    """A stretch of rows is a view of the file; others are copied one by one."""
    if len(rows) and rows[-1] - rows[0] == len(rows) - 1 and np.array_equal(rows, np.arange(rows[0], rows[-1] + 1)):
        return table.slice(int(rows[0]), len(rows))
    return table.take(pa.array(rows))


def _as_table(frame: pd.DataFrame) -> pa.Table:
    """Values of several kinds in one column become their text, which is read as the same name or number."""
    columns: dict[str, pa.Array] = {}
    for name in frame.columns:
        try:
            columns[name] = pa.Array.from_pandas(frame[name])
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            columns[name] = pa.array(
                frame[name].map(text_of, na_action="ignore"), type=pa.large_string(), from_pandas=True
            )
    return pa.table(columns)
