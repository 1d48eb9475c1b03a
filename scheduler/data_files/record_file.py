"""Opens a CSV or Parquet file of records and yields it in batches, as the portfolio specifies."""

# pyarrow.compute makes its functions at run time, so their names are unknown before.
# pyright: reportAttributeAccessIssue=false

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as arrow_types

from db.portfolios.definition import FieldKind, PortfolioDefinition
from db.sources.source_table import UNREADABLE
from scheduler.data_files.column_cleaning import (
    INTEGER_KEY,
    clean_keys,
    flatten,
    is_number,
    is_text,
    read_categories,
    read_keys,
    read_numbers,
    read_times,
    read_truths,
)
from scheduler.data_files.csv_source import CsvSource
from scheduler.data_files.errors import DataFileError, MissingColumnError
from scheduler.data_files.jsonl_source import JsonLinesSource
from scheduler.data_files.parquet_source import ParquetSource
from scheduler.data_files.source import Source, open_source

KeyType = Literal["integer", "text"]
_CUT_BYTES = 64 << 20
# PostgreSQL's index of the keys accepts no more, and real keys are shorter.
LONGEST_KEY_BYTES = 1024


@dataclass(frozen=True)
class LoadBatch:
    """Some records of a file, in file order.

    Columns of `frame`, in this order: the key (object: int or str, None = missing); the target if the portfolio has
    one (float64: 0, 1, NaN = not known); as_of and the moment if it has them (object: ISO text or None); the input
    columns in the order of `definition.input_columns` (numeric: float64, NaN = missing, infinities kept; categorical:
    object, str or None); `tidemark_unreadable` (object: None, or a JSON object of the texts in place of numbers).
    """

    frame: pd.DataFrame


@dataclass(frozen=True)
class DataFile:
    """An opened file, with what is known before its records are read."""

    path: Path
    definition: PortfolioDefinition
    key_type: KeyType
    rows_estimate: int | None
    bytes_total: int
    ignored_columns: tuple[str, ...]
    source: Source = field(repr=False)

    def batches(self, batch_rows: int = 50_000) -> Iterator[LoadBatch]:
        """Yield all records, `batch_rows` at a time. May be called again. Raises `DataFileError`."""
        wanted = _needed_columns(self.definition)
        columns = [name for name in wanted if name in self.source.names]
        first = 0
        for table in cut_batches(self.source.batches(columns), batch_rows):
            yield LoadBatch(self._read_frame(table, first))
            first += table.num_rows

    def _read_frame(self, table: pa.Table, first: int) -> pd.DataFrame:
        definition = self.definition
        columns: dict[str, npt.NDArray[np.generic]] = {
            definition.key: read_key_column(table, definition.key, self.key_type, self.source.where)
        }
        if definition.target is not None:
            columns[definition.target] = self._read_target(table, definition.target, first)
        for name in definition.time_columns:
            columns[name] = read_times(flatten(table.column(name)))
        unreadable: dict[int, dict[str, str]] = {}
        codes = _missing_texts(definition)
        for name, kind in definition.column_kinds.items():
            array = flatten(table.column(name))
            if kind is FieldKind.CATEGORICAL:
                columns[name] = read_categories(array)
                continue
            numbers = read_numbers(array, codes[name])
            columns[name] = numbers.values
            for at, text in numbers.unreadable.items():
                unreadable.setdefault(at, {})[name] = text
        columns[UNREADABLE] = _write_unreadable(unreadable, table.num_rows)
        # The type is given because pandas would otherwise create its own kind of text column from objects.
        return pd.DataFrame({name: pd.Series(values, dtype=values.dtype) for name, values in columns.items()})

    def _read_target(self, table: pa.Table, name: str, first: int) -> npt.NDArray[np.float64]:
        if name not in self.source.names:
            return np.full(table.num_rows, np.nan)
        numbers = read_truths(flatten(table.column(name)))
        is_wrong = ~(np.isnan(numbers.values) | (numbers.values == 0) | (numbers.values == 1))
        wrong = sorted({*numbers.unreadable, *np.flatnonzero(is_wrong).tolist()})
        if wrong:
            got = numbers.unreadable.get(wrong[0], f"{numbers.values[wrong[0]]:g}")
            message = f"the target {name} of record {first + wrong[0] + 1} is {got!r}; expected 0, 1 or an empty value"
            raise DataFileError(self.source.where, message)
        return numbers.values


def open_data_file(path: Path | str, definition: PortfolioDefinition, *, most_bytes: int | None = None) -> DataFile:
    """Open a file for loading: names and types are checked, a CSV file is read through once for its key type.

    A Parquet file may decode to at most `most_bytes`, or to the size of an honest file. Raises `DataFileError`, and
    `MissingColumnError` when the file lacks a column (the target may be absent).
    """
    path = Path(path)
    needed = _needed_columns(definition)
    source = open_source(path, tuple(needed))
    absent = {name: use for name, use in needed.items() if name not in source.names and use != "target"}
    if absent:
        raise MissingColumnError(source.where, absent, source.names)
    if isinstance(source, ParquetSource):
        key_type, rows = _check_types(source, definition), source.count_rows()
        source.require_size([name for name in needed if name in source.names], most_bytes)
    else:
        key_type, rows = scan_keys(source, definition.key)
    ignored = tuple(name for name in source.names if name not in needed)
    return DataFile(path, definition, key_type, rows, path.stat().st_size, ignored, source)


