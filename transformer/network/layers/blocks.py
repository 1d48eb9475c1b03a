"""Encoder and decoder layers: attention and feed-forward, each behind a norm and added to what came in.

Layers are pre-norm (arXiv 2002.04745): x + sublayer(norm(x)) trains without a long warm-up.
"""

# Keras calls the shapes of `build` by the names of `call`'s arguments, so their number and names differ from the base
# class.
# pyright: basic
# pyright: reportIncompatibleMethodOverride=false

from typing import Any

import keras

from transformer.arithmetic.dropout import Dropout
from transformer.network.layers.attention import MultiHeadAttention, attention_calls
from transformer.network.layers.feed_forward import FeedForward, feed_forward_calls
from transformer.network.layers.form import Calls, Place, compiled_form


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


@compiled_form(TransformerLayer, in_place=True)
def form_of_encoder(layer: Any, place: Place) -> Calls:
    """What comes in is worked on in place."""
    own = attention_calls(place, layer.attention, layer.attention_norm, _drops(place, layer, layer.attention, 0))
    return _in_turn(own, _feed_forward_calls(layer, place, 2))


@compiled_form(DecoderLayer, in_place=True)
def form_of_decoder(layer: Any, place: Place) -> Calls:
    """What comes in is worked on in place; the second input is the context."""
    drops = [_drops(place, layer, one, first) for one, first in ((layer.attention, 0), (layer.cross_attention, 2))]
    own = attention_calls(place, layer.attention, layer.attention_norm, drops[0], is_causal=True)
    crossed = attention_calls(place, layer.cross_attention, layer.cross_norm, drops[1], is_own=False)
    return _in_turn(own, crossed, _feed_forward_calls(layer, place, 4))


def _feed_forward_calls(layer: Any, place: Place, first: int) -> Calls:
    drops = _drops(place, layer, layer.feed_forward, first)
    return feed_forward_calls(place, layer.feed_forward, layer.feed_forward_norm, drops)


def _drops(place: Place, layer: Any, part: Any, first: int) -> tuple[Dropout, Dropout]:
    """Inside of a part at its own rate, and of what it adds, at that of the layer; numbered from `first`."""
    return place.dropout(part.rate, first), place.dropout(layer.rate, first + 1)


def _in_turn(*parts: Calls) -> Calls:
    """One part after the other; gradients the other way round. Numba compiles each part once for all layers."""
    forward = [call for one in parts for call in one.forward]
    return Calls(forward, [call for one in reversed(parts) for call in one.backward])
