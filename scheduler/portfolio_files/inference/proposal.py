"""Proposes a portfolio file from a data file: a guess for every column, with its reason, for people to correct."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from scheduler.data_files.column_cleaning import flatten, read_truths
from scheduler.data_files.errors import DataFileError, MissingColumnError
from scheduler.data_files.parquet_source import ParquetSource
from scheduler.data_files.source import Source, open_source
from scheduler.portfolio_files.inference.column_profiles import ColumnProfile, Floats, Guess, profile_column
from scheduler.portfolio_files.inference.history_guessing import guess_histories
from scheduler.portfolio_files.inference.toml_writing import (
    SETTINGS,
    write_fields,
    write_history,
    write_roles,
    write_title,
    write_warnings,
)
from scheduler.portfolio_files.reader import parse_portfolio
from scheduler.portfolio_files.values import Problems, is_identifier
from worker.gate.foreknowledge import find_suspicions

_SAMPLE_ROWS = 50_000


def infer_portfolio(
    path: Path | str,
    *,
    name: str,
    key: str,
    target: str | None = None,
    as_of: str | None = None,
    source: str | None = None,
) -> str:
    """Return the text of a portfolio file for this data, one that `parse_portfolio` accepts.

    Raises `DataFileError` when the file cannot be read, lacks a named column or has a target other than 0, 1 and
    empty, and `PortfolioFileError` when no valid portfolio can be made of it (a wrong name, no usable column).
    """
    roles = {"key": key} | {role: one for role, one in (("target", target), ("as_of", as_of)) if one is not None}
    data = open_source(Path(path), tuple(roles.values()))
    absent = {column: role for role, column in roles.items() if column not in data.names}
    if absent:
        raise MissingColumnError(data.where, absent, data.names)
    sample = _read_sample(data)
    truths = None if target is None else _read_target(data.where, sample, target)
    profiles = _profile_columns(sample, tuple(roles.values()))
    histories = guess_histories(profiles, truths)
    warnings = [] if truths is None else _find_suspicions(sample, profiles, truths)
    blocks = [
        write_title(Path(path).name, sample.num_rows, data.count_rows()),
        *([write_warnings(warnings)] if warnings else []),
        write_roles(name, source or name, roles, sample, truths, profiles),
        SETTINGS,
        *write_fields(profiles, histories),
        *(write_history(one, {profile.name: profile for profile in profiles}) for one in histories.proposed),
    ]
    text = "\n".join(blocks)
    parse_portfolio(text, f"portfolio proposed from {data.where}")
    return text


def _read_sample(data: Source) -> pa.Table:
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


def _read_target(where: str, sample: pa.Table, target: str) -> Floats:
    truths = read_truths(flatten(sample.column(target)))
    is_strange = ~(np.isnan(truths.values) | np.isin(truths.values, (0.0, 1.0)))
    strange = sorted({*truths.unreadable.values(), *(f"{one:g}" for one in truths.values[is_strange])})
    if strange:
        listed = ", ".join(islice(strange, 3))
        raise DataFileError(
            where, f"the target {target} holds {listed}; expected 1 (the bad event), 0 or an empty value"
        )
    return truths.values


def _find_suspicions(sample: pa.Table, profiles: list[ColumnProfile], truths: Floats) -> list[str]:
    """Return suspicions about columns of the model that may be known only after the outcome."""
    used = [one for one in profiles if one.guess is not Guess.LEFT_OUT]
    columns = ((one.name, _values_of(sample, one)) for one in used)
    return [one.reason for one in find_suspicions(columns, truths)]


def _values_of(sample: pa.Table, profile: ColumnProfile) -> npt.NDArray[Any]:
    if profile.values is not None:
        return profile.values
    names = sample.column(profile.name).to_pylist()
    return np.array([None if one == "" else one for one in names], dtype=object)


def _profile_columns(sample: pa.Table, roles: Iterable[str]) -> list[ColumnProfile]:
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
