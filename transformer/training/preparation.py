"""From a book to what a network learns from: which rows, on which side, as which numbers, and a report of it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from transformer.errors import TrainingDataError
from transformer.fitting.examples import Examples, StoredExamples
from transformer.records.column_reading import BLANK, FIRST_CODE, Kinds, RecordArrays, read_columns
from transformer.records.features import BINS, MISSING_ID, UNKNOWN_ID, FeatureTransform, Inputs
from transformer.records.labelled_book import Book
from transformer.records.learning_folds import LearningFolds
from transformer.records.record_store import chunks_of, rows_at_once
from transformer.records.schema import RecordSchema
from transformer.records.splitting import Indices, Labelled, Parts, split_beside, split_labelled

MINIMUM_LABELLED = 50
MINIMUM_PER_CLASS = 10
_LOAD_MORE = "load more records whose target is known"
MOST_VALID_ROWS = 50_000  # more say nothing that these do not, and every epoch looks at them
MOST_FITTED_ROWS = 200_000  # for edges and names
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
    folds: LearningFolds
    counts: dict[str, int]
    report: Document

    def examples(self, rows: Indices, *, class_weights: bool = False) -> Examples:
        """Return some rows in memory; with `class_weights` both outcomes weigh the same."""
        source = self.source(rows, class_weights=class_weights)
        inputs = {name: values[rows] for name, values in self.inputs.items()}
        return Examples(inputs, source.target, source.weight, self.folds.take(rows))

    def source(self, rows: Indices, *, class_weights: bool = False) -> StoredExamples:
        """Return some rows where they lie, in memory or in a file."""
        target = self.target[rows]
        return StoredExamples(self.inputs, rows, target, balance(target) if class_weights else None)


@dataclass(frozen=True)
class PreparationOptions:
    """Shares of the labelled rows; the bins of a number, or a transform that is given: then nothing is learnt."""

    valid_share: float
    holdout_share: float
    bins: int = BINS
    transform: FeatureTransform | None = None


def prepare(book: Book, schema: RecordSchema, options: PreparationOptions) -> Prepared:
    """Read, split and transform, a chunk at a time; edges and names are learnt from training rows.

    Raises `TrainingDataError` where there is too little to learn from.
    """
    unreadable, hashes = _look_through(book, schema)
    rows = _labelled_rows(book, unreadable)
    parts = _split(book, rows, min(options.valid_share, MOST_VALID_ROWS / len(rows)), options.holdout_share)
    copies = rows[pd.Series(hashes[rows] ^ book.target[rows].astype(np.uint64)).duplicated().to_numpy()]
    left_out = np.zeros(0, dtype=np.int64) if len(copies) > COARSE_SHARE * len(rows) else copies
    kept = Parts(np.setdiff1d(parts.train, left_out), np.setdiff1d(parts.valid, left_out), parts.holdout)
    unlabelled = np.setdiff1d(np.flatnonzero(np.isnan(book.target)), unreadable)
    # With few outcomes the records that pretraining learns from say better where values lie.
    learnt = kept.train if len(unlabelled) <= len(rows) else np.union1d(kept.train, unlabelled)
    fitted = options.transform or _fit_transform(book, schema, learnt, options.bins)
    inputs, fields = _transform(book, fitted)
    folds = _deal_folds(book, rows)
    counts = {
        "rows": len(book.records),
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
        "fitted_on": _tell_fitted(options.transform, kept.train, learnt),
        "fitted_on_rows": min(len(learnt), rows_at_once(len(schema.columns), most=MOST_FITTED_ROWS)),
        "fields": fields,
    }
    return Prepared(fitted, inputs, book.target, kept, unlabelled, folds, counts, report)


def find_learning_rows(book: Book, schema: RecordSchema, options: PreparationOptions) -> Indices:
    """Return the labelled rows that `prepare` holds out of nothing: those of training and validation together.

    Raises `TrainingDataError` as `prepare` does.
    """
    unreadable: set[int] = set()
    for place, frame in chunks_of(book.records, schema.columns) if schema.columns else ():
        unreadable |= {place.start + one.row for one in read_columns(frame, schema)[1]}
    rows = _labelled_rows(book, np.array(sorted(unreadable), dtype=np.int64))
    parts = _split(book, rows, min(options.valid_share, MOST_VALID_ROWS / len(rows)), options.holdout_share)
    return np.sort(np.concatenate([parts.train, parts.valid]))


def _look_through(book: Book, schema: RecordSchema) -> tuple[Indices, NDArray[np.uint64]]:
    """Return the rows that cannot be read, and a hash of what was read of every row."""
    unreadable: list[int] = []
    hashes = np.zeros(len(book.records), dtype=np.uint64)
    for place, frame in chunks_of(book.records, schema.columns):
        arrays, problems = read_columns(frame, schema)
        unreadable.extend({place.start + one.row for one in problems})
        columns = {("number", name): values for name, values in arrays.numeric.items()}
        columns |= {("kind", name): values for name, values in arrays.kinds.items()}
        columns |= {("name", name): values for name, values in arrays.categorical.items()}
        hashes[place] = pd.util.hash_pandas_object(pd.DataFrame(columns), index=False).to_numpy()
    return np.unique(np.array(unreadable, dtype=np.int64)), hashes


def _fit_transform(book: Book, schema: RecordSchema, learnt: Indices, bins: int) -> FeatureTransform:
    most = rows_at_once(len(schema.columns), most=MOST_FITTED_ROWS)
    if len(learnt) > most:
        learnt = np.sort(np.random.default_rng(0).permutation(learnt)[:most])
    arrays, _ = read_columns(book.records.take(learnt, schema.columns), schema)
    return FeatureTransform.fit(arrays, schema, bins=bins)


def _transform(book: Book, transform: FeatureTransform) -> tuple[Inputs, Document]:
    """Return the network's inputs of all rows, and the report of the fields."""
    inputs: Inputs = {}
    fields: Document = {}
    for place, frame in chunks_of(book.records, transform.schema.columns):
        arrays, _ = read_columns(frame, transform.schema)
        own = transform.transform(arrays)
        if not inputs:
            shapes = {name: (len(book.records), *values.shape[1:]) for name, values in own.items()}
            inputs = {name: book.records.allocate(shapes[name], values.dtype) for name, values in own.items()}
        for name, values in own.items():
            inputs[name][place] = values
        fields = _add(fields, _report_fields(arrays, own, transform))
    return inputs, fields


