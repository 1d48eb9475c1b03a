"""The members' logits: Keras layers, their arithmetic over blocks, and the gradients behind them."""

# Keras calls the shapes of `build` by the names of `call`'s arguments, so their number and names differ from the base
# class; its stubs hold what an operation returns for possibly None; and Numba has no types.
# pyright: basic
# pyright: reportIncompatibleMethodOverride=false, reportOptionalOperand=false, reportCallIssue=false
# pyright: reportOptionalSubscript=false

from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from transformer.arithmetic.dropout import Dropout, drop_in
from transformer.arithmetic.gradients import add_outer, add_sums, dot_records
from transformer.arithmetic.kernels import (
    BLOCK_PITCH,
    BLOCK_ROWS,
    Dense,
    Floats,
    add_turned_product,
    compiled,
    gelu,
    gelu_slope,
    normal_share,
    prepare,
    set_product,
)
from transformer.network.layers.form import Calls, Place, View, compiled_form

_ZERO = np.float32(0)


@keras.saving.register_keras_serializable("tidemark")
class HeadMembers(keras.layers.Layer):
    """E small heads side by side: the first D of (B, W), some of them dropped, to (B, E) logits.

    Their mean is steadier than one head of their joint size. Beside its hidden layer each has a linear part; a linear
    probe is a head whose hidden part is zero. `reads` is D, all by default.
    """

    def __init__(self, members: int, hidden: int, rate: float = 0.0, reads: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.members, self.hidden, self.rate, self.reads = members, hidden, rate, reads
        self.dropout = keras.layers.Dropout(rate, dtype=self.dtype_policy)

    def build(self, input_shape: Any) -> None:
        """Make every member's weights."""
        width = self.reads or input_shape[-1]
        first = keras.initializers.RandomNormal(stddev=width**-0.5)
        second = keras.initializers.RandomNormal(stddev=0.5 * self.hidden**-0.5)
        self.inner = self.add_weight(name="inner", shape=(self.members, width, self.hidden), initializer=first)
        self.inner_bias = self.add_weight(name="inner_bias", shape=(self.members, self.hidden), initializer="zeros")
        self.outer = self.add_weight(name="outer", shape=(self.members, self.hidden), initializer=second)
        self.outer_bias = self.add_weight(name="outer_bias", shape=(self.members,), initializer="zeros")
        self.linear = self.add_weight(name="linear", shape=(width, self.members), initializer="zeros")

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Give each member's logit."""
        x = self.dropout(x[:, : self.reads], training=training)
        hidden = keras.activations.gelu(ops.einsum("bd,edh->beh", x, self.inner) + self.inner_bias)
        return ops.einsum("beh,eh->be", hidden, self.outer) + self.outer_bias + ops.matmul(x, self.linear)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(B, E)."""
        return (input_shape[0], self.members)

    def get_config(self) -> dict[str, Any]:
        """Everything the constructor needs."""
        return super().get_config() | {
            "members": self.members,
            "hidden": self.hidden,
            "rate": self.rate,
            "reads": self.reads,
        }


@keras.saving.register_keras_serializable("tidemark")
class DirectMembers(keras.layers.Layer):
    """E hidden layers that share their weights but not their scales: the last D of (B, W) to (B, E) logits.

    relu(x * scale + shift) @ outer, one scale, shift and outer for each member (after TabM, Gorishniy et al. 2024,
    arXiv 2410.24210): an ensemble for the price of one map. `reads` is D, all by default.
    """

    def __init__(self, members: int, rate: float = 0.0, reads: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.members, self.rate, self.reads = members, rate, reads
        self.dropout = keras.layers.Dropout(rate, dtype=self.dtype_policy)

    def build(self, input_shape: Any) -> None:
        """Make every member's scale, shift and outer layer."""
        width = self.reads or input_shape[-1]
        shape = (self.members, width)
        around_one = keras.initializers.RandomNormal(mean=1.0, stddev=0.5)
        around_zero = keras.initializers.RandomNormal(stddev=0.3)
        small = keras.initializers.RandomNormal(stddev=0.5 * width**-0.5)
        self.scale = self.add_weight(name="scale", shape=shape, initializer=around_one)
        self.shift = self.add_weight(name="bias", shape=shape, initializer=around_zero)
        self.outer = self.add_weight(name="outer", shape=shape, initializer=small)

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Give each member's logit."""
        hidden = ops.relu(x[:, None, -self.scale.shape[1] :] * self.scale + self.shift)  # (B, E, D)
        return ops.einsum("bed,ed->be", self.dropout(hidden, training=training), self.outer)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(B, E)."""
        return (input_shape[0], self.members)

    def get_config(self) -> dict[str, Any]:
        """Everything the constructor needs."""
        return super().get_config() | {"members": self.members, "rate": self.rate, "reads": self.reads}


class HeadWeights(NamedTuple):
    """Weights of `HeadMembers`, or their gradients; and what is dropped."""

    inner: Floats
    inner_bias: Floats
    outer: Floats
    linear: Dense
    dropout: Dropout


class HeadKept(NamedTuple):
    """What `HeadMembers` leave behind: what is read where some is dropped, and the hidden layers before gelu."""

    read: Floats
    hidden: Floats


class DirectWeights(NamedTuple):
    """Weights of `DirectMembers`, or their gradients; and what is dropped."""

    scale: Floats
    shift: Floats
    outer: Floats
    dropout: Dropout


@compiled_form(HeadMembers)
def form_of_head_members(layer: Any, place: Place) -> Calls:
    """Member by member."""

    def read(view: View) -> HeadWeights:
        linear = Dense(view(layer.linear), view(layer.outer_bias))
        return HeadWeights(
            view(layer.inner), view(layer.inner_bias), view(layer.outer), linear, place.dropout(layer.rate)
        )

    weights = read(place.view)
    members, width, hidden = weights.inner.shape
    kept = HeadKept(place.keep(width if place.is_learning else 0), place.keep(members, hidden))
    forward = prepare(_ask_members, place.inputs[0], weights, kept, place.seed, place.output)
    if place.view_gradient is None:
        return Calls([forward])
    slopes, gradients = (place.d_output, place.d_inputs[0]), read(place.view_gradient)
    return Calls([forward], [prepare(_ask_members_back, *slopes, weights, kept, place.seed, gradients)])


@compiled_form(DirectMembers)
def form_of_direct_members(layer: Any, place: Place) -> Calls:
    """Member by member."""

    def read(view: View) -> DirectWeights:
        return DirectWeights(view(layer.scale), view(layer.shift), view(layer.outer), place.dropout(layer.rate))

    weights = read(place.view)
    forward = prepare(_ask_direct_members, place.inputs[0], weights, place.seed, place.output)
    if place.view_gradient is None:
        return Calls([forward])
    slopes, gradients = (place.d_output, place.d_inputs[0]), read(place.view_gradient)
    back = prepare(_ask_direct_members_back, *slopes, place.inputs[0], weights, place.seed, gradients)
    return Calls([forward], [back])


@compiled
def _ask_members(x, weights, kept, seed, out):
    width = weights.inner.shape[1]
    if kept.read.shape[0] == 0:
        _ask(x[0, :width], weights, kept.hidden, out[0])
        return
    for i in range(width):
        for record in range(BLOCK_ROWS):
            kept.read[i, record] = x[0, i, record]
        drop_in(kept.read[i], weights.dropout, seed[0], i)
    _ask(kept.read, weights, kept.hidden, out[0])


@compiled
def _ask(read, weights, hidden, out):
    set_product(weights.linear, read, out)
    for e in range(out.shape[0]):
        set_product(Dense(weights.inner[e], weights.inner_bias[e]), read, hidden[e])
        for i in range(hidden.shape[1]):
            weight = weights.outer[e, i]
            for record in range(BLOCK_ROWS):
                out[e, record] += weight * gelu(hidden[e, i, record])


@compiled
def _ask_members_back(slope, dx, weights, kept, seed, gradients):
    members, width, hidden = weights.inner.shape
    d_hidden = np.empty((1, hidden, BLOCK_PITCH), np.float32)
    d_read = np.zeros((width, BLOCK_PITCH), np.float32)
    raised = np.empty(BLOCK_ROWS, np.float32)
    read = kept.read.reshape((1, width, BLOCK_PITCH))
    add_outer(read, slope, gradients.linear.kernel)
    add_sums(slope, gradients.linear.bias)
    add_turned_product(weights.linear.kernel, slope[0], d_read)
    for e in range(members):
        for i in range(hidden):
            weight = weights.outer[e, i]
            for record in range(BLOCK_ROWS):
                z = kept.hidden[e, i, record]
                below = normal_share(z)
                raised[record] = z * below
                d_hidden[0, i, record] = weight * slope[0, e, record] * gelu_slope(z, below)
            gradients.outer[e, i] += dot_records(raised, slope[0, e])
        add_outer(read, d_hidden, gradients.inner[e])
        add_sums(d_hidden, gradients.inner_bias[e])
        add_turned_product(weights.inner[e], d_hidden[0], d_read)
    for i in range(width):
        drop_in(d_read[i], weights.dropout, seed[0], i)
        for record in range(BLOCK_ROWS):
            dx[0, i, record] += d_read[i, record]


@compiled
def _ask_direct_members(x, weights, seed, out):
    members, width = weights.scale.shape
    step = np.empty(BLOCK_ROWS, np.float32)
    read = x[0, x.shape[1] - width :]
    for e in range(members):
        for record in range(BLOCK_ROWS):
            out[0, e, record] = _ZERO
        for i in range(width):
            a, b, c = weights.scale[e, i], weights.shift[e, i], weights.outer[e, i]
            if weights.dropout.limit == 0:
                for record in range(BLOCK_ROWS):
                    out[0, e, record] += c * max(a * read[i, record] + b, _ZERO)
                continue
            for record in range(BLOCK_ROWS):
                step[record] = max(a * read[i, record] + b, _ZERO)
            drop_in(step, weights.dropout, seed[0], e * width + i)
            for record in range(BLOCK_ROWS):
                out[0, e, record] += c * step[record]


@compiled
def _ask_direct_members_back(d_out, dx, x, weights, seed, gradients):
    members, width = weights.scale.shape
    step = np.empty(BLOCK_ROWS, np.float32)
    back = np.empty((1, 1, BLOCK_ROWS), np.float32)
    read, d_read = x[0, x.shape[1] - width :], dx[0, x.shape[1] - width :]
    for e in range(members):
        slope = d_out[0, e]
        for i in range(width):
            a, b, c = weights.scale[e, i], weights.shift[e, i], weights.outer[e, i]
            for record in range(BLOCK_ROWS):
                raised, through = a * read[i, record] + b, c * slope[record]
                step[record] = max(raised, _ZERO)
                back[0, 0, record] = through if raised > _ZERO else _ZERO
            drop_in(step, weights.dropout, seed[0], e * width + i)
            drop_in(back[0, 0], weights.dropout, seed[0], e * width + i)
            gradients.outer[e, i] += dot_records(step, slope)
            gradients.scale[e, i] += dot_records(back[0, 0], read[i])
            add_sums(back, gradients.shift[e, i : i + 1])
            for record in range(BLOCK_ROWS):
                d_read[i, record] += a * back[0, 0, record]
