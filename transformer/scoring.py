"""Scores frames of records with one model, in batches of one fixed shape."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import tensorflow as tf
from numpy.typing import NDArray

from transformer.bundle import LoadedModel
from transformer.features import Inputs, Problem, RecordArrays, read_columns
from transformer.fitting import pad_rows
from transformer.probabilities import PROBABILITY_DECIMALS
from transformer.reference import ModelReference
from transformer.schema import RecordSchema
from transformer.training import TrainedModel

BATCH_ROWS = 1024

__all__ = ["BATCH_ROWS", "PROBABILITY_DECIMALS", "ScoredRecords", "Scorer"]


@dataclass(frozen=True)
class ScoredRecords:
    """`rows` are the positions in the frame of the records with a score; every other row has a problem.

    `arrays` are the columns of the records with a score, as they were read.
    """

    rows: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    problems: list[Problem]
    arrays: RecordArrays


class Scorer:
    """A model that is ready to score. One traced function and one batch shape: nothing is ever traced again.

    A record's score does not depend on its neighbours, on the order, or on how the records were cut into frames.
    """

    def __init__(self, model: LoadedModel | TrainedModel, version: str, *, batch_rows: int = BATCH_ROWS) -> None:
        self.version = version
        self.trace_count = 0
        self._model = model
        self._batch_rows = batch_rows
        self._logits = tf.function(self._mean_logits)
        self.warm_up()

    @property
    def schema(self) -> RecordSchema:
        """The columns that it reads."""
        return self._model.schema

    @property
    def reference(self) -> ModelReference | None:
        """What the model is watched by; None where it was never saved, or by an older release."""
        return self._model.reference if isinstance(self._model, LoadedModel) else None

    def warm_up(self) -> None:
        """Trace the function, so that the first record is as quick as the last."""
        blank = pd.DataFrame({name: [None] for name in self.schema.columns}, dtype="object")
        self.score(blank)

    def score(self, frame: pd.DataFrame, on_batch: Callable[[], None] | None = None) -> ScoredRecords:
        """Score the rows of a frame that can be read; `on_batch` is called after every batch.

        Raises `SchemaError` for a missing column.
        """
        arrays, problems = read_columns(frame, self.schema)
        first = {one.row: one for one in reversed(problems)}
        accepted = np.ones(len(frame), dtype=bool)
        accepted[list(first)] = False
        rows = np.flatnonzero(accepted)
        readable = arrays.take(rows) if first else arrays
        logits = self._run(self._model.transform.transform(readable), len(rows), on_batch or (lambda: None))
        probabilities = self._model.calibration.probabilities(logits)
        return ScoredRecords(rows, probabilities, [first[row] for row in sorted(first)], readable)

    def _run(self, inputs: Inputs, rows: int, on_batch: Callable[[], None]) -> NDArray[np.float64]:
        logits = np.empty(rows, dtype=np.float64)
        for start in range(0, rows, self._batch_rows):
            stop = min(start + self._batch_rows, rows)
            batch = {name: pad_rows(values[start:stop], self._batch_rows) for name, values in inputs.items()}
            logits[start:stop] = self._logits(batch).numpy()[: stop - start]
            on_batch()
        return logits

    def _mean_logits(self, batch: dict[str, tf.Tensor]) -> tf.Tensor:
        self.trace_count += 1  # Python runs here only while tracing
        return tf.reduce_mean(self._model.network(batch, training=False), axis=1)
