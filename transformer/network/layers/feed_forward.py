"""The gated feed-forward: the Keras layer, its arithmetic over blocks, and the gradients behind it."""

# Numba and Keras have no types.
# pyright: basic
# pyright: reportIncompatibleMethodOverride=false, reportCallIssue=false

from typing import Any, NamedTuple

import keras
import numpy as np

from transformer.arithmetic.dropout import Dropout, add_dropped_product, drop_all, drop_in
from transformer.arithmetic.gradients import normalise_back, product_back, scale_again
from transformer.arithmetic.kernels import (
    BLOCK_PITCH,
    BLOCK_ROWS,
    Dense,
    Floats,
    Norm,
    add_turned_product,
    compiled,
    gelu,
    gelu_slope,
    normal_share,
    normalise,
    prepare,
    set_product,
)
from transformer.network.layers.form import Call, Calls, Place, View


@keras.saving.register_keras_serializable("tidemark")
class FeedForward(keras.layers.Layer):
    """Position-wise feed-forward (section 3.3), gated: (gelu(x W1) * x W2) W3 (arXiv 2002.05202).

    Maps (B, T, D) to itself.
    """

    def __init__(self, d_model: int, dff: int, rate: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.d_model, self.dff, self.rate = d_model, dff, rate
        self.supports_masking = True
        self.gate = keras.layers.Dense(dff, activation="gelu", name="gate", dtype=self.dtype_policy)
        self.value = keras.layers.Dense(dff, name="value", dtype=self.dtype_policy)
        self.output_projection = keras.layers.Dense(d_model, name="output", dtype=self.dtype_policy)
        self.dropout = keras.layers.Dropout(rate, dtype=self.dtype_policy)

    def build(self, input_shape: Any) -> None:
        """Make the three projections."""
        self.gate.build(input_shape)
        self.value.build(input_shape)
        self.output_projection.build((*input_shape[:-1], self.dff))

    def call(self, x: Any, *, training: bool | None = None) -> Any:
        """Transform each token by itself."""
        return self.output_projection(self.dropout(self.gate(x) * self.value(x), training=training))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the input."""
        return (*input_shape[:-1], self.d_model)

    def get_config(self) -> dict[str, Any]:
        """Everything the constructor needs."""
        return super().get_config() | {"d_model": self.d_model, "dff": self.dff, "rate": self.rate}


class FeedForwardWeights(NamedTuple):
    """Weights of a feed-forward with the norm before it, or their gradients; and what is dropped."""

    norm: Norm
    gate: Dense
    value: Dense
    output: Dense
    inner: Dropout
    added: Dropout


class FeedForwardKept(NamedTuple):
    """What the feed-forward leaves behind, by tokens; `gated` is gelu(gate) * value, dropped."""

    hat: Floats
    inverse_deviation: Floats
    gate: Floats
    value: Floats
    gated: Floats


def feed_forward_calls(place: Place, layer: Any, norm: Any, drops: tuple[Dropout, Dropout]) -> Calls:
    """Return the calls of a `FeedForward` behind a norm, added to what came in, which is worked on in place."""

    def read(view: View) -> FeedForwardWeights:
        parts = (layer.gate, layer.value, layer.output_projection)
        return FeedForwardWeights(place.norm(norm, view), *(place.dense(one, view) for one in parts), *drops)

    kept, weights = _keep(place, layer, place.output.shape[0]), read(place.view)
    forward: list[Call] = [prepare(feed_forward, place.output, weights, kept, place.seed)]
    if place.view_gradient is None:
        return Calls(forward)
    gradients = read(place.view_gradient)
    return Calls(forward, [prepare(feed_forward_back, place.d_output, weights, kept, place.seed, gradients)])


def _keep(place: Place, layer: Any, tokens: int) -> FeedForwardKept:
    """Return room for T tokens."""
    place.pool.begin()  # a part of a layer keeps nothing for the next part
    kept = place.many(tokens)
    wide = (place.keep(kept, layer.dff) for _ in range(3))
    hat = place.keep(kept, layer.d_model if place.is_learning else 0)
    return FeedForwardKept(hat, place.keep(kept), *wide)


@compiled
def feed_forward(x, weights, kept, seeds):
    """X (T, D) += the feed-forward of the normalised x."""
    many, wide, _ = kept.gate.shape
    seed = seeds[0]
    normal = np.empty((x.shape[1], BLOCK_PITCH), np.float32)
    for t in range(x.shape[0]):
        at = t % many
        gate, value, gated = kept.gate[at], kept.value[at], kept.gated[at]
        normalise(x[t], weights.norm, kept.hat[at], kept.inverse_deviation[at], normal)
        set_product(weights.gate, normal, gate)
        set_product(weights.value, normal, value)
        for i in range(wide):
            for record in range(BLOCK_ROWS):
                gated[i, record] = gelu(gate[i, record]) * value[i, record]
        if weights.inner.limit > 0:
            for i in range(wide):
                drop_in(gated[i], weights.inner, seed, t * wide + i)
        add_dropped_product(weights.output, gated, weights.added, seed, t * x.shape[1], x[t])


@compiled
def feed_forward_back(dx, weights, kept, seeds, gradients):
    """Gradients of `feed_forward`."""
    hat, inverse_deviation, gates, values, gated = kept
    seed = seeds[0]
    wide = gates.shape[1]
    d_out, normal = np.empty_like(hat), np.empty_like(hat)
    d_gate, d_value = np.empty_like(gates), np.zeros_like(gates)
    drop_all(dx, weights.added, seed, d_out)
    product_back(gated, d_out, gradients.output)
    for t in range(dx.shape[0]):
        add_turned_product(weights.output.kernel, d_out[t], d_value[t])
        for i in range(wide):
            drop_in(d_value[t, i], weights.inner, seed, t * wide + i)
            for record in range(BLOCK_ROWS):
                z, d_gated = gates[t, i, record], d_value[t, i, record]
                below = normal_share(z)
                d_gate[t, i, record] = d_gated * values[t, i, record] * gelu_slope(z, below)
                d_value[t, i, record] = d_gated * z * below
    scale_again(hat, weights.norm, normal)
    product_back(normal, d_gate, gradients.gate)
    product_back(normal, d_value, gradients.value)
    d_normal = d_out
    d_normal[:] = 0
    for t in range(dx.shape[0]):
        add_turned_product(weights.gate.kernel, d_gate[t], d_normal[t])
        add_turned_product(weights.value.kernel, d_value[t], d_normal[t])
        normalise_back(d_normal[t], hat[t], inverse_deviation[t], weights.norm, gradients.norm, dx[t])
