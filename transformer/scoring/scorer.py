"""Scores frames of records with one model, batch by batch, with the compiled forms of its network's layers."""

from collections.abc import Callable
from dataclasses import dataclass
from logging import getLogger

import numpy as np
import pandas as pd
import tensorflow as tf
from numpy.typing import NDArray

from transformer.bundles.bundle import LoadedModel
from transformer.bundles.calibration import PROBABILITY_DECIMALS
from transformer.bundles.reference import ModelReference
from transformer.bundles.trained_model import TrainedModel
from transformer.network.compiled_network import CompiledNetwork
from transformer.network.keras_prediction import pad_rows
from transformer.reasons.explainer import REASONS, Explainer, choose_reasons, flatten_batch
from transformer.reasons.reason_scorer import CompiledReasons
from transformer.records.column_reading import Problem, RecordArrays, read_columns
from transformer.records.features import FeatureTransform, Inputs
from transformer.records.schema import RecordSchema

BATCH_ROWS = 2048

logger = getLogger(__name__)

__all__ = ["BATCH_ROWS", "PROBABILITY_DECIMALS", "ScoredRecords", "Scorer"]


@dataclass(frozen=True)
class ScoredRecords:
    """`rows` are the positions in the frame of the records with a score; every other row has a problem.

    `reasons` (N, 4) are positions among the scorer's `reason_codes`, strongest first, -1 for none; `arrays` are the
    columns of the records with a score, as they were read.
    """

    rows: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    problems: list[Problem]
    arrays: RecordArrays
    reasons: NDArray[np.int16] | None = None


class Scorer:
    """A model that is ready to score: nothing is ever traced or compiled again.

    A record's score does not depend on its neighbours, on the order, or on how the records were cut into frames.
    """

    def __init__(
        self,
        model: LoadedModel | TrainedModel,
        version: str,
        *,
        batch_rows: int = BATCH_ROWS,
        explainer: Explainer | None = None,
    ) -> None:
        self.version = version
        self.trace_count = 0
        self.reason_codes = () if explainer is None else explainer.codes
        self._model = model
        self._batch_rows = batch_rows
        self._compiled = CompiledNetwork.of(model.network, model.transform)
        if self._compiled.by_tensorflow:
            names = ", ".join(self._compiled.by_tensorflow)
            logger.warning("TensorFlow computes layers of %s that have no compiled form: %s.", version, names)
        if explainer is not None:
            width = self._compiled.summary_width
            self._head = explainer.build_head(width)
            self._compiled_reasons = CompiledReasons.of(self._head, width)
            if self._compiled_reasons is None:
                logger.warning(
                    "The reasons' head of %s has an unknown structure, so TensorFlow computes reasons.", version
                )
            self._told = tf.function(self._reasons_of)
        self.warm_up()

    @property
    def schema(self) -> RecordSchema:
        """The columns that it reads."""
        return self._model.schema

    @property
    def transform(self) -> FeatureTransform:
        """What it makes of a record's values."""
        return self._model.transform

    @property
    def is_compiled(self) -> bool:
        """Whether every layer of the network has a compiled form."""
        return not self._compiled.by_tensorflow

    @property
    def reference(self) -> ModelReference | None:
        """What the model is watched by; None if it was never saved, or by an older release."""
        return self._model.reference if isinstance(self._model, LoadedModel) else None

    def warm_up(self) -> None:
        """Trace or load the function, so that the first record is as quick as the last."""
        blank = pd.DataFrame({name: [None] for name in self.schema.columns}, dtype="object")
        self.score(blank)

    def score(
        self, frame: pd.DataFrame, on_batch: Callable[[], None] | None = None, *, with_reasons: bool = True
    ) -> ScoredRecords:
        """Score the rows of a frame that can be read; `on_batch` is called after every batch.

        Reasons come with the scores where the scorer has an explainer; they change no score. Raises `SchemaError` for a
        missing column.
        """
        arrays, problems = read_columns(frame, self.schema)
        first = {one.row: one for one in reversed(problems)}
        accepted = np.ones(len(frame), dtype=bool)
        accepted[list(first)] = False
        rows = np.flatnonzero(accepted)
        readable = arrays.take(rows) if first else arrays
        inputs = self._model.transform.transform(readable)
        reasons = np.empty((len(rows), REASONS), dtype=np.int16) if with_reasons and self.reason_codes else None
        logits = self._run(inputs, reasons, len(rows), on_batch or (lambda: None))
        problems = [first[row] for row in sorted(first)]
        return ScoredRecords(rows, self._model.calibration.probabilities(logits), problems, readable, reasons)

    def _run(
        self, inputs: Inputs, reasons: NDArray[np.int16] | None, rows: int, on_batch: Callable[[], None]
    ) -> NDArray[np.float64]:
        """Return the logits of all rows, and fill in the reasons where they are wanted."""
        logits = np.empty(rows, dtype=np.float64)
        for start in range(0, rows, self._batch_rows):
            stop = min(start + self._batch_rows, rows)
            batch = {name: values[start:stop] for name, values in inputs.items()}
            logits[start:stop], codes = self._score_batch(batch, stop - start, with_reasons=reasons is not None)
            if reasons is not None and codes is not None:
                reasons[start:stop] = codes
            on_batch()
        return logits

    def _score_batch(
        self, batch: Inputs, rows: int, *, with_reasons: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.int16] | None]:
        """Return logits and, where they are wanted, reasons; what TensorFlow computes has one batch shape."""
        logits, representation = self._compiled.run(batch, with_summary=with_reasons)
        if not with_reasons:
            return logits, None
        if self._compiled_reasons is not None:
            return logits, self._compiled_reasons.run(batch, representation)
        codes = self._told(self._pad(batch), pad_rows(representation, self._batch_rows))
        return logits, codes.numpy()[:rows]

    def _pad(self, batch: Inputs) -> Inputs:
        return {name: pad_rows(values, self._batch_rows) for name, values in batch.items()}

    def _reasons_of(self, batch: dict[str, tf.Tensor], representation: tf.Tensor) -> tf.Tensor:
        self.trace_count += 1
        return tf.cast(choose_reasons(self._head(flatten_batch(batch), representation)), tf.int16)
