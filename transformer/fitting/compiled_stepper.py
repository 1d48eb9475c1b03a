"""Takes training steps with the compiled gradient: AdamW on one vector of all weights.

What comes out is the same whatever the number of threads (`network.compiled_gradient`).
"""

# Numba has no types, and Keras knows the weights of its layers only once they are built.
# pyright: basic

import os
import re
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from transformer.arithmetic.kernels import Floats, compiled
from transformer.fitting.examples import RowSource
from transformer.fitting.options import UNDECAYED, FittingOptions, schedule
from transformer.network.compiled_gradient import CompiledGradient
from transformer.network.compiled_network import draw_inputs
from transformer.records.features import FeatureTransform, Inputs

_TOLERANCE = 1e-3  # of a gradient, relative to the largest of its kind
_LOGIT_TOLERANCE = 1e-4
_FIRST_DECAY, _SECOND_DECAY = 0.9, 0.999  # of Adam's means of gradients and of their squares
_ONE, _EPSILON = np.float32(1), np.float32(1e-7)


class CompiledStepper:
    """Takes steps, and looks at other rows: as `keras_stepper.Stepper`, at a fourth of the time."""

    def __init__(self, network: keras.Model, options: FittingOptions) -> None:
        threads = tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count() or 1
        self._network, self._options, self.gradient = network, options, CompiledGradient(network, threads)
        self._theta = self.gradient.theta
        self._decayed = np.concatenate([
            np.full(int(np.prod(one.shape)), not any(re.search(name, one.name) for name in UNDECAYED), np.float32)
            for one in self.gradient.weights.variables
        ])  # fmt: skip
        self._batch_rows, self._steps_per_epoch, self._step_count = 1, 1, 0

    @classmethod
    def of(cls, network: keras.Model, options: FittingOptions, transform: FeatureTransform) -> "CompiledStepper | None":
        """Return a network's stepper; None where its logits or gradients of random records are not those of Keras."""
        stepper = cls(network, options)
        return stepper if stepper._agrees(draw_inputs(network, transform)) else None

    def begin(self, rows: int) -> None:
        """Start again from the network's present weights, with `rows` rows an epoch."""
        self._batch_rows = min(self._options.batch_rows, rows)
        self._steps_per_epoch, self._step_count = max(1, rows // self._batch_rows), 0
        self._theta[:] = self.gradient.weights.read()
        self._averages, self._anchors = self._theta.copy(), self._theta.copy()
        self._first, self._second = np.zeros_like(self._theta), np.zeros_like(self._theta)

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

        Where not `is_whole`, the direct branch alone is fitted.
        """
        losses: list[float] = []
        for batch in train.batches(self._batch_rows, random):
            rate, averaging = schedule(self._options, self._step_count, self._steps_per_epoch * epochs)
            self._step_count += 1
            weight = batch.weight / np.float32(len(batch.target) * self.gradient.members)
            seed = self._options.seed * 1_000_003 + self._step_count * 7919
            loss, gradient = self.gradient.learn(batch.inputs, batch.target, weight, seed=seed, is_whole=is_whole)
            self._update(gradient, rate, averaging)
            losses.append(loss)
            on_batch()
        return float(np.mean(losses))

    def averaged_weights(self) -> Floats:
        """Return the averaged weights, one vector of all that are trained."""
        return self._averages.copy()

    def put(self, weights: Floats) -> None:
        """Write such a vector into the network."""
        self.gradient.weights.write(weights)

    def look(self, inputs: Inputs, on_batch: Callable[[], None], *, is_whole: bool = True) -> NDArray[np.float64]:
        """Return the mean logit of each branch (N, G) of N rows, by the averaged weights; attention's if `is_whole`."""
        on_batch()
        return self.gradient.look(inputs, self._averages, is_whole=is_whole).astype(np.float64)

    def _update(self, gradient: Floats, rate: np.float32, averaging: np.float32) -> None:
        norm = float(np.sqrt(np.dot(gradient, gradient)))
        step = self._step_count
        speed = float(rate) * np.sqrt(1 - _SECOND_DECAY**step) / (1 - _FIRST_DECAY**step)
        hyper = (
            np.float32(self._options.clip_norm / max(norm, self._options.clip_norm)),
            np.float32(rate * self._options.weight_decay),
            np.float32(speed),
            np.float32(rate * self._options.pull),
            np.float32(averaging),
        )
        state = (self._theta, self._first, self._second, self._averages)
        move_weights(state, gradient, self._decayed, self._anchors, hyper)

    def _agrees(self, inputs: Inputs) -> bool:
        """Whether logits and gradients of some records are those of Keras."""
        rows = len(next(iter(inputs.values())))
        target = (np.arange(rows) % 3 == 0).astype(np.float32)
        weights, weight = self.gradient.weights, np.full(rows, 1 / (rows * self.gradient.members), np.float32)
        with tf.GradientTape() as tape:
            logits = self._network(inputs, training=False)
            losses = tf.nn.sigmoid_cross_entropy_with_logits(tf.broadcast_to(target[:, None], tf.shape(logits)), logits)
            loss = tf.reduce_mean(losses)
        zero = tf.UnconnectedGradients.ZERO
        expected = tape.gradient(loss, [one.value for one in weights.variables], unconnected_gradients=zero)
        _, found = self.gradient.learn(inputs, target, weight, seed=0, is_dropping=False)
        looked = self.gradient.look(inputs, self._theta).mean(axis=1)
        if not np.allclose(looked, np.mean(logits, axis=1), atol=_LOGIT_TOLERANCE):
            return False
        wanted = [np.asarray(tf.convert_to_tensor(one)) for one in expected]
        least = 1e-3 * max(float(np.abs(one).max()) for one in wanted)
        return all(
            np.abs(weights.part(found, one) - mine).max() <= _TOLERANCE * max(least, np.abs(mine).max())
            for one, mine in zip(weights.variables, wanted, strict=True)
        )


@compiled
def move_weights(state, gradient, decayed, anchors, hyper):
    """AdamW (Loshchilov and Hutter 2017, arXiv 1711.05101), the pull to the start, and the average, in one pass."""
    theta, first, second, averages = state
    clip, decay, speed, pull, averaging = hyper
    one, first_decay, second_decay = _ONE, np.float32(_FIRST_DECAY), np.float32(_SECOND_DECAY)
    for i in range(theta.shape[0]):
        g = gradient[i] * clip
        x = theta[i] - theta[i] * decay * decayed[i]
        first[i] += (g - first[i]) * (one - first_decay)
        second[i] += (g * g - second[i]) * (one - second_decay)
        x -= first[i] * speed / (np.sqrt(second[i]) + _EPSILON)
        x -= pull * (x - anchors[i])
        theta[i] = x
        averages[i] = averaging * averages[i] + (one - averaging) * x
