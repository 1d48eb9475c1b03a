"""From a book to what a network learns from: which rows, on which side, as which numbers, and a report of it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from transformer.book import Book
from transformer.errors import TrainingDataError
from transformer.examples import Examples
from transformer.features import MISSING_ID, UNKNOWN_ID, FeatureTransform, Inputs
from transformer.reading import BLANK, FIRST_CODE, Kinds, RecordArrays, read_columns
from transformer.schema import RecordSchema
from transformer.splitting import Indices, Labelled, Parts, split_beside, split_labelled

MINIMUM_LABELLED = 50
MINIMUM_PER_CLASS = 10
COARSE_SHARE = 0.05  # with more equal records than this the fields are too coarse to call an equal record a copy

Document = dict[str, Any]


@dataclass(frozen=True)
class Prepared:
    """The book in the network's numbers. `unlabelled` are rows without an outcome, for pretraining.

    `report` is a JSON document: what was done to how many rows, for the bundle and the model card.
    """

    transform: FeatureTransform
    inputs: Inputs
    target: NDArray[np.float64]
    parts: Parts
    unlabelled: Indices
    counts: dict[str, int]
    report: Document

    def examples(self, rows: Indices, *, class_weights: bool = False) -> Examples:
        """Return some rows to learn from; with `class_weights` both outcomes weigh the same."""
        target = self.target[rows]
        weight = balance(target) if class_weights else None
        return Examples({name: values[rows] for name, values in self.inputs.items()}, target, weight)


def prepare(
    book: Book, schema: RecordSchema, *, valid_share: float, holdout_share: float, transform: FeatureTransform | None
) -> Prepared:
    """Read, split and transform; edges and names are learnt from training rows unless a `transform` is given.

    Raises `TrainingDataError` where there is too little to learn from.
    """
    arrays, problems = read_columns(book.frame, schema)
    unreadable = np.unique(np.array([one.row for one in problems], dtype=np.int64))
    rows = _labelled_rows(book.target, unreadable)
    parts = _split(book, rows, valid_share, holdout_share)
    copies = _copies(book, schema, rows)
    left_out = np.zeros(0, dtype=np.int64) if len(copies) > COARSE_SHARE * len(rows) else copies
    kept = Parts(np.setdiff1d(parts.train, left_out), np.setdiff1d(parts.valid, left_out), parts.holdout)
    unlabelled = np.setdiff1d(np.flatnonzero(np.isnan(book.target)), unreadable)
    # With few outcomes the records that pretraining learns from say better where values lie.
    learnt = kept.train if len(unlabelled) <= len(rows) else np.union1d(kept.train, unlabelled)
    fitted = transform or FeatureTransform.fit(arrays, schema, learnt)
    inputs = fitted.transform(arrays)
    counts = {
        "rows": len(book.frame),
        "labelled": len(rows),
        "train": len(kept.train),
        "valid": len(kept.valid),
        "holdout": len(kept.holdout),
        "left_out_problems": len(unreadable),
    }
    report = {
        **counts,
        "unlabelled": len(unlabelled),
        "equal_records": len(copies),
        "equal_records_left_out": len(left_out),
        "fitted_on": _tell_fitted(transform, kept.train, learnt),
        "fields": _report_fields(arrays, inputs, fitted),
    }
    return Prepared(fitted, inputs, book.target, kept, unlabelled, counts, report)


def _tell_fitted(given: FeatureTransform | None, train: Indices, learnt: Indices) -> str:
    if given is not None:
        return "the parent model's training rows"
    return "the training rows" if len(learnt) == len(train) else "the training rows and those without an outcome"


def _split(book: Book, rows: Indices, valid_share: float, holdout_share: float) -> Parts:
    as_of = None if book.as_of is None else book.as_of[rows]
    entity = None if book.entity is None else book.entity[rows]
    labelled = Labelled(rows, book.target[rows], book.keys[rows], as_of, entity)
    if book.holdout is not None:
        return split_beside(labelled, book.holdout[rows], valid_share=valid_share)
    return split_labelled(labelled, valid_share=valid_share, holdout_share=holdout_share)


def balance(target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return weights with mean 1 under which both outcomes weigh the same."""
    share = float(np.clip(target.mean(), 1e-6, 1 - 1e-6))
    return np.where(target == 1, 0.5 / share, 0.5 / (1 - share))


def _labelled_rows(target: NDArray[np.float64], unreadable: Indices) -> Indices:
    is_usable = np.isin(target, (0.0, 1.0))
    is_usable[unreadable] = False
    rows = np.flatnonzero(is_usable)
    bad, good = int((target[rows] == 1).sum()), int((target[rows] == 0).sum())
    if len(rows) < MINIMUM_LABELLED or min(bad, good) < MINIMUM_PER_CLASS:
        raise TrainingDataError(
            f"expected at least {MINIMUM_LABELLED} labelled records with {MINIMUM_PER_CLASS} of each outcome, "
            f"got {len(rows)} with {bad} bad and {good} good",
            "load more records whose target is known",
        )
    return rows


def _copies(book: Book, schema: RecordSchema, rows: Indices) -> Indices:
    """Return the labelled rows that equal an earlier one in every column and the outcome."""
    labelled = book.frame[list(schema.columns)].iloc[rows].astype("str")
    hashes = pd.util.hash_pandas_object(labelled, index=False).to_numpy() ^ book.target[rows].astype(np.uint64)
    return rows[pd.Series(hashes).duplicated().to_numpy()]


def _report_fields(arrays: RecordArrays, inputs: Inputs, transform: FeatureTransform) -> Document:
    """What was found and done, field by field; histories are counted over all their periods."""
    schema = transform.schema
    told: Document = {}
    columns = {one.name: (one, (one.name,)) for one in schema.fields}
    columns |= {one.name: (one, one.columns) for one in schema.histories}
    names = [one.name for one in schema.fields if one.kind == "categorical"]
    past_names = [one.name for one in schema.histories if one.kind == "categorical"]
    for name, (one, own) in columns.items():
        if one.kind == "numeric":
            told[name] = _report_number(arrays, own, one.missing_codes, transform.edges[name])
        else:
            ids = (
                inputs["categories"][:, names.index(name)]
                if name in names
                else inputs["history_categories"][:, :, past_names.index(name)]
            )
            told[name] = {
                "kind": "categorical",
                "names": len(transform.categories[name]),
                "missing": int((ids == MISSING_ID).sum()),
                "rare_or_unseen": int((ids == UNKNOWN_ID).sum()),
            }
    return told


def _report_number(
    arrays: RecordArrays, columns: tuple[str, ...], codes: tuple[float | str, ...], edges: NDArray[np.float64]
) -> Document:
    values = np.concatenate([arrays.numeric[column] for column in columns])
    kinds: Kinds = np.concatenate([arrays.kinds[column] for column in columns])
    return {
        "kind": "numeric",
        "bins": len(edges) - 1,
        "missing": int((kinds == BLANK).sum()),
        "codes": {str(code): int((kinds == number).sum()) for number, code in enumerate(codes, start=FIRST_CODE)},
        "below_first_edge": int((values < edges[0]).sum()),
        "above_last_edge": int((values > edges[-1]).sum()),
    }
