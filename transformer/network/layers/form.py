"""What a compiled form is: the calls that compute a layer at its place in a plan, and the gradients behind it.

A form is a function from the Keras layer and its `Place` to `Calls`, registered for the layer's class. Tensors of a
plan are arrays (T, D, BLOCK_PITCH): (B, T, D) with the 128 records of a block last; (B, D) has one token. What the
network is given stands in arrays (records, columns) as it came.
"""

# Keras knows the weights of its layers only once they are built.
# pyright: basic

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transformer.arithmetic.dropout import Dropout
from transformer.arithmetic.kernels import BLOCK_PITCH, Dense, Floats, Norm

Call = Callable[[], Any]
View = Callable[[Any], Floats]  # from a Keras variable to an array of its shape
MOST_DROPOUTS = 8  # of one layer


@dataclass(frozen=True)
class Calls:
    """`refresh` is called when weights have changed, `backward` after `forward`, with the output's gradient in place.

    `backward` adds to the gradients of inputs and weights.
    """

    forward: list[Call]
    backward: list[Call] = field(default_factory=list)
    refresh: list[Call] = field(default_factory=list)


class Pool:
    """One piece of memory that all layers use in turn where nothing is kept for gradients: it stays in the cache."""

    def __init__(self, floats: int = 1 << 20) -> None:
        self._memory, self._used = np.zeros(floats, np.float32), 0

    def begin(self) -> None:
        """Begin again, for the next layer."""
        self._used = 0

    def take(self, shape: tuple[int, ...]) -> Floats:
        """Return an array that no other of the same layer lies in."""
        first, self._used = self._used, self._used + math.prod(shape)
        is_there = self._used <= len(self._memory)
        return self._memory[first : self._used].reshape(shape) if is_there else np.zeros(shape, np.float32)


@dataclass(frozen=True)
class Place:
    """What a layer finds at its place: inputs and output, their gradients while learning, its weights and theirs."""

    number: int
    arguments: tuple[Any, ...]  # what the layer is called with, an array for each tensor
    inputs: tuple[Any, ...]  # the same, flat
    output: Floats
    d_inputs: tuple[Any, ...]  # zeros of no use for what the network is given
    d_output: Floats
    seed: NDArray[np.uint32]  # (1), of the block's dropout
    view: View
    view_gradient: View | None  # None where nothing is learnt
    is_dropping: bool
    pool: Pool

    @property
    def is_learning(self) -> bool:
        """Whether gradients follow."""
        return self.view_gradient is not None

    def dense(self, layer: Any, view: View) -> Dense:
        """Return the weights of a dense layer."""
        return Dense(view(layer.kernel), view(layer.bias))

    def norm(self, layer: Any, view: View) -> Norm:
        """Return the weights of a layer norm."""
        return Norm(view(layer.gamma), view(layer.beta))

    def dropout(self, rate: float, which: int = 0) -> Dropout:
        """Return the dropout of a rate; a layer numbers its own."""
        return Dropout.of(rate if self.is_dropping else 0.0, self.number * MOST_DROPOUTS + which)

    def keep(self, *shape: int) -> Floats:
        """Return room for what the gradient needs; where there is none, other layers use it too."""
        full = (*shape, BLOCK_PITCH)
        return np.zeros(full, np.float32) if self.is_learning else self.pool.take(full)

    def many(self, tokens: int) -> int:
        """Return of how many of T tokens something is kept: of one, whose room is used again, where nothing is learnt.

        What is kept of token t is at t modulo that number.
        """
        return tokens if self.is_learning else 1


Form = Callable[[Any, Place], Calls | None]

TOKENS, WIDTH = 0, 1  # axes of a tensor


@dataclass(frozen=True)
class FormOf:
    """A form, and what the plan must know of it."""

    make: Form
    reads_columns: bool  # of what the network is given; all others read tensors
    in_place: bool  # the first input and the output share one array
    joins: int | None  # the axis along which the inputs lie at the end of the output's array


FORMS: dict[type, FormOf] = {}


def compiled_form(
    layer: type, *, reads_columns: bool = False, in_place: bool = False, joins: int | None = None
) -> Callable[[Form], Form]:
    """Register the compiled form of a class of layers; it returns None for a layer that it does not know."""

    def register(form: Form) -> Form:
        FORMS[layer] = FormOf(form, reads_columns, in_place, joins)
        return form

    return register
