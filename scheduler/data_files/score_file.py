"""Reads the scores of a CSV or Parquet file as a distribution; an empty score is a record that could not be scored."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from scheduler.data_files.column_cleaning import flatten, is_number, read_numbers
from scheduler.data_files.errors import DataFileError, MissingColumnError
from scheduler.data_files.parquet_source import ParquetSource
from scheduler.data_files.source import open_source
from worker.drift import Distribution, Floats

SCORE_COLUMN = "score"


def read_score_file(path: Path, column: str = SCORE_COLUMN) -> Distribution:
    """Return the distribution of a column. Raises `DataFileError` for text in place of a number, or no record."""
    source = open_source(path, (column,))
    if column not in source.names:
        raise MissingColumnError(source.where, {column: "the scores; choose another with --column"}, source.names)
    if isinstance(source, ParquetSource):
        _require_numbers(source, column)
    parts: list[Floats] = []
    rows = 0
    for batch in source.batches([column]):
        numbers = read_numbers(flatten(pa.chunked_array([batch.column(column)])))
        if numbers.unreadable:
            at, text = next(iter(numbers.unreadable.items()))
            found = f"the score of record {rows + at + 1} in column {column} is {text!r}"
            raise DataFileError(source.where, f"{found}; expected a number or an empty value")
        parts.append(numbers.values)
        rows += batch.num_rows
    if not rows:
        raise DataFileError(source.where, "the file contains no records; expected one score per line")
    return Distribution.of_values(np.concatenate(parts))


def _require_numbers(source: ParquetSource, column: str) -> None:
    kind = source.schema.field(column).type
    readable = is_number(kind) or str(kind) in {"string", "large_string", "string_view", "null"}
    if not readable and not str(kind).startswith("dictionary"):
        raise DataFileError(source.where, f"the column {column} holds {kind}; expected numbers")
