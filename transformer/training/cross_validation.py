"""K-fold cross-validation: how good a training of this kind is, on records that each fold's network has not seen.

With `as_of` the dates are cut into K + 1 stretches and each one after the first is scored by what was known before it.
Else records are dealt into K folds by a hash of their key; those of one entity stay together, by a hash of the entity.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transformer.evaluation.figures import evaluate
from transformer.evaluation.intervals import FIGURES, evaluate_with_intervals
from transformer.records.labelled_book import Book
from transformer.records.schema import RecordSchema
from transformer.records.splitting import hash_order
from transformer.training.model_training import TrainingOptions, train_model

NEVER = -1  # the fold of a record that is learnt from alone

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Folds:
    """The fold of each of N records, and how they were cut."""

    ids: Ids
    count: int
    by: str


def cut_book(book: Book, count: int) -> Folds:
    """Cut the records into folds; those of an earlier stretch of time than the first fold have `NEVER`."""
    if book.as_of is not None:
        dates, places = np.unique(np.array([str(value) for value in book.as_of]), return_inverse=True)
        later = np.cumsum(np.bincount(places, minlength=len(dates))) - 1
        stretch = (later * (count + 1) // len(places)).astype(np.int64)  # whole dates: none stands on both sides
        return Folds(stretch[places] - 1, count, "by time: each is scored by what was known before it")
    by = "by a hash of the key" if book.entity is None else "records of one entity together"
    return Folds((hash_order(book.groups) * count).astype(np.int64), count, by)


def cross_validate(
    book: Book,
    schema: RecordSchema,
    folds: Folds,
    *,
    options: TrainingOptions,
    on_fold: Callable[[int], None] = lambda _done: None,
    on_batch: Callable[[], None],
) -> dict[str, Any]:
    """Train once a fold and return the figures: of each fold, their mean, and the interval over all records together.

    A time limit is shared among the folds. Raises `TrainingDataError` where a fold leaves too little to learn from.
    """
    limit = options.time_limit_minutes
    options = replace(options, time_limit_minutes=None if limit is None else limit / folds.count)
    targets: list[NDArray[np.float64]] = []
    told: list[NDArray[np.float64]] = []
    for fold in np.unique(folds.ids[folds.ids != NEVER]).tolist():
        is_tested = (folds.ids == fold) & np.isin(book.target, (0.0, 1.0))
        is_future = folds.ids > fold if book.as_of is not None else np.zeros(len(is_tested), dtype=bool)
        known = replace(book, target=np.where(is_future, np.nan, book.target), holdout=is_tested, as_of=None)
        model = train_model(known, schema, options=options, on_batch=on_batch)
        targets.append(book.target[np.flatnonzero(np.isin(book.keys, model.holdout_keys))])
        told.append(model.reference_probabilities)
        on_fold(len(told))
    each = [evaluate(target, probability) for target, probability in zip(targets, told, strict=True)]
    whole = evaluate_with_intervals(np.concatenate(targets), np.concatenate(told))
    figures = {
        name: _together([one[name] for one in each if name in one], whole[name]) for name in FIGURES if name in whole
    }
    return {"folds": len(each), "by": folds.by, "records": [len(one) for one in targets], "figures": figures}


def _together(values: list[float], whole: Any) -> dict[str, Any]:
    return {"mean": float(np.mean(values)), "low": whole.low, "high": whole.high, "values": values}