def _add(one: Document, other: Document) -> Document:
    """Return the sums of two reports' counts; sizes and kinds are the same in both."""
    if not one:
        return other
    summed: Document = {}
    for name, value in one.items():
        if isinstance(value, dict):
            summed[name] = _add(value, other[name]) if value else value
        else:
            summed[name] = value if isinstance(value, str) or name in ("bins", "names") else value + other[name]
    return summed


def _tell_fitted(given: FeatureTransform | None, train: Indices, learnt: Indices) -> str:
    if given is not None:
        return "the parent model's training rows"
    return "the training rows" if len(learnt) == len(train) else "the training rows and those without an outcome"


def _deal_folds(book: Book, rows: Indices) -> LearningFolds:
    """Return the fold of every row of the book; those without an outcome are in the first."""
    dealt = LearningFolds.deal(_labelled(book, rows))
    ids = np.zeros(len(book.records), np.int64)
    ids[rows] = dealt.ids
    return LearningFolds(ids, dealt.in_order)


def _split(book: Book, rows: Indices, valid_share: float, holdout_share: float) -> Parts:
    labelled = _labelled(book, rows)
    if book.holdout is not None:
        return split_beside(labelled, book.holdout[rows], valid_share=valid_share)
    return split_labelled(labelled, valid_share=valid_share, holdout_share=holdout_share)


def _labelled(book: Book, rows: Indices) -> Labelled:
    as_of = None if book.as_of is None else book.as_of[rows]
    entity = None if book.entity is None else book.entity[rows]
    return Labelled(rows, book.target[rows], book.keys[rows], as_of, entity)


def balance(target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return weights with mean 1 under which both outcomes weigh the same."""
    share = float(np.clip(target.mean(), 1e-6, 1 - 1e-6))
    return np.where(target == 1, 0.5 / share, 0.5 / (1 - share))


def _labelled_rows(book: Book, unreadable: Indices) -> Indices:
    target = book.target
    is_usable = np.isin(target, (0.0, 1.0))
    is_usable[unreadable] = False
    rows = np.flatnonzero(is_usable)
    bad, good = int((target[rows] == 1).sum()), int((target[rows] == 0).sum())
    if len(rows) < MINIMUM_LABELLED or min(bad, good) < MINIMUM_PER_CLASS:
        raise TrainingDataError(
            f"expected at least {MINIMUM_LABELLED} labelled records with {MINIMUM_PER_CLASS} of each outcome, "
            f"got {len(rows)} with {bad} bad and {good} good" + (f"; {book.left_out}" if book.left_out else ""),
            "mend these columns, load the records again and train again" if book.left_out else _LOAD_MORE,
        )
    return rows


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
