"""Proposes a portfolio file from a data file: a guess for every column, with its reason, for people to correct."""

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from scheduler.data_files.column_cleaning import clean_keys, flatten, read_truths
from scheduler.data_files.errors import DataFileError, MissingColumnError
from scheduler.data_files.source import Source, open_source
from scheduler.portfolio_files.inference.column_profiles import ColumnProfile, Floats, Guess
from scheduler.portfolio_files.inference.events_guessing import guess_events, guess_moment, looks_like_events
from scheduler.portfolio_files.inference.events_writing import write_events
from scheduler.portfolio_files.inference.history_guessing import guess_histories
from scheduler.portfolio_files.inference.sampling import profile_columns, read_sample
from scheduler.portfolio_files.inference.toml_writing import (
    SETTINGS,
    write_fields,
    write_history,
    write_roles,
    write_title,
    write_warnings,
)
from scheduler.portfolio_files.reader import parse_portfolio
from worker.gate.foreknowledge import find_suspicions


def infer_portfolio(
    path: Path | str,
    *,
    name: str,
    key: str,
    target: str | None = None,
    as_of: str | None = None,
    events: Mapping[str, Path] | None = None,
) -> str:
    """Return the text of a portfolio file for this data, one that `parse_portfolio` accepts.

    `events` are files of events by the name of their table. Raises `DataFileError` when a file cannot be read, lacks a
    named column or has a target other than 0, 1 and empty, and `PortfolioFileError` when no valid portfolio can be made
    of it (a wrong name, no usable column).
    """
    roles = {"key": key} | {role: one for role, one in (("target", target), ("as_of", as_of)) if one is not None}
    data = open_source(Path(path), tuple(roles.values()))
    absent = {column: role for role, column in roles.items() if column not in data.names}
    if absent:
        raise MissingColumnError(data.where, absent, data.names)
    sample = read_sample(data)
    truths = None if target is None else _read_target(data.where, sample, target)
    profiles = profile_columns(sample, tuple(roles.values()))
    tables = [guess_events(one, file, key, _read_keys(data, key)) for one, file in (events or {}).items()]
    moment = guess_moment(profiles, is_needed=target is not None and as_of is None) if tables else None
    told = roles if moment is None else roles | {"moment": moment}
    histories = guess_histories(profiles, truths)
    warnings = [] if truths is None else _find_suspicions(sample, profiles, truths)
    mistaken = None if tables else looks_like_events(sample, key, profiles)
    blocks = [
        write_title(Path(path).name, sample.num_rows, data.count_rows()),
        *([] if mistaken is None else [f"# WARNING: {mistaken}\n"]),
        *([write_warnings(warnings)] if warnings else []),
        write_roles(name, told, sample, truths, profiles),
        SETTINGS,
        *write_fields(profiles, histories),
        *(write_history(one, {profile.name: profile for profile in profiles}) for one in histories.proposed),
        *(write_events(one, key) for one in tables),
    ]
    text = "\n".join(blocks)
    parse_portfolio(text, f"portfolio proposed from {data.where}")
    return text


def _read_keys(data: Source, key: str) -> pa.Array:
    """Return the different keys of all records, as text."""
    parts = [clean_keys(flatten(pa.chunked_array([one.column(key)]))).cast(pa.string()) for one in data.batches([key])]
    return pa.chunked_array(parts, pa.string()).unique()


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
