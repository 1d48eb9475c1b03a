"""The network: an encoder over the fields, a decoder over the behaviour history, a head for the bad event.

    fields  -> tokens (pooled + one per field) -> encoder layers -----------------+-> pooled, mean -+
    history -> tokens (one per period)         -> decoder layers (see the record) --> last, mean  --+-> head -> logits

A period never sees a later one.
"""

from dataclasses import dataclass
from typing import Any

import keras

from transformer.embeddings import (
    HeadMembers,
    LearntVectors,
    MonthTokens,
    NameTokens,
    NumberTokens,
    PooledToken,
)
from transformer.features import BINS, FIRST_KNOWN_ID, FeatureTransform
from transformer.layers import DecoderLayer, TransformerLayer


@dataclass(frozen=True)
class NetworkOptions:
    """Sizes of the network; the defaults suit books of some thousands to some millions of records."""

    d_model: int = 32
    num_heads: int = 4
    dff: int = 64
    blocks: int = 1
    rate: float = 0.2
    members: int = 8
    member_hidden: int = 16


def build_network(transform: FeatureTransform, options: NetworkOptions | None = None) -> keras.Model:
    """Return the network for what `transform` gives; it maps the inputs to (B, E) logits, one per head member."""
    options = options or NetworkOptions()
    inputs = _declare_inputs(transform)
    record = _encode_record(inputs, transform, options)  # (B, 1 + fields, D)
    summary = [record[:, 0], keras.ops.mean(record, axis=1)]
    if transform.schema.steps:
        past = _decode_history(inputs, transform, record, options)  # (B, S, D)
        summary += [past[:, -1], keras.ops.mean(past, axis=1)]
    joined = keras.layers.LayerNormalization(epsilon=1e-6, name="head_norm")(keras.ops.concatenate(summary, axis=-1))
    joined = keras.layers.Dropout(options.rate, name="head_dropout")(joined)
    logits = HeadMembers(options.members, options.member_hidden, name="head")(joined)
    return keras.Model(inputs, logits, name="tidemark")


def _declare_inputs(transform: FeatureTransform) -> dict[str, Any]:
    fields, histories, steps = transform.schema.fields, transform.schema.histories, transform.schema.steps
    numbers = sum(one.kind == "numeric" for one in fields)
    pasts = sum(one.kind == "numeric" for one in histories)
    shapes: dict[str, tuple[tuple[int, ...], str]] = {}
    if numbers:
        shapes |= dict.fromkeys(("positions", "missing"), ((numbers,), "float32"))
    if numbers < len(fields):
        shapes["categories"] = ((len(fields) - numbers,), "int32")
    if pasts:
        shapes |= dict.fromkeys(("history_positions", "history_missing"), ((steps, pasts), "float32"))
    if pasts < len(histories):
        shapes["history_categories"] = ((steps, len(histories) - pasts), "int32")
    return {name: keras.Input(shape, dtype=dtype, name=name) for name, (shape, dtype) in shapes.items()}


def _encode_record(inputs: dict[str, Any], transform: FeatureTransform, options: NetworkOptions) -> Any:
    width = options.d_model
    tokens: list[Any] = []
    if "positions" in inputs:
        tokens.append(NumberTokens(BINS, width, name="numbers")(inputs["positions"], inputs["missing"]))
    if "categories" in inputs:
        sizes = _sizes(transform, [one.name for one in transform.schema.fields if one.kind == "categorical"])
        named = NameTokens(sizes, width, name="names")(inputs["categories"])
        tokens.append(LearntVectors(name="name_places")(named))
    if not tokens:  # a record that is history alone: the pooled token is all there is to encode
        first = next(iter(inputs.values()))
        tokens.append(
            keras.ops.zeros_like(keras.ops.cast(first[:, :1, :1], "float32")) + keras.ops.zeros((1, 1, width))
        )
    record = PooledToken(name="pooled")(keras.ops.concatenate(tokens, axis=1))
    for block in range(options.blocks):
        record = TransformerLayer(width, options.num_heads, options.dff, options.rate, name=f"encoder_{block}")(record)
    return record


def _decode_history(inputs: dict[str, Any], transform: FeatureTransform, record: Any, options: NetworkOptions) -> Any:
    width = options.d_model
    past = None
    if "history_positions" in inputs:
        past = MonthTokens(BINS, width, name="months")(inputs["history_positions"], inputs["history_missing"])
    if "history_categories" in inputs:
        sizes = _sizes(transform, [one.name for one in transform.schema.histories if one.kind == "categorical"])
        named = keras.ops.sum(NameTokens(sizes, width, name="month_names")(inputs["history_categories"]), axis=2)
        past = named if past is None else past + named
    past = LearntVectors(name="month_places")(past)
    for block in range(options.blocks):
        layer = DecoderLayer(width, options.num_heads, options.dff, options.rate, name=f"decoder_{block}")
        past = layer(past, record)
    return past


def _sizes(transform: FeatureTransform, names: list[str]) -> tuple[int, ...]:
    return tuple(len(transform.categories[name]) + FIRST_KNOWN_ID for name in names)
