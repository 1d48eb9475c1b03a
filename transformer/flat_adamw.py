"""AdamW on all weights of a network as one vector, with their moving average.

A network of 70 small variables needs over a thousand operations a step when each variable is treated by itself, a third
of a step's time. Side by side in one vector they need thirty, and as many assignments as there are variables.
AdamW: Loshchilov and Hutter 2019, arXiv 1711.05101; pull: see `FittingOptions`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7


@dataclass(frozen=True)
class Pace:
    """What does not change from step to step; `undecayed` are patterns of names of variables."""

    weight_decay: float
    clip_norm: float
    pull: float
    undecayed: Sequence[str]


class FlatAdamW:
    """The state of a fit: weights, their average, where they began, both moments; W numbers each."""

    def __init__(self, variables: Sequence[Any], pace: Pace) -> None:
        self._variables = list(variables)
        self._pace = pace
        self._sizes = [int(np.prod(one.shape)) for one in self._variables]
        decays = [not any(re.search(name, one.name) for name in pace.undecayed) for one in self._variables]
        self._decay = tf.constant(
            np.repeat(np.array(decays, dtype=np.float32) * np.float32(pace.weight_decay), self._sizes)
        )
        names = ("weights", "average", "anchor", "first", "second")
        self._state = {name: tf.Variable(tf.zeros(sum(self._sizes)), trainable=False) for name in names}
        self._steps = tf.Variable(tf.zeros(()), trainable=False)
        self.begin()

    def begin(self) -> None:
        """Start again from the variables' present values."""
        present = self._join([one.value for one in self._variables])
        for name, kept in self._state.items():
            kept.assign(tf.zeros_like(present) if name in ("first", "second") else present)
        self._steps.assign(0.0)

    def take_step(self, gradients: Sequence[Any], rate: tf.Tensor, averaging: tf.Tensor) -> None:
        """Move the variables along the gradients, one for each."""
        state, pace = self._state, self._pace
        gradient = self._join([tf.convert_to_tensor(one) for one in gradients])
        gradient *= tf.minimum(1.0, pace.clip_norm / tf.maximum(tf.norm(gradient), 1e-12))
        step = self._steps.assign_add(1.0)
        first = state["first"].assign(BETA_1 * state["first"] + (1 - BETA_1) * gradient)
        second = state["second"].assign(BETA_2 * state["second"] + (1 - BETA_2) * tf.square(gradient))
        length = rate * tf.sqrt(1 - tf.pow(BETA_2, step)) / (1 - tf.pow(BETA_1, step))
        weights = state["weights"] * (1 - rate * self._decay) - length * first / (tf.sqrt(second) + EPSILON)
        if pace.pull:
            weights -= rate * pace.pull * (weights - state["anchor"])
        state["weights"].assign(weights)
        state["average"].assign(averaging * state["average"] + (1 - averaging) * weights)
        self._put(weights)

    def show_average(self) -> None:
        """Put the averaged weights into the variables."""
        self._put(self._state["average"])

    def show_weights(self) -> None:
        """Put the weights that steps are taken from back into the variables."""
        self._put(self._state["weights"])

    def _join(self, parts: Sequence[Any]) -> tf.Tensor:
        return tf.concat([tf.reshape(one, (-1,)) for one in parts], axis=0)

    def _put(self, flat: Any) -> None:
        parts = tf.split(flat, self._sizes)
        for variable, part in zip(self._variables, parts, strict=True):
            variable.assign(tf.reshape(part, variable.shape))
