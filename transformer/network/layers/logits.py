"""The members of all branches side by side, with what is added to all of them."""

# Numba and Keras have no types.
# pyright: basic
# pyright: reportIncompatibleMethodOverride=false, reportCallIssue=false

from functools import partial
from typing import Any

import keras
import numpy as np
from keras import ops

from transformer.arithmetic.kernels import BLOCK_PITCH, BLOCK_ROWS, Floats, compiled, prepare
from transformer.network.layers.form import Call, Calls, Place, compiled_form


@keras.saving.register_keras_serializable("tidemark")
class JoinedLogits(keras.layers.Layer):
    """Members (B, E) of some branches side by side, and to each what is added to all of them: some (B, 1).

    It is added before the members are joined: TensorFlow 2.21 adds (B, 1) to joined members (B, 2E) as a sum over the
    batch, and a record's score would depend on its neighbours.
    """

    def call(self, members: list[Any], others: list[Any]) -> Any:
        """Add and join."""
        common = sum(others[1:], others[0])
        return ops.concatenate([one + common for one in members], axis=-1)

    def compute_output_shape(self, members_shape: Any, others_shape: Any) -> Any:
        """(B, the sum of members)."""
        return (members_shape[0][0], sum(shape[-1] for shape in members_shape))


@compiled_form(JoinedLogits)
def form_of_joined_logits(_layer: Any, place: Place) -> Calls:
    """The members are as many of the first inputs as fill the output."""
    ends = np.cumsum([0, *(one.shape[1] for one in place.inputs)])
    count = int(np.searchsorted(ends, place.output.shape[1]))
    common = np.zeros((BLOCK_PITCH,), np.float32)
    forward: list[Call] = [prepare(_add_common, one, number, common) for number, one in enumerate(place.inputs[count:])]
    back: list[Call] = []
    for x, dx, first in zip(place.inputs[:count], place.d_inputs[:count], ends, strict=False):
        forward.append(prepare(_add_to_members, x, common, place.output, int(first)))
        back.append(prepare(_add_to_members_back, place.d_output, int(first), dx))
    back += [partial(_add_over_members, place.d_output, dx) for dx in place.d_inputs[count:]]
    return Calls(forward, back if place.is_learning else [])


def _add_over_members(d_output: Floats, dx: Floats) -> None:
    dx += d_output.sum(axis=1, keepdims=True)


@compiled
def _add_common(x, number, common):
    for record in range(BLOCK_ROWS):
        common[record] = x[0, 0, record] if number == 0 else common[record] + x[0, 0, record]


@compiled
def _add_to_members(x, common, out, first):
    for e in range(x.shape[1]):
        for record in range(BLOCK_ROWS):
            out[0, first + e, record] = x[0, e, record] + common[record]


@compiled
def _add_to_members_back(d_out, first, dx):
    for e in range(dx.shape[1]):
        for record in range(BLOCK_ROWS):
            dx[0, e, record] += d_out[0, first + e, record]
