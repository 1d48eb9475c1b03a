"""The Transformer's layers, after "Attention Is All You Need" (Vaswani et al. 2017, arXiv 1706.03762).

The name that others import them by; they stand in `network.layers`, one file a kind, each beside its compiled form.
"""

from transformer.network.layers.attention import MultiHeadAttention, steady_softmax
from transformer.network.layers.blocks import DecoderLayer, TransformerLayer
from transformer.network.layers.feed_forward import FeedForward

__all__ = ["DecoderLayer", "FeedForward", "MultiHeadAttention", "TransformerLayer", "steady_softmax"]
