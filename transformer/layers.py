"""The Transformer's layers, after "Attention Is All You Need" (Vaswani et al. 2017, arXiv 1706.03762).

Letters of shapes: B batch, T tokens attending, M tokens attended to, D width, H heads, K width of one head.
Layers are pre-norm (arXiv 2002.04745): x + sublayer(norm(x)) trains without a long warm-up.
"""

# Keras calls the shapes of `build` by the names of `call`'s arguments, so their number and names differ from the base
# class; and its stubs hold what an operation returns for possibly None.
# pyright: reportIncompatibleMethodOverride=false, reportOptionalOperand=false, reportOptionalSubscript=false

import math
from typing import Any

import keras
from keras import ops


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
