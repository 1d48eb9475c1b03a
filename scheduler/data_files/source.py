"""Opens a data file by its ending: text files and Parquet with the same methods."""

from collections import Counter
from pathlib import Path

from scheduler.data_files.csv_source import CsvSource
from scheduler.data_files.errors import DataFileError
from scheduler.data_files.jsonl_source import JsonLinesSource
from scheduler.data_files.parquet_source import ParquetSource

MOST_COLUMNS = 20_000
Source = CsvSource | JsonLinesSource | ParquetSource

_CSV_ENDINGS = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
_PARQUET_ENDINGS = (".parquet", ".pq")
_JSON_ENDINGS = (".jsonl", ".ndjson")


def open_source(path: Path, wanted: tuple[str, ...]) -> Source:
    """Open a file by its ending and read its columns' names. `wanted` are names that it should hold."""
    if not path.exists():
        raise DataFileError(str(path), "the file does not exist")
    if not path.is_file():
        raise DataFileError(str(path), "this is not a file; expected a CSV or Parquet file")
    lowered = path.name.lower()
    if lowered.endswith(_PARQUET_ENDINGS):
        source: Source = ParquetSource(path)
    elif lowered.endswith(_JSON_ENDINGS):
        source = JsonLinesSource(path)
    elif lowered.endswith(_CSV_ENDINGS):
        source = CsvSource(path, wanted)
    else:
        endings = ", ".join((*_CSV_ENDINGS, *_PARQUET_ENDINGS, *_JSON_ENDINGS))
        raise DataFileError(str(path), f"expected a file that ends with one of {endings}")
    if len(source.names) > MOST_COLUMNS:
        raise DataFileError(
            source.where, f"the header names {len(source.names):,} columns; expected {MOST_COLUMNS:,} at most"
        )
    twice = sorted(name for name, count in Counter(source.names).items() if count > 1)
    if twice:
        raise DataFileError(source.where, f"the header names {', '.join(map(repr, twice))} more than once")
    return source
