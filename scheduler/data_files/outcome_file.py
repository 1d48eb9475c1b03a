"""Loads a file of outcomes: key, outcome, and the date when it became known."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa

from db.connections.engine import Engine
from db.portfolios.catalog import get_portfolio
from db.portfolios.definition import PortfolioDefinition
from db.retraining.outcomes import OutcomeLoad, load_outcomes
from scheduler.data_files.column_cleaning import clean_keys, flatten, read_times, read_truths
from scheduler.data_files.errors import DataFileError, MissingColumnError
from scheduler.data_files.parquet_source import ParquetSource
from scheduler.data_files.source import open_source

DATE_COLUMN = "outcome_date"
OUTCOME_COLUMN = "outcome"

Row = tuple[str, int, str]


@dataclass(frozen=True)
class OutcomeColumns:
    """Columns of a file of outcomes; without `outcome` it is "outcome", else the portfolio's target."""

    outcome: str | None = None
    day: str = DATE_COLUMN


def load_outcome_file(
    engine: Engine,
    name: str,
    path: Path,
    *,
    who: str,
    columns: OutcomeColumns | None = None,
    scoring_job: int | None = None,
) -> OutcomeLoad:
    """Load a CSV, JSON lines or Parquet file; loading the same file again changes nothing.

    The key column is the portfolio's. Rows without an outcome are left out. Raises `DataFileError` for anything
    ambiguous.
    """
    definition = get_portfolio(engine, name).definition
    rows = read_outcome_rows(path, definition, columns or OutcomeColumns())
    return load_outcomes(engine, name, rows, who=who, scoring_job=scoring_job)


def read_outcome_rows(path: Path, definition: PortfolioDefinition, columns: OutcomeColumns) -> list[Row]:
    """Return key, outcome and day of each row that has an outcome, each (key, day) once."""
    candidates = [one for one in (columns.outcome, OUTCOME_COLUMN, definition.target) if one is not None]
    source = open_source(path, (definition.key, columns.day, *candidates))
    outcome = next((one for one in candidates if one in source.names), candidates[0])
    uses = {definition.key: "key", outcome: "the outcome", columns.day: "the date it became known"}
    if len(uses) < 3:
        raise DataFileError(source.where, "expected three columns: the key, the outcome, and the date it became known")
    absent = {column: use for column, use in uses.items() if column not in source.names}
    if absent:
        raise MissingColumnError(source.where, absent, source.names)
    if isinstance(source, ParquetSource):
        source.require_size(list(uses))
    found: dict[tuple[str, str], int] = {}
    first = 1
    for batch in source.batches(list(uses)):
        table = pa.Table.from_batches([batch])
        for row, (key, value, day) in enumerate(_rows_of(table, source.where, tuple(uses), first), start=first):
            if found.setdefault((key, day), value) != value:
                raise DataFileError(source.where, f"record {row}: two different outcomes of the same key and day {day}")
        first += table.num_rows
    return [(key, value, day) for (key, day), value in found.items()]


def _rows_of(table: pa.Table, where: str, columns: tuple[str, ...], first: int) -> Iterator[Row]:
    key, outcome, day = columns
    keys = clean_keys(flatten(table.column(key))).to_pylist()
    truths = read_truths(flatten(table.column(outcome)))
    days = read_times(flatten(table.column(day)))
    for at in range(table.num_rows):
        value = truths.values[at]
        if at not in truths.unreadable and np.isnan(value):
            continue
        if at in truths.unreadable or value not in (0, 1):
            got = truths.unreadable.get(at, f"{value:g}")
            raise DataFileError(where, f"record {first + at}: {outcome} is {got!r}; expected 0, 1 or an empty value")
        if keys[at] is None:
            raise DataFileError(where, f"record {first + at}: it has an outcome but no {key}")
        yield str(keys[at]), int(value), _read_day(days[at], where, first + at, day)


def _read_day(text: str | None, where: str, row: int, column: str) -> str:
    try:
        return date.fromisoformat((text or "")[:10]).isoformat()
    except ValueError as error:
        message = f"record {row}: {column} is {text!r}; expected a day such as 2026-01-31"
        raise DataFileError(where, message) from error
