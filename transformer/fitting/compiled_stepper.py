"""Takes training steps with the compiled gradient: AdamW on one vector, 128 records a block, blocks shared by threads.

What comes out is the same whatever the number of threads: each block has its own gradients, which are added in order.
"""

# Numba has no types, and Keras knows the weights of its layers only once they are built.
# pyright: basic

import os
import re
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from transformer.compiled.gradient.kernels import FIRST_DECAY, SECOND_DECAY, move_weights
from transformer.compiled.gradient.training_step import learn
from transformer.compiled.gradient.weight_folding import Folding
from transformer.compiled.gradient.workspace import make_space
from transformer.compiled.kernels import LANES
from transformer.compiled.network_scorer import draw_inputs, flatten_inputs
from transformer.compiled.tree_scorer import add_trees
from transformer.compiled.weight_layout import take_apart
from transformer.fitting.examples import RowSource
from transformer.fitting.options import UNDECAYED, FittingOptions, schedule
from transformer.records.features import FeatureTransform, Inputs

_TOLERANCE = 1e-3  # of a gradient, relative to the largest of its kind
_LOGIT_TOLERANCE = 1e-4

Floats = NDArray[np.float32]


class CompiledStepper:
    """Takes steps, and looks at other rows, without TensorFlow: as `keras_stepper.Stepper`, at a fourth of the time."""

    def __init__(self, network: keras.Model, options: FittingOptions, folding: Folding) -> None:
        self._network, self._options, self._folding = network, options, folding
        self._trees = take_apart(network, folding.transform).trees
        self._theta = folding.read()
        is_decayed = [not any(re.search(name, one.name) for name in UNDECAYED) for one in folding.variables]
        self._decayed = np.concatenate([
            np.full(int(np.prod(one.shape)), decayed, np.float32)
            for one, decayed in zip(folding.variables, is_decayed, strict=True)
        ])  # fmt: skip
        weights = folding.fold(self._theta)
        self._gradients = [folding.make_gradients(weights)]
        self.use_threads(tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count() or 1)
        self._chances = _chances_of(network)
        self._members = weights[2][4].shape[0] + weights[2][7].shape[0]
        self._batch_rows, self._steps_per_epoch, self._step_count = 1, 1, 0

    @classmethod
    def of(cls, network: keras.Model, options: FittingOptions, transform: FeatureTransform) -> "CompiledStepper | None":
        """Return a network's stepper; None for a structure that it does not know, or other gradients than Keras'."""
        try:
            stepper = cls(network, options, Folding(network, transform))
        except (KeyError, AttributeError, ValueError, IndexError):
            return None
        return stepper if stepper._agrees(draw_inputs(network, transform)) else None

    def use_threads(self, threads: int) -> None:
        """Share the blocks of a batch among so many."""
        weights = self._folding.fold(self._theta)
        self._threads, self._pool = threads, ThreadPoolExecutor(threads)
        self._spaces = [make_space(self._folding, weights) for _ in range(threads)]

    def begin(self, rows: int) -> None:
        """Start again from the network's present weights, with `rows` rows an epoch."""
        self._batch_rows = min(self._options.batch_rows, rows)
        self._steps_per_epoch, self._step_count = max(1, rows // self._batch_rows), 0
        self._theta = self._folding.read()
        self._averages, self._anchors = self._theta.copy(), self._theta.copy()
        self._first, self._second = np.zeros_like(self._theta), np.zeros_like(self._theta)

    def run_epoch(
        self, train: RowSource, random: np.random.Generator, epochs: int, on_batch: Callable[[], None]
    ) -> float:
        """Go once through the rows; return the mean loss. `epochs` is how many there will be in all."""
        losses: list[float] = []
        for batch in train.batches(self._batch_rows, random):
            rate, averaging = schedule(self._options, self._step_count, self._steps_per_epoch * epochs)
            self._step_count += 1
            weight = batch.weight / np.float32(len(batch.target) * self._members)
            loss, gradient = self._learn(batch.inputs, batch.target, weight)
            self._update(gradient, rate, averaging)
            losses.append(loss)
            on_batch()
        return float(np.mean(losses))

    @contextmanager
    def averaged_weights(self) -> Generator[None]:
        """Put the averaged weights into the network, where they stay until the next are put there."""
        self._folding.write(self._averages)
        yield

    def look(self, inputs: Inputs, on_batch: Callable[[], None]) -> NDArray[np.float64]:
        """Return the mean logit of each branch (N, G) of N rows, by the averaged weights."""
        on_batch()
        return self._branches(inputs, self._averages).astype(np.float64)

    def _branches(self, inputs: Inputs, theta: Floats) -> Floats:
        data = self._data(inputs)
        rows = len(data[3])
        branches = np.zeros((rows, self._folding.branches), np.float32)
        weights = self._folding.fold(theta)
        chance = (np.uint32(0), np.uint32(0), np.float32(1), np.uint32(0), np.float32(1), False)
        blocks = -(-rows // LANES)
        cuts = [blocks * thread // self._threads for thread in range(self._threads + 1)]

        def run(thread: int) -> None:
            self._run((data, weights, chance), thread, 0, (cuts[thread], cuts[thread + 1]), branches)

        list(self._pool.map(run, range(self._threads)))
        return branches

    def _learn(self, inputs: Inputs, target: Floats, weight: Floats) -> tuple[float, Floats]:
        """Return the loss of a batch and the gradient of each weight."""
        data = self._data(inputs, target, weight)
        weights, branches = self._folding.fold(self._theta), np.zeros((len(target), self._folding.branches), np.float32)
        blocks = -(-len(target) // LANES)
        while len(self._gradients) < blocks:
            self._gradients.append(self._folding.make_gradients(weights))
        limit, scale, direct_limit, direct_scale = self._chances
        seed = np.uint32((self._options.seed * 1_000_003 + self._step_count * 7919) % 2**32)
        chance = (seed, limit, scale, direct_limit, direct_scale, True)
        losses = np.zeros(blocks)

        def run(thread: int) -> None:
            for block in range(thread, blocks, self._threads):
                self._gradients[block][0][:] = 0
                losses[block] = self._run((data, weights, chance), thread, block, (block, block + 1), branches)

        if blocks == 1 or self._threads == 1:
            for thread in range(min(blocks, self._threads)):
                run(thread)
        else:
            list(self._pool.map(run, range(min(blocks, self._threads))))
        whole, views = self._gradients[0]
        for other, _ in self._gradients[1:blocks]:
            whole += other
        return float(losses.sum()), self._folding.unfold(views, self._theta)

    def _run(self, what: Any, thread: int, gradient: int, blocks: tuple[int, int], branches: Floats) -> float:
        data, weights, chance = what
        folding, space, views = self._folding, self._spaces[thread], self._gradients[gradient][1]
        return learn(data, tuple(folding.tables), weights, folding.sizes, chance, space, views, blocks, branches)

    def _data(self, inputs: Inputs, target: Floats | None = None, weight: Floats | None = None) -> tuple[Any, ...]:
        numbers, kinds, names = flatten_inputs(inputs)
        beside = np.zeros(len(numbers), np.float64)
        if self._trees is not None:
            add_trees(inputs, numbers, kinds, names, self._trees, beside)
        nothing = np.zeros(len(numbers), np.float32)
        given = [nothing if one is None else np.asarray(one, np.float32) for one in (target, weight)]
        return numbers, kinds, names, beside.astype(np.float32), *given

    def _update(self, gradient: Floats, rate: np.float32, averaging: np.float32) -> None:
        norm = float(np.sqrt(np.dot(gradient, gradient)))
        step = self._step_count
        speed = float(rate) * np.sqrt(1 - SECOND_DECAY**step) / (1 - FIRST_DECAY**step)
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
        variables = self._folding.variables
        with tf.GradientTape() as tape:
            logits = self._network(inputs, training=False)
            losses = tf.nn.sigmoid_cross_entropy_with_logits(tf.broadcast_to(target[:, None], tf.shape(logits)), logits)
            loss = tf.reduce_mean(losses)
        expected = tape.gradient(loss, [one.value for one in variables])
        kept, self._chances = self._chances, (np.uint32(0), np.float32(1), np.uint32(0), np.float32(1))
        _, found = self._learn(inputs, target, np.full(rows, 1 / (rows * self._members), np.float32))
        self._chances = kept
        if not np.allclose(
            self._branches(inputs, self._theta).mean(axis=1), np.mean(logits, axis=1), atol=_LOGIT_TOLERANCE
        ):
            return False
        wanted = [
            np.zeros(tuple(one.shape)) if mine is None else np.asarray(tf.convert_to_tensor(mine))
            for one, mine in zip(variables, expected, strict=True)
        ]
        least = 1e-3 * max(float(np.abs(one).max()) for one in wanted)
        return all(
            np.abs(self._folding.view(found, one) - mine).max() <= _TOLERANCE * max(least, np.abs(mine).max())
            for one, mine in zip(variables, wanted, strict=True)
        )


def _chances_of(network: keras.Model) -> tuple[np.uint32, np.float32, np.uint32, np.float32]:
    """Limits and scales of both rates of dropout. Raises `ValueError` where the layers have others."""
    layers: dict[str, Any] = {layer.name: layer for layer in network.layers}
    rates = {layer.rate for name, layer in layers.items() if re.fullmatch("(encoder|decoder)_.*|head_dropout", name)}
    if len(rates) != 1:
        raise ValueError(f"expected one rate of dropout in all layers, got {sorted(rates)}")
    direct = layers["direct"].rate if "direct" in layers else 0.0
    found: list[Any] = []
    for rate in (rates.pop(), direct):
        found += [np.uint32(min(rate * 2**32, 2**32 - 1)), np.float32(1 / (1 - rate))]
    return found[0], found[1], found[2], found[3]
