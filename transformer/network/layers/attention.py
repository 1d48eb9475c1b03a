"""Scaled dot-product attention in heads: the Keras layer, its arithmetic over blocks, and the gradients behind it.

Letters of shapes: B batch, T tokens attending, M tokens attended to, D width, H heads, K width of one head.
"""

# Keras calls the shapes of `build` by the names of `call`'s arguments, so their number and names differ from the base
# class; its stubs hold what an operation returns for possibly None; and Numba has no types.
# pyright: basic
# pyright: reportIncompatibleMethodOverride=false, reportOptionalOperand=false, reportCallIssue=false
# pyright: reportOptionalSubscript=false

import math
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from transformer.arithmetic.dropout import Dropout, add_dropped_product, drop_all
from transformer.arithmetic.gradients import normalise_back, product_back, scale_again
from transformer.arithmetic.kernels import (
    BLOCK_PITCH,
    Dense,
    Floats,
    Norm,
    add_turned_product,
    compiled,
    normalise,
    prepare,
    set_product,
)
from transformer.arithmetic.mixing import mix, mix_back
from transformer.network.layers.form import Call, Calls, Place, View


@keras.saving.register_keras_serializable("tidemark")
class MultiHeadAttention(keras.layers.Layer):
    """Scaled dot-product attention in H heads (section 3.2.2): softmax(Q K' / sqrt(K)) V, joined and projected.

    Maps (B, T, D), and for cross-attention (B, M, D), to (B, T, D).
    """

    def __init__(self, d_model: int, num_heads: int, rate: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if d_model % num_heads:
            raise ValueError(f"d_model ({d_model}) must be a multiple of num_heads ({num_heads})")
        self.d_model, self.num_heads, self.rate = d_model, num_heads, rate
        self.supports_masking = True
        self.head_width = d_model // num_heads
        self.query = keras.layers.Dense(d_model, name="query", dtype=self.dtype_policy)
        self.key = keras.layers.Dense(d_model, name="key", dtype=self.dtype_policy)
        self.value = keras.layers.Dense(d_model, name="value", dtype=self.dtype_policy)
        self.output_projection = keras.layers.Dense(d_model, name="output", dtype=self.dtype_policy)
        self.dropout = keras.layers.Dropout(rate, dtype=self.dtype_policy)

    def build(self, x_shape: Any, context_shape: Any = None) -> None:
        """Make the four projections; queries come from the input, keys and values from the context."""
        attended = x_shape if context_shape is None else context_shape
        self.query.build(x_shape)
        self.key.build(attended)
        self.value.build(attended)
        self.output_projection.build((*x_shape[:-1], self.d_model))

    def call(
        self, x: Any, context: Any = None, mask: Any = None, *, causal: bool = False, training: bool | None = None
    ) -> Any:
        """Attend from x to context (default: x itself). `mask` (B, M) is true where a token may be attended to."""
        attended = x if context is None else context
        query, key, value = (
            self._heads(self.query(x)),
            self._heads(self.key(attended)),
            self._heads(self.value(attended)),
        )
        logits = ops.einsum("bhtk,bhmk->bhtm", query, key) / math.sqrt(self.head_width)
        logits = _hide(logits, mask, causal=causal)
        weights = self.dropout(steady_softmax(logits), training=training)
        joined = ops.transpose(ops.einsum("bhtm,bhmk->bhtk", weights, value), (0, 2, 1, 3))  # (B, T, H, K)
        return self.output_projection(ops.reshape(joined, (-1, ops.shape(x)[1], self.d_model)))

    def compute_output_shape(self, x_shape: Any, context_shape: Any = None) -> Any:
        """The shape of the input, with width D."""
        return (*x_shape[:-1], self.d_model)

    def get_config(self) -> dict[str, Any]:
        """Everything the constructor needs."""
        own = {"d_model": self.d_model, "num_heads": self.num_heads, "rate": self.rate}
        return super().get_config() | own

    def _heads(self, x: Any) -> Any:
        split = ops.reshape(x, (-1, ops.shape(x)[1], self.num_heads, self.head_width))  # (B, T, H, K)
        return ops.transpose(split, (0, 2, 1, 3))  # (B, H, T, K)


def steady_softmax(logits: Any) -> Any:
    """Return exp(x - max) / sum over the last axis, with the same bits for a row wherever it stands in the batch.

    TensorFlow's own softmax on a CPU does not: where the axis is no multiple of four, equal rows differ in their last
    bit by their place in the batch, and a score would depend on a record's neighbours.
    (The bits of `exp` are the same only in a batch of a multiple of 16 rows: the last numbers of others are computed
    one by one.)
    """
    raised = ops.exp(logits - ops.stop_gradient(ops.max(logits, axis=-1, keepdims=True)))
    return raised / ops.sum(raised, axis=-1, keepdims=True)


def _hide(logits: Any, mask: Any, *, causal: bool) -> Any:
    """Make what may not be seen so small that its weight is zero, within the range of half precision."""
    if not causal and mask is None:
        return logits
    visible = None
    if causal:
        length = logits.shape[-1] or ops.shape(logits)[-1]
        order = ops.arange(length)
        visible = (order[:, None] >= order[None, :])[None, None]  # (1, 1, T, M)
    if mask is not None:
        allowed = ops.cast(mask, "bool")[:, None, None, :]  # (B, 1, 1, M)
        visible = allowed if visible is None else ops.logical_and(visible, allowed)
    return ops.where(visible, logits, ops.cast(-3e4, logits.dtype))


class AttentionWeights(NamedTuple):
    """Weights of attention with the norm before it, or their gradients; and what is dropped."""

    norm: Norm
    query: Dense
    key: Dense
    value: Dense
    output: Dense
    shares: Dropout
    added: Dropout


class AttentionKept(NamedTuple):
    """What attention leaves behind: see `attend`."""

    hat: Floats
    inverse_deviation: Floats
    query: Floats
    key: Floats
    value: Floats
    shares: Floats
    found: Floats


def attention_calls(
    place: Place, layer: Any, norm: Any, drops: tuple[Dropout, Dropout], *, is_own: bool = True, is_causal: bool = False
) -> Calls:
    """Return the calls of a `MultiHeadAttention` behind a norm, added to what came in, which is worked on in place.

    It attends to itself, or to the second input.
    """

    def read(view: View) -> AttentionWeights:
        parts = (layer.query, layer.key, layer.value, layer.output_projection)
        return AttentionWeights(place.norm(norm, view), *(place.dense(one, view) for one in parts), *drops)

    context = place.output if is_own else place.inputs[1]
    kept = _keep(place, layer, place.output.shape[0], context.shape[0])
    weights, how = read(place.view), (layer.num_heads, is_own, is_causal, kept, place.seed)
    forward: list[Call] = [prepare(attend, place.output, context, weights, *how)]
    if place.view_gradient is None:
        return Calls(forward)
    d_context = place.d_output if is_own else place.d_inputs[1]
    slopes, gradients = (place.d_output, d_context), read(place.view_gradient)
    return Calls(forward, [prepare(attend_back, *slopes, context, weights, *how, gradients)])


def _keep(place: Place, layer: Any, tokens: int, many: int) -> AttentionKept:
    """Return room for T tokens that attend to M."""
    place.pool.begin()  # a part of a layer keeps nothing for the next part
    width, kept = layer.d_model, place.many(tokens)
    return AttentionKept(
        hat=place.keep(kept, width if place.is_learning else 0),
        inverse_deviation=place.keep(kept),
        query=place.keep(tokens, width),
        key=place.keep(many, width),
        value=place.keep(many, width),
        shares=place.keep(layer.num_heads if place.is_learning else 1, kept, many),
        found=place.keep(tokens, width),
    )


@compiled
def attend(x, context, weights, heads, is_own, is_causal, kept, seeds):
    """X (T, D) += attention of the normalised x to itself, or to a context (M, D)."""
    hat, inverse_deviation, query, key, value, shares, found = kept
    seed = seeds[0]
    normal = np.empty((x.shape[1], BLOCK_PITCH), np.float32)
    for t in range(x.shape[0]):
        at = t % hat.shape[0]
        normalise(x[t], weights.norm, hat[at], inverse_deviation[at], normal)
        set_product(weights.query, normal, query[t])
        if is_own:
            set_product(weights.key, normal, key[t])
            set_product(weights.value, normal, value[t])
    if not is_own:
        for m in range(context.shape[0]):
            set_product(weights.key, context[m], key[m])
            set_product(weights.value, context[m], value[m])
    mix(query, key, value, heads, is_causal, weights.shares, seed, shares, found)
    for t in range(x.shape[0]):
        add_dropped_product(weights.output, found[t], weights.added, seed, t * x.shape[1], x[t])


@compiled
def attend_back(dx, dcontext, context, weights, heads, is_own, is_causal, kept, seeds, gradients):
    """Gradients of `attend`: those of x, of the context, and of the weights are added to."""
    hat, inverse_deviation, _, key, _, _, found = kept
    seed = seeds[0]
    d_out, d_found, normal = np.empty_like(hat), np.zeros_like(hat), np.empty_like(hat)
    drop_all(dx, weights.added, seed, d_out)
    product_back(found, d_out, gradients.output)
    for t in range(dx.shape[0]):
        add_turned_product(weights.output.kernel, d_out[t], d_found[t])
    d_query, d_key, d_value = np.zeros_like(hat), np.zeros_like(key), np.zeros_like(key)
    mix_back(d_found, kept, heads, is_causal, weights.shares, seed, d_query, d_key, d_value)
    scale_again(hat, weights.norm, normal)
    source = normal if is_own else context
    product_back(normal, d_query, gradients.query)
    product_back(source, d_key, gradients.key)
    product_back(source, d_value, gradients.value)
    d_normal = d_out
    d_normal[:] = 0
    d_source = d_normal if is_own else dcontext
    for t in range(dx.shape[0]):
        add_turned_product(weights.query.kernel, d_query[t], d_normal[t])
    for m in range(d_source.shape[0]):
        add_turned_product(weights.key.kernel, d_key[m], d_source[m])
        add_turned_product(weights.value.kernel, d_value[m], d_source[m])
    for t in range(dx.shape[0]):
        normalise_back(d_normal[t], hat[t], inverse_deviation[t], weights.norm, gradients.norm, dx[t])
