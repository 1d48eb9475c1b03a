"""Reads the whole book of a portfolio to learn from: every record once, with what is known of its outcome."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from db.definition import PortfolioDefinition
from db.sources import RECORD_KEY, UNREADABLE, read_all
from transformer.errors import TrainingDataError
from transformer.training import Book
from worker.context import WorkerContext
from worker.heartbeat import Heartbeat
from worker.outcome_labels import Labels, join_outcomes


def read_book(context: WorkerContext, definition: PortfolioDefinition, heartbeat: Heartbeat) -> tuple[Book, Labels]:
    """Return the book of a portfolio that names a target. Raises `TrainingDataError`."""
    if definition.target is None:
        raise TrainingDataError(f"the portfolio {definition.name} names no target to learn", "add: target = COLUMN")
    whole, labels = read_labelled(context, definition, definition.input_columns, heartbeat)
    as_of = None if definition.as_of is None else whole[definition.as_of].to_numpy()
    keys = whole[RECORD_KEY].to_numpy(dtype=object)
    entity = read_entity(whole, definition)
    return Book(whole[list(definition.input_columns)], labels.target, keys, as_of, entity=entity), labels


def read_entity(records: pd.DataFrame, definition: PortfolioDefinition) -> NDArray[np.object_] | None:
    """Return whose record each is, where the portfolio says so; a record of nobody stands for itself."""
    if definition.entity is None:
        return None
    named = records[definition.entity].astype("object")
    return named.where(named.notna(), records[RECORD_KEY]).to_numpy(dtype=object)


def read_labelled(
    context: WorkerContext, definition: PortfolioDefinition, columns: tuple[str, ...], heartbeat: Heartbeat
) -> tuple[pd.DataFrame, Labels]:
    """Return every record that has a key, of those with the same key the first, and their outcomes, row by row.

    Records with text in place of a number are left out: they could not be scored either. Raises `TrainingDataError`.
    """
    own = tuple(name for name in (definition.target, definition.as_of, definition.entity) if name is not None)
    wanted, source = tuple(dict.fromkeys((*columns, *own))), definition.learning_source
    frames: list[pd.DataFrame] = []
    for frame in read_all(context.engine, source, definition.key, wanted):
        frames.append(frame)
        heartbeat()
    if not frames:
        raise TrainingDataError(f"the source {source} holds no records", "load some: tidemark load")
    whole = pd.concat(frames, ignore_index=True)
    whole = whole[~whole[RECORD_KEY].duplicated() & whole[UNREADABLE].isna()].reset_index(drop=True)
    target = np.full(len(whole), np.nan) if definition.target is None else read_target(whole[definition.target])
    return whole, join_outcomes(context.engine, definition, whole, target)


def read_target(column: pd.Series) -> NDArray[np.float64]:
    """Return 1.0, 0.0 or NaN (not known) for each record. Raises `TrainingDataError` for anything else."""
    empty = column.isna() | column.astype("str").str.strip().eq("")
    target = pd.to_numeric(column.where(~empty), errors="coerce").to_numpy(dtype=np.float64)
    is_wrong = ~empty.to_numpy() & ~np.isin(target, (0.0, 1.0))
    if is_wrong.any():
        example = str(column.iloc[int(np.flatnonzero(is_wrong)[0])])[:40]
        raise TrainingDataError(
            f"the target {column.name} must be 1 (the bad event), 0 or empty; "
            f"{int(is_wrong.sum())} records hold something else, such as {example!r}",
            "correct those records, or name another target column",
        )
    return target
