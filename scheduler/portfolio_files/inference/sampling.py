"""Reads a sample of a data file and profiles its columns."""

from collections.abc import Iterable, Iterator

import pyarrow as pa

from scheduler.data_files.errors import DataFileError
from scheduler.data_files.parquet_source import ParquetSource
from scheduler.data_files.source import Source
from scheduler.portfolio_files.inference.column_profiles import ColumnProfile, Guess, profile_column
from scheduler.portfolio_files.values import Problems, is_identifier

_SAMPLE_ROWS = 50_000


def read_sample(data: Source) -> pa.Table:
    """Return some rows: of Parquet from all over the file, of text files the first ones. Raises `DataFileError`."""
    if isinstance(data, ParquetSource):
        batches = list(data.sample(data.names, _SAMPLE_ROWS))
    else:
        batches = list(_take(data.batches(data.names), _SAMPLE_ROWS))
    if not sum(batch.num_rows for batch in batches):
        raise DataFileError(data.where, "the file contains no records to examine")
    return pa.Table.from_batches(batches)


def _take(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield batch.slice(0, rows)
        rows -= batch.num_rows
        if rows <= 0:
            return


def profile_columns(sample: pa.Table, roles: Iterable[str]) -> list[ColumnProfile]:
    """Guess every column without a role; databases distinguish names neither by case nor beyond their length limits."""
    taken = {name.casefold() for name in roles}
    profiles: list[ColumnProfile] = []
    for name in (one for one in sample.column_names if one not in roles):
        if not is_identifier(name, (), Problems(), what="column name"):
            profiles.append(ColumnProfile(name, Guess.LEFT_OUT, "not a valid name for a database column"))
        elif name.casefold() in taken:
            profiles.append(ColumnProfile(name, Guess.LEFT_OUT, "another column's name differs only in case"))
        else:
            profiles.append(profile_column(name, sample.column(name)))
        taken.add(name.casefold())
    return profiles
