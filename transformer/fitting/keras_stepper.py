"""One step of training by TensorFlow and its state: optimizer, averaged weights, learning rate.

Most networks are trained by `compiled_stepper` instead, at a fourth of the time.
"""

from collections.abc import Callable
from typing import Any, cast

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from transformer.fitting.examples import Batch, RowSource
from transformer.fitting.options import UNDECAYED, FittingOptions, schedule
from transformer.network.keras_prediction import make_group_predictor, predict_rows
from transformer.records.features import Inputs


class Stepper:
    """Takes steps; one traced function, whatever the order of rows."""

    def __init__(self, network: keras.Model, options: FittingOptions) -> None:
        self._network = network
        self._options = options
        self._optimizer = keras.optimizers.AdamW(options.learning_rate, weight_decay=options.weight_decay)
        self._optimizer.exclude_from_weight_decay(var_names=UNDECAYED)
        self._optimizer.build(network.trainable_variables)
        self._averages = [tf.Variable(variable.value, trainable=False) for variable in network.trainable_variables]
        self._anchors = [tf.Variable(variable.value, trainable=False) for variable in network.trainable_variables]
        self._batch_rows, self._steps_per_epoch, self._step_count = 1, 1, 0
        self._step = tf.function(self._take_step)
        self._predict = make_group_predictor(network)

    def begin(self, rows: int) -> None:
        """Start again from the network's present weights, with `rows` rows an epoch."""
        self._batch_rows = min(self._options.batch_rows, rows)
        self._steps_per_epoch, self._step_count = max(1, rows // self._batch_rows), 0
        for variable in self._optimizer.variables:
            variable.assign(np.zeros(variable.shape, variable.dtype))
        for kept in (self._averages, self._anchors):
            for one, variable in zip(kept, self._network.trainable_variables, strict=True):
                one.assign(variable.value)

    def run_epoch(
        self,
        train: RowSource,
        random: np.random.Generator,
        epochs: int,
        on_batch: Callable[[], None],
        *,
        is_whole: bool = True,
    ) -> float:
        """Go once through the rows; return the mean loss. `epochs` is how many there will be in all.

        All of the network is fitted, whether or not the whole is wanted.
        """
        del is_whole
        losses: list[float] = []
        for batch in train.batches(self._batch_rows, random):
            rate, averaging = schedule(self._options, self._step_count, self._steps_per_epoch * epochs)
            losses.append(float(self._step(batch, tf.constant(rate), tf.constant(averaging))))
            self._step_count += 1
            on_batch()
        return float(np.mean(losses))

    def averaged_weights(self) -> NDArray[np.float32]:
        """Return the averaged weights, one vector of all that are trained."""
        return np.concatenate([one.numpy().ravel() for one in self._averages])

    def put(self, weights: NDArray[np.float32]) -> None:
        """Write such a vector into the network."""
        start = 0
        for variable in self._network.trainable_variables:
            size = int(np.prod(variable.shape))
            variable.assign(weights[start : start + size].reshape(tuple(variable.shape)))
            start += size

    def look(self, inputs: Inputs, on_batch: Callable[[], None], *, is_whole: bool = True) -> NDArray[np.float64]:
        """Return the mean logit of each branch (N, G) of N rows, by the averaged weights, wanted or not."""
        del is_whole
        variables = self._network.trainable_variables
        kept = [variable.numpy() for variable in variables]
        for variable, average in zip(variables, self._averages, strict=True):
            variable.assign(average)
        logits = predict_rows(self._predict, inputs, on_batch=on_batch)
        for variable, value in zip(variables, kept, strict=True):
            variable.assign(value)
        return logits

    def _take_step(self, batch: Batch, rate: tf.Tensor, averaging: tf.Tensor) -> tf.Tensor:
        inputs, target = batch.inputs, batch.target[:, None]
        variables = self._network.trainable_variables
        with tf.GradientTape() as tape:
            logits = self._network(inputs, training=True)  # (B, E)
            losses = tf.nn.sigmoid_cross_entropy_with_logits(tf.broadcast_to(target, tf.shape(logits)), logits)
            loss = tf.reduce_mean(losses * batch.weight[:, None])
        gradients, _ = tf.clip_by_global_norm(
            tape.gradient(loss, [variable.value for variable in variables]), self._options.clip_norm
        )
        cast("Any", self._optimizer.learning_rate).assign(rate)
        self._optimizer.apply(gradients, variables)
        if self._options.pull:
            for variable, anchor in zip(variables, self._anchors, strict=True):
                variable.assign_sub(rate * self._options.pull * (variable.value - anchor))
        for average, variable in zip(self._averages, variables, strict=True):
            average.assign(averaging * average + (1.0 - averaging) * variable.value)
        return loss
