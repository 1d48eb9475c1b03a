"""Scores frames of records with one model, in batches of one fixed shape."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import tensorflow as tf
from numpy.typing import NDArray

from transformer.bundle import LoadedModel
from transformer.explanation import REASONS, Explainer, choose_reasons, flatten_batch, open_network
from transformer.features import Inputs, Problem, read_columns
from transformer.prediction import pad_rows
from transformer.probabilities import PROBABILITY_DECIMALS
from transformer.schema import RecordSchema
from transformer.training import TrainedModel

BATCH_ROWS = 1024

__all__ = ["BATCH_ROWS", "PROBABILITY_DECIMALS", "ScoredRecords", "Scorer"]


@dataclass(frozen=True)
class ScoredRecords:
    """`rows` are the positions in the frame of the records with a score; every other row has a problem.

    `reasons` (N, 4) are positions among the scorer's `reason_codes`, strongest first, -1 for none.
    """

    rows: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    problems: list[Problem]
    reasons: NDArray[np.int16] | None = None


class Scorer:
    """A model that is ready to score. One traced function and one batch shape: nothing is ever traced again.

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
        self._logits = tf.function(self._mean_logits)
        if explainer is not None:
            self._opened = open_network(model.network)
            self._head = explainer.build_head(self._opened.output_shape[1][-1])
            self._explained = tf.function(self._logits_and_reasons)
        self.warm_up()

    @property
    def schema(self) -> RecordSchema:
        """The columns that it reads."""
        return self._model.schema

    def warm_up(self) -> None:
        """Trace the function, so that the first record is as quick as the last."""
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
        inputs = self._model.transform.transform(arrays.take(rows) if first else arrays)
        reasons = np.empty((len(rows), REASONS), dtype=np.int16) if with_reasons and self.reason_codes else None
        logits = self._run(inputs, reasons, len(rows), on_batch or (lambda: None))
        told = [first[row] for row in sorted(first)]
        return ScoredRecords(rows, self._model.calibration.probabilities(logits), told, reasons)

    def _run(
        self, inputs: Inputs, reasons: NDArray[np.int16] | None, rows: int, on_batch: Callable[[], None]
    ) -> NDArray[np.float64]:
        """Return the logits of all rows, and fill in the reasons where they are wanted."""
        logits = np.empty(rows, dtype=np.float64)
        for start in range(0, rows, self._batch_rows):
            stop = min(start + self._batch_rows, rows)
            batch = {name: pad_rows(values[start:stop], self._batch_rows) for name, values in inputs.items()}
            if reasons is None:
                logits[start:stop] = self._logits(batch).numpy()[: stop - start]
            else:
                scored, told = self._explained(batch)
                logits[start:stop], reasons[start:stop] = scored.numpy()[: stop - start], told.numpy()[: stop - start]
            on_batch()
        return logits

    def _mean_logits(self, batch: dict[str, tf.Tensor]) -> tf.Tensor:
        self.trace_count += 1  # Python runs here only while tracing
        return tf.reduce_mean(self._model.network(batch, training=False), axis=1)

    def _logits_and_reasons(self, batch: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        self.trace_count += 1
        logits, representation = self._opened(batch, training=False)
        effects = self._head(flatten_batch(batch), representation)
        return tf.reduce_mean(logits, axis=1), tf.cast(choose_reasons(effects), tf.int16)
