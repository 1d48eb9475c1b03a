"""Scores frames of records with one model, batch by batch, with its network compiled into one function.

A network whose structure `compiled_network` does not know is scored by TensorFlow, in batches of one fixed shape.
"""

from collections.abc import Callable
from dataclasses import dataclass
from logging import getLogger

import numpy as np
import pandas as pd
import tensorflow as tf
from numpy.typing import NDArray

from transformer.bundle import LoadedModel
from transformer.compiled_network import CompiledNetwork
from transformer.features import Inputs, Problem, read_columns
from transformer.fitting import pad_rows
from transformer.probabilities import PROBABILITY_DECIMALS
from transformer.schema import RecordSchema
from transformer.training import TrainedModel

BATCH_ROWS = 2048

logger = getLogger(__name__)

__all__ = ["BATCH_ROWS", "PROBABILITY_DECIMALS", "ScoredRecords", "Scorer"]


@dataclass(frozen=True)
class ScoredRecords:
    """`rows` are the positions in the frame of the records with a score; every other row has a problem."""

    rows: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    problems: list[Problem]


class Scorer:
    """A model that is ready to score: nothing is ever traced or compiled again.

    A record's score does not depend on its neighbours, on the order, or on how the records were cut into frames.
    """

    def __init__(self, model: LoadedModel | TrainedModel, version: str, *, batch_rows: int = BATCH_ROWS) -> None:
        self.version = version
        self.trace_count = 0
        self._model = model
        self._batch_rows = batch_rows
        self._compiled = CompiledNetwork.of(model.network, model.transform)
        self._logits = tf.function(self._mean_logits)
        if self._compiled is None:
            logger.warning("The network of %s is of an unknown structure and is scored by TensorFlow.", version)
        self.warm_up()

    @property
    def schema(self) -> RecordSchema:
        """The columns that it reads."""
        return self._model.schema

    @property
    def is_compiled(self) -> bool:
        """Whether the network is scored by its compiled form."""
        return self._compiled is not None

    def warm_up(self) -> None:
        """Trace or load the function, so that the first record is as quick as the last."""
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
        inputs = self._model.transform.transform(arrays.take(rows) if first else arrays)
        logits = self._run(inputs, len(rows), on_batch or (lambda: None))
        return ScoredRecords(rows, self._model.calibration.probabilities(logits), [first[row] for row in sorted(first)])

    def _run(self, inputs: Inputs, rows: int, on_batch: Callable[[], None]) -> NDArray[np.float64]:
        logits = np.empty(rows, dtype=np.float64)
        for start in range(0, rows, self._batch_rows):
            stop = min(start + self._batch_rows, rows)
            batch = {name: values[start:stop] for name, values in inputs.items()}
            logits[start:stop] = self._score_batch(batch, stop - start)
            on_batch()
        return logits

    def _score_batch(self, batch: Inputs, rows: int) -> NDArray[np.float64]:
        if self._compiled is not None:
            return self._compiled.run(batch)[0]
        padded = {name: pad_rows(values, self._batch_rows) for name, values in batch.items()}
        return self._logits(padded).numpy()[:rows]

    def _mean_logits(self, batch: dict[str, tf.Tensor]) -> tf.Tensor:
        self.trace_count += 1  # Python runs here only while tracing
        return tf.reduce_mean(self._model.network(batch, training=False), axis=1)
