"""Sends frames as CSV, Parquet or Arrow, with one page in memory at a time, and makes cells safe for spreadsheets."""

import io
import re
from collections.abc import Iterable, Iterator, Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

ARROW_TYPES = {"probability": pa.float64(), "points": pa.int32()}  # every other column is text
# What spreadsheets take for the beginning of a formula, wide forms too; a plain number is none.
_FORMULA = re.compile(r"^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"^[+-]?[0-9]+(\.[0-9]+)?$")


def schema_of(columns: Sequence[str]) -> pa.Schema:
    """Return the Arrow schema of these result columns."""
    return pa.schema([(name, ARROW_TYPES.get(name, pa.string())) for name in columns])


def make_safe(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with an apostrophe in front of each text that a spreadsheet would run as a formula."""
    safe = frame.copy()
    for name in (one for one in frame.columns if one not in ARROW_TYPES):
        safe[name] = frame[name].map(safe_cell)
    return safe


def safe_cell(value: object) -> object:
    """Return a cell that a spreadsheet shows unchanged.

    >>> [safe_cell(one) for one in ("=1+1", "-17", "@cmd", "plain", None)]
    ["'=1+1", '-17', "'@cmd", 'plain', None]
    """
    if isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def stream_csv(frames: Iterable[pd.DataFrame], columns: Sequence[str], *, is_safe: bool) -> Iterator[bytes]:
    """Yield a CSV file: UTF-8, with a header line."""
    yield (",".join(columns) + "\n").encode()
    for frame in frames:
        shown = make_safe(frame[list(columns)]) if is_safe else frame[list(columns)]
        yield shown.to_csv(index=False, header=False).encode()


def stream_parquet(frames: Iterable[pd.DataFrame], columns: Sequence[str]) -> Iterator[bytes]:
    """Yield a Parquet file, one row group per page."""
    schema, sink = schema_of(columns), _Sink()
    with pq.ParquetWriter(sink, schema) as writer:
        for frame in frames:
            writer.write_table(_as_table(frame, columns, schema))
            yield sink.drain()
    yield sink.drain()


def stream_arrow(frames: Iterable[pd.DataFrame], columns: Sequence[str]) -> Iterator[bytes]:
    """Yield an Arrow IPC stream, one batch per page."""
    schema, sink = schema_of(columns), _Sink()
    with pa.ipc.new_stream(sink, schema) as writer:
        for frame in frames:
            writer.write_table(_as_table(frame, columns, schema))
            yield sink.drain()
    yield sink.drain()


def _as_table(frame: pd.DataFrame, columns: Sequence[str], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pandas(frame[list(columns)], schema=schema, preserve_index=False)


class _Sink(io.RawIOBase):
    """A file that is read while it is written."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, data: "bytes | memoryview", /) -> int:  # type: ignore[override]
        part = bytes(data)
        self._parts.append(part)
        self._position += len(part)
        return len(part)

    def drain(self) -> bytes:
        """Return what was written since the last time."""
        drained = b"".join(self._parts)
        self._parts.clear()
        return drained
