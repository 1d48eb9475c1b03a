"""Writes frames to a CSV or Parquet file, completely or not at all, with one page in memory at a time."""

import os
import tempfile
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from db.connections.engine import Engine
from db.privacy.erased_keys import read_erasures
from scheduler.errors import UsageError
from scheduler.reports.result_streams import make_safe

_ARROW_TYPES = {"probability": pa.float64(), "points": pa.int32()}  # every other column is text


class _OutdatedError(Exception):
    """Someone was erased while the file was written; it is not to appear."""


def write_results(
    engine: Engine,
    portfolio: str,
    path: Path,
    frames: Callable[[], Iterable[pd.DataFrame]],
    columns: Sequence[str],
    *,
    is_safe: bool,
) -> int:
    """Write results of a portfolio as `write_frames` does; start again if someone was erased meanwhile."""
    while True:
        count = read_erasures(engine, portfolio)
        is_current = lambda count=count: read_erasures(engine, portfolio) == count  # noqa: E731 - a name says what it is
        try:
            return write_frames(path, frames(), columns, is_safe=is_safe, is_current=is_current)
        except _OutdatedError:
            continue


def write_frames(
    path: Path,
    frames: Iterable[pd.DataFrame],
    columns: Sequence[str],
    *,
    is_safe: bool = False,
    is_current: Callable[[], bool] = lambda: True,
) -> int:
    """Write the frames to `path` (.csv, .csv.gz or .parquet) and return the number of rows.

    With `is_safe`, no text in a CSV file is a formula for a spreadsheet. The file appears under its name only when it
    is complete. Raises `UsageError` for another ending or a missing folder.
    """
    write = _writer_for(path)
    if not path.parent.is_dir():
        raise UsageError(f"the folder {path.parent} does not exist")
    shown = map(make_safe, frames) if is_safe and write is _write_csv else frames
    with _finished_or_absent(path) as temporary:
        rows = write(temporary, shown, columns)
        if not is_current():
            raise _OutdatedError
        return rows


def _writer_for(path: Path):  # noqa: ANN202 - one of the two functions below
    name = path.name.lower()
    if name.endswith((".csv", ".csv.gz")):
        return _write_csv
    if name.endswith((".parquet", ".pq")):
        return _write_parquet
    raise UsageError(f"{path}: expected a file name ending in .csv, .csv.gz or .parquet")


def _write_csv(path: Path, frames: Iterable[pd.DataFrame], columns: Sequence[str]) -> int:
    compression = "gzip" if path.name.endswith(".gz") else None
    pd.DataFrame(columns=list(columns)).to_csv(path, index=False, compression=compression)
    rows = 0
    for frame in frames:
        frame.to_csv(path, index=False, header=False, mode="a", columns=list(columns), compression=compression)
        rows += len(frame)
    return rows


def _write_parquet(path: Path, frames: Iterable[pd.DataFrame], columns: Sequence[str]) -> int:
    schema = pa.schema([(name, _ARROW_TYPES.get(name, pa.string())) for name in columns])
    rows = 0
    with pq.ParquetWriter(path, schema) as writer:
        for frame in frames:
            writer.write_table(pa.Table.from_pandas(frame[list(columns)], schema=schema, preserve_index=False))
            rows += len(frame)
    return rows


@contextmanager
def _finished_or_absent(path: Path) -> Generator[Path]:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".tidemark-", suffix="".join(path.suffixes))
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def _umask() -> int:
    """Return the umask; the system only returns it when it is changed."""
    found = os.umask(0o077)
    os.umask(found)
    return found
