"""Trains a network on the labelled records of a book: split, fit, stop early, calibrate, evaluate."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from time import perf_counter
from typing import Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from transformer.errors import TrainingDataError
from transformer.evaluation import evaluate, fit_line
from transformer.features import FeatureTransform, Inputs, read_columns
from transformer.fitting import EpochReport, Examples, FittingOptions, fit_network, predict_logits
from transformer.network import NetworkOptions, build_network
from transformer.probabilities import Calibration
from transformer.schema import RecordSchema
from transformer.splitting import Indices, Parts, split_labelled

MINIMUM_LABELLED = 50
MINIMUM_PER_CLASS = 10

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Book:
    """The N records to learn from: one row each in all four.

    `target` is 1.0 for the bad event, 0.0, or NaN where not known; `as_of` is what orders the records in time.
    """

    frame: pd.DataFrame
    target: Floats
    keys: NDArray[np.object_]
    as_of: NDArray[np.object_] | None = None


@dataclass(frozen=True)
class TrainingOptions:
    """What a user may set. Shares are of the labelled records; without `epochs` the size of the book decides."""

    seed: int = 7
    epochs: int | None = None
    valid_share: float = 0.12
    holdout_share: float = 0.15
    network: NetworkOptions = field(default_factory=NetworkOptions)


@dataclass(frozen=True)
class TrainedModel:
    """A network with everything that scoring and the registry need. `metrics` are of the held-out part."""

    network: keras.Model
    network_options: NetworkOptions
    transform: FeatureTransform
    calibration: Calibration
    metrics: dict[str, float]
    counts: dict[str, int]
    holdout_keys: NDArray[np.object_]
    reference_probabilities: Floats
    epochs_run: int
    seconds: float

    @property
    def schema(self) -> RecordSchema:
        """The columns it reads."""
        return self.transform.schema


def train_model(
    book: Book,
    schema: RecordSchema,
    *,
    options: TrainingOptions | None = None,
    on_epoch: Callable[[EpochReport], None] | None = None,
    on_batch: Callable[[], None] | None = None,
) -> TrainedModel:
    """Train on the labelled records of a book.

    Records that cannot be read are left out and counted. The same records, options and machine give the same model.
    `on_batch` is called every few batches. Raises `TrainingDataError` where there is too little to learn from.
    """
    options = options or TrainingOptions()
    started = perf_counter()
    keras.utils.set_random_seed(options.seed)
    arrays, problems = read_columns(book.frame, schema)
    target, keys, as_of = book.target, book.keys, book.as_of
    unreadable = np.unique(np.array([one.row for one in problems], dtype=np.int64))
    rows = _labelled_rows(target, unreadable)
    parts = split_labelled(
        rows,
        target[rows],
        keys[rows],
        as_of=None if as_of is None else as_of[rows],
        valid_share=options.valid_share,
        holdout_share=options.holdout_share,
    )
    transform = FeatureTransform.fit(arrays, schema, parts.train)
    inputs = transform.transform(arrays)
    network = build_network(transform, options.network)
    beat = on_batch or (lambda: None)
    fitted = fit_network(
        network,
        Examples(_take(inputs, parts.train), target[parts.train]),
        Examples(_take(inputs, parts.valid), target[parts.valid]),
        options=FittingOptions.for_rows(len(parts.train), epochs=options.epochs, seed=options.seed),
        on_epoch=on_epoch or (lambda _report: None),
        on_batch=beat,
    )
    calibration = calibrate(fitted.valid_logits, target[parts.valid])
    reference = calibration.probabilities(predict_logits(network, _take(inputs, parts.holdout), on_batch=beat))
    return TrainedModel(
        network=network,
        network_options=options.network,
        transform=transform,
        calibration=calibration,
        metrics=evaluate(target[parts.holdout], reference),
        counts=_count(len(book.frame), rows, parts, unreadable),
        holdout_keys=keys[parts.holdout],
        reference_probabilities=reference,
        epochs_run=fitted.epochs_run,
        seconds=perf_counter() - started,
    )


def calibrate(logits: Floats, target: Floats) -> Calibration:
    """Fit p = sigmoid(slope * logit + intercept) on validation rows; the order of scores is kept.

    Platt (1999), with his targets (n + 1) / (n + 2) and 1 / (n + 2) of each class instead of 1 and 0: on a few rows
    that the logits part without an error, the slope would otherwise grow without end.
    """
    bad, good = float((target == 1).sum()), float((target == 0).sum())
    softened = np.where(target == 1, (bad + 1) / (bad + 2), 1 / (good + 2))
    slope, intercept = fit_line(softened, logits)
    return Calibration(slope, intercept) if slope > 0 else Calibration(1.0, 0.0)


def _labelled_rows(target: Floats, unreadable: Indices) -> Indices:
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


def _take(inputs: Inputs, rows: Indices) -> Inputs:
    return {name: values[rows] for name, values in inputs.items()}


def _count(rows: int, labelled: Indices, parts: Parts, unreadable: Indices) -> dict[str, int]:
    return {
        "rows": rows,
        "labelled": len(labelled),
        "train": len(parts.train),
        "valid": len(parts.valid),
        "holdout": len(parts.holdout),
        "left_out_problems": len(unreadable),
    }


def options_document(model: TrainedModel) -> dict[str, Any]:
    """Return the network's sizes as a JSON document."""
    return asdict(model.network_options)