def read_key_column(table: pa.Table, key: str, key_type: KeyType, where: str) -> npt.NDArray[np.object_]:
    """Return the keys of some rows: integers or texts, None if missing. Raises `DataFileError`."""
    try:
        keys = read_keys(flatten(table.column(key)), key_type)
    except pa.ArrowInvalid as error:
        message = f"the key column {key} holds a number that is not an integer of 64 bits: {error}"
        raise DataFileError(where, message) from error
    longest = max((len(one.encode(errors="replace")) for one in keys if isinstance(one, str)), default=0)
    if longest > LONGEST_KEY_BYTES:
        message = f"a key in the column {key} has {longest} bytes; expected {LONGEST_KEY_BYTES} at most"
        raise DataFileError(where, message)
    return keys


def _needed_columns(definition: PortfolioDefinition) -> dict[str, str]:
    """Return each column that the portfolio names, with the place in its file that names it."""
    uses = {definition.key: "key"}
    if definition.target is not None:
        uses[definition.target] = "target"
    if definition.as_of is not None:
        uses[definition.as_of] = "as_of"
    if definition.moment is not None:
        uses.setdefault(definition.moment, "moment")
    uses |= {one.name: f"fields.{one.name}" for one in definition.fields}
    return uses | {column: f"history.{one.name}" for one in definition.histories for column in one.columns}


def _missing_texts(definition: PortfolioDefinition) -> dict[str, frozenset[str]]:
    codes = {one.name: one.missing_codes for one in definition.fields}
    codes |= {column: one.missing_codes for one in definition.histories for column in one.columns}
    return {name: frozenset(code for code in some if isinstance(code, str)) for name, some in codes.items()}


def _check_types(source: ParquetSource, definition: PortfolioDefinition) -> KeyType:
    kinds = {name: source.schema.field(name).type for name in _needed_columns(definition) if name in source.names}
    kinds = {name: one.value_type if arrow_types.is_dictionary(one) else one for name, one in kinds.items()}
    for name, kind in kinds.items():
        is_plain = is_text(kind) or is_number(kind) or arrow_types.is_null(kind)
        needs_number = name == definition.target or definition.column_kinds.get(name) is FieldKind.NUMERIC
        is_time = arrow_types.is_date(kind) or arrow_types.is_timestamp(kind)
        is_key = name == definition.key and isinstance(kind, pa.UuidType)
        if not is_plain and not is_key and (needs_number or not is_time):
            expected = "numbers" if needs_number else "texts or numbers"
            raise DataFileError(source.where, f"the column {name} holds {kind}; expected {expected}")
    return key_type_of(kinds[definition.key], definition.key, source.where)


def key_type_of(kind: pa.DataType, key: str, where: str) -> KeyType:
    """Return the type of keys that a column of Parquet holds. Raises `DataFileError`."""
    if is_number(kind) and not arrow_types.is_boolean(kind):
        return "integer"
    if is_text(kind) or isinstance(kind, pa.UuidType):
        return "text"
    raise DataFileError(where, f"the key column {key} holds {kind}; expected integers, texts or UUIDs")


def scan_keys(source: CsvSource | JsonLinesSource, key: str) -> tuple[KeyType, int]:
    """Read the file through once; return the type of its keys and its number of rows."""
    rows, all_integers = 0, True
    for batch in source.batches([key]):
        rows += batch.num_rows
        matches = pc.match_substring_regex(clean_keys(batch.column(key)), INTEGER_KEY)
        all_integers = all_integers and pc.all(matches, min_count=0).as_py()
    return ("integer" if all_integers else "text"), rows


def cut_batches(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """Yield tables of `rows` rows; the last one has the rest."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        if waiting and sum(one.nbytes for one in [*waiting, batch]) > _CUT_BYTES:  # long texts: fewer at a time
            yield pa.Table.from_batches(waiting)
            waiting = []
        waiting.append(batch)
        while sum(one.num_rows for one in waiting) >= rows:
            table = pa.Table.from_batches(waiting)
            yield table.slice(0, rows)
            waiting = table.slice(rows).to_batches()
    if sum(one.num_rows for one in waiting):
        yield pa.Table.from_batches(waiting)


def _write_unreadable(unreadable: dict[int, dict[str, str]], rows: int) -> npt.NDArray[np.object_]:
    column = np.full(rows, None, dtype=object)
    for at, texts in unreadable.items():
        column[at] = json.dumps(texts, ensure_ascii=False)
    return column
