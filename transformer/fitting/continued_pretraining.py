"""Lets a champion's network see a population that moved, without outcomes: it guesses hidden numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from transformer.bundles.bundle import LoadedModel
from transformer.errors import TrainingDataError
from transformer.network.architecture import build_network
from transformer.records.features import Inputs

READ_BY_HEAD = "head_norm"  # the layer whose output the head reads
_KIND_OF = {"positions": "missing", "history_positions": "history_missing"}


@dataclass(frozen=True)
class ContinuedOptions:
    """How far it may go: a tenth of training's learning rate, and a few times through the records."""

    seed: int = 7
    epochs: int = 3
    batch_rows: int = 512
    learning_rate: float = 2e-4
    hidden_share: float = 0.3


def continue_pretraining(
    champion: LoadedModel,
    inputs: Inputs,
    *,
    options: ContinuedOptions | None = None,
    on_batch: Callable[[], None] | None = None,
) -> keras.Model:
    """Return the champion's network after more pretraining on N records without outcomes; the champion stays as it is.

    Each step hides a share of the numbers and fits the network's body to guess them (mean squared error of positions,
    each divided by its largest one) through a layer that is thrown away. The head still fits the body as it was: tune
    it on known outcomes afterwards. Raises `TrainingDataError` where there are no numbers to hide.
    """
    options = options or ContinuedOptions()
    keras.utils.set_random_seed(options.seed)
    numbers = [name for name in _KIND_OF if name in inputs]
    if not numbers:
        raise TrainingDataError("there are no numeric columns to pretrain on", 'set: without_outcomes = "alert"')
    network = build_network(champion.transform, champion.network_options)
    network.set_weights(champion.network.get_weights())
    step = _make_step(network, inputs, numbers, options)
    tensors = {name: tf.constant(values) for name, values in inputs.items()}
    random = np.random.default_rng(options.seed)
    rows = len(inputs[numbers[0]])
    batch_rows = min(options.batch_rows, rows)
    for _ in range(options.epochs):
        order = random.permutation(rows)
        for start in range(0, rows - batch_rows + 1, batch_rows):
            chosen = tf.constant(order[start : start + batch_rows])
            step({name: tf.gather(values, chosen) for name, values in tensors.items()})
            if on_batch is not None:
                on_batch()
    return network


def _make_step(network: keras.Model, inputs: Inputs, numbers: list[str], options: ContinuedOptions) -> Any:
    body = keras.Model(network.inputs, network.get_layer(READ_BY_HEAD).output)
    scales = {name: tf.constant(_largest(inputs[name])) for name in numbers}
    guess = keras.layers.Dense(sum(int(np.prod(inputs[name].shape[1:])) for name in numbers))
    guess.build((None, int(body.output_shape[-1])))
    variables = [*body.trainable_variables, *guess.trainable_variables]
    optimizer = keras.optimizers.Adam(options.learning_rate)
    optimizer.build(variables)
    dice = tf.random.Generator.from_seed(options.seed)

    @tf.function
    def step(batch: dict[str, tf.Tensor]) -> tf.Tensor:
        hidden = dict(batch)
        truths: list[tf.Tensor] = []
        masks: list[tf.Tensor] = []
        for name in numbers:
            is_there = cast("Any", batch[_KIND_OF[name]]) == 0
            is_hidden = (dice.uniform(tf.shape(batch[name])) < options.hidden_share) & is_there
            hidden[name] = tf.where(is_hidden, 0.0, batch[name])
            hidden[_KIND_OF[name]] = tf.where(is_hidden, 1.0, batch[_KIND_OF[name]])
            truths.append(keras.layers.Flatten()(batch[name] / scales[name]))
            masks.append(keras.layers.Flatten()(tf.cast(is_hidden, tf.float32)))
        truth, mask = tf.concat(truths, axis=1), tf.concat(masks, axis=1)
        with tf.GradientTape() as tape:
            errors = tf.square(guess(body(hidden, training=True)) - truth) * mask
            loss = tf.reduce_sum(errors) / tf.maximum(tf.reduce_sum(mask), 1.0)
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        optimizer.apply(tf.clip_by_global_norm(gradients, 1.0)[0], variables)
        return loss

    return step


def _largest(values: NDArray[Any]) -> NDArray[np.float32]:
    """The largest position of each column, over records and history steps; at least 1."""
    return np.maximum(values.max(axis=tuple(range(values.ndim - 1))), 1.0).astype(np.float32)
