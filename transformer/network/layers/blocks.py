"""Encoder and decoder layers: attention and feed-forward, each behind a norm and added to what came in.

Layers are pre-norm (arXiv 2002.04745): x + sublayer(norm(x)) trains without a long warm-up.
"""

# Keras calls the shapes of `build` by the names of `call`'s arguments, so their number and names differ from the base
# class; and Numba has no types.
# pyright: basic
# pyright: reportIncompatibleMethodOverride=false, reportCallIssue=false

from typing import Any, NamedTuple

import keras

from transformer.arithmetic.kernels import compiled, prepare
from transformer.network.layers.attention import (
    AttentionKept,
    AttentionWeights,
    MultiHeadAttention,
    attend,
    attend_back,
    keep_attention,
    read_attention,
)
from transformer.network.layers.feed_forward import (
    FeedForward,
    FeedForwardKept,
    FeedForwardWeights,
    feed_forward,
    feed_forward_back,
    keep_feed_forward,
    read_feed_forward,
)
from transformer.network.layers.form import Calls, Place, View, compiled_form


class _Block(keras.layers.Layer):
    """What encoder and decoder layers share: sizes, configuration, shape."""

    def __init__(
        self, d_model: int = 512, num_heads: int = 8, dff: int = 2048, rate: float = 0.1, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.d_model, self.num_heads, self.dff, self.rate = d_model, num_heads, dff, rate
        self.supports_masking = True
        self.attention = MultiHeadAttention(d_model, num_heads, rate, name="attention", dtype=self.dtype_policy)
        self.attention_norm = keras.layers.LayerNormalization(
            epsilon=1e-6, name="attention_norm", dtype=self.dtype_policy
        )
        self.feed_forward = FeedForward(d_model, dff, rate, name="feed_forward", dtype=self.dtype_policy)
        self.feed_forward_norm = keras.layers.LayerNormalization(
            epsilon=1e-6, name="feed_forward_norm", dtype=self.dtype_policy
        )
        self.dropout = keras.layers.Dropout(rate, dtype=self.dtype_policy)

    def _build_block(self, input_shape: Any) -> None:
        self.attention.build(input_shape)
        self.attention_norm.build(input_shape)
        self.feed_forward.build(input_shape)
        self.feed_forward_norm.build(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Everything the constructor needs."""
        own = {"d_model": self.d_model, "num_heads": self.num_heads, "dff": self.dff, "rate": self.rate}
        return super().get_config() | own


@keras.saving.register_keras_serializable("tidemark")
class TransformerLayer(_Block):
    """One encoder layer (section 3.1): self-attention, then feed-forward, each with a residual. (B, T, D) to itself."""

    def build(self, input_shape: Any) -> None:
        """Make the weights."""
        self._build_block(input_shape)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the input."""
        return input_shape

    def call(self, x: Any, mask: Any = None, training: bool | None = None) -> Any:
        """Let every token see every token that `mask` (B, T) does not hide."""
        attended = self.attention(self.attention_norm(x), mask=mask, training=training)
        x = x + self.dropout(attended, training=training)
        transformed = self.feed_forward(self.feed_forward_norm(x), training=training)
        return x + self.dropout(transformed, training=training)


@keras.saving.register_keras_serializable("tidemark")
class DecoderLayer(_Block):
    """One decoder layer (section 3.1): causal self-attention, attention to a context, feed-forward.

    Maps (B, S, D) to itself.
    """

    def __init__(
        self, d_model: int = 512, num_heads: int = 8, dff: int = 2048, rate: float = 0.1, **kwargs: Any
    ) -> None:
        super().__init__(d_model, num_heads, dff, rate, **kwargs)
        self.cross_attention = MultiHeadAttention(
            d_model, num_heads, rate, name="cross_attention", dtype=self.dtype_policy
        )
        self.cross_norm = keras.layers.LayerNormalization(epsilon=1e-6, name="cross_norm", dtype=self.dtype_policy)

    def build(self, x_shape: Any, context_shape: Any) -> None:
        """Make the weights."""
        self._build_block(x_shape)
        self.cross_attention.build(x_shape, context_shape)
        self.cross_norm.build(x_shape)

    def compute_output_shape(self, x_shape: Any, context_shape: Any) -> Any:
        """The shape of the input."""
        return x_shape

    def call(self, x: Any, context: Any, training: bool | None = None) -> Any:
        """Let every period see itself, earlier periods, and the whole context (B, M, D)."""
        attended = self.attention(self.attention_norm(x), causal=True, training=training)
        x = x + self.dropout(attended, training=training)
        crossed = self.cross_attention(self.cross_norm(x), context, training=training)
        x = x + self.dropout(crossed, training=training)
        transformed = self.feed_forward(self.feed_forward_norm(x), training=training)
        return x + self.dropout(transformed, training=training)


class EncoderWeights(NamedTuple):
    """Weights of a `TransformerLayer`, or their gradients."""

    attention: AttentionWeights
    feed_forward: FeedForwardWeights


class DecoderWeights(NamedTuple):
    """Weights of a `DecoderLayer`, or their gradients."""

    attention: AttentionWeights
    cross_attention: AttentionWeights
    feed_forward: FeedForwardWeights


class EncoderKept(NamedTuple):
    """What a `TransformerLayer` leaves behind."""

    attention: AttentionKept
    feed_forward: FeedForwardKept


class DecoderKept(NamedTuple):
    """What a `DecoderLayer` leaves behind."""

    attention: AttentionKept
    cross_attention: AttentionKept
    feed_forward: FeedForwardKept


@compiled_form(TransformerLayer, in_place=True)
def form_of_encoder(layer: Any, place: Place) -> Calls:
    """What comes in is worked on in place."""
    tokens = place.output.shape[0]
    kept = EncoderKept(
        keep_attention(place, layer.attention, tokens, tokens), keep_feed_forward(place, layer.feed_forward, tokens)
    )

    def read(view: View) -> EncoderWeights:
        return EncoderWeights(
            read_attention(place, view, layer.attention, layer.attention_norm, layer.rate, 0),
            read_feed_forward(place, view, layer.feed_forward, layer.feed_forward_norm, layer.rate, 2),
        )

    weights, heads = read(place.view), layer.num_heads
    forward = prepare(_encode, place.output, weights, heads, kept, place.seed)
    if place.view_gradient is None:
        return Calls([forward])
    arrays = (place.d_output, weights, heads, kept, read(place.view_gradient), place.seed)
    return Calls([forward], [prepare(_encode_back, *arrays)])


@compiled_form(DecoderLayer, in_place=True)
def form_of_decoder(layer: Any, place: Place) -> Calls:
    """What comes in is worked on in place; the second input is the context."""
    tokens, many = place.output.shape[0], place.inputs[1].shape[0]
    kept = DecoderKept(
        keep_attention(place, layer.attention, tokens, tokens),
        keep_attention(place, layer.cross_attention, tokens, many),
        keep_feed_forward(place, layer.feed_forward, tokens),
    )

    def read(view: View) -> DecoderWeights:
        return DecoderWeights(
            read_attention(place, view, layer.attention, layer.attention_norm, layer.rate, 0),
            read_attention(place, view, layer.cross_attention, layer.cross_norm, layer.rate, 2),
            read_feed_forward(place, view, layer.feed_forward, layer.feed_forward_norm, layer.rate, 4),
        )

    weights, heads = read(place.view), layer.num_heads
    forward = prepare(_decode, place.output, place.inputs[1], weights, heads, kept, place.seed)
    if place.view_gradient is None:
        return Calls([forward])
    slopes = (place.d_output, place.d_inputs[1], place.inputs[1])
    back = prepare(_decode_back, *slopes, weights, heads, kept, read(place.view_gradient), place.seed)
    return Calls([forward], [back])


@compiled
def _encode(x, weights, heads, kept, seed):
    attend(x, x, weights.attention, heads, True, False, kept.attention, seed[0])
    feed_forward(x, weights.feed_forward, kept.feed_forward, seed[0])


@compiled
def _encode_back(dx, weights, heads, kept, gradients, seed):
    feed_forward_back(dx, weights.feed_forward, kept.feed_forward, gradients.feed_forward, seed[0])
    attend_back(dx, dx, dx, weights.attention, heads, True, False, kept.attention, gradients.attention, seed[0])


@compiled
def _decode(x, context, weights, heads, kept, seed):
    attend(x, x, weights.attention, heads, True, True, kept.attention, seed[0])
    attend(x, context, weights.cross_attention, heads, False, False, kept.cross_attention, seed[0])
    feed_forward(x, weights.feed_forward, kept.feed_forward, seed[0])


@compiled
def _decode_back(dx, d_context, context, weights, heads, kept, gradients, seed):
    feed_forward_back(dx, weights.feed_forward, kept.feed_forward, gradients.feed_forward, seed[0])
    attend_back(
        dx, d_context, context, weights.cross_attention, heads, False, False,
        kept.cross_attention, gradients.cross_attention, seed[0],
    )  # fmt: skip
    attend_back(dx, dx, dx, weights.attention, heads, True, True, kept.attention, gradients.attention, seed[0])
