"""The network: an encoder over the fields, a decoder over the behaviour history, a head for the bad event.

    fields  -> tokens (pooled + field tokens) -> encoder layers -----------------+-> pooled, mean -+
    history -> tokens (one per period)        -> decoder layers (see the record) --> last, mean  --+-> head -> logits
    all of it -> one hidden layer with members of its own, past attention ---------------------------------+
    all of it -> scorecard (linear in the bins) -----------------------------------------------------------+
    all of it -> trees (sums of leaves found by comparisons) -----------------------------------------------+

A period never sees a later one.
"""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from transformer.layers import DecoderLayer, TransformerLayer
from transformer.network.embeddings import (
    DirectMembers,
    DirectNumbers,
    HeadMembers,
    LearntVectors,
    MonthTokens,
    NameTokens,
    NumberTokens,
    PooledToken,
)
from transformer.network.oblivious_layer import ObliviousSum
from transformer.network.tree_layer import TreeInputs, TreeSum
from transformer.records.features import FIRST_KNOWN_ID, FeatureTransform
from transformer.records.schema import Field, History


@dataclass(frozen=True)
class NetworkOptions:
    """Sizes of the network; the defaults suit books of some thousands to some millions of records.

    `seeds` sets of `members` heads are trained side by side on the same tokens; 0 for `direct` leaves that branch out.
    `oblivious` trees, which may ask about so many `name_pairs`, are fitted after the rest, so training begins without
    any; `trees` are those of older bundles.
    """

    d_model: int = 32
    num_heads: int = 4
    dff: int = 64
    blocks: int = 1
    rate: float = 0.3
    members: int = 8
    member_hidden: int = 16
    direct: int = 64
    direct_rate: float = 0.2
    field_tokens: int = 12
    seeds: int = 1
    trees: int = 0
    oblivious: int = 0
    name_pairs: int = 0


def build_network(transform: FeatureTransform, options: NetworkOptions | None = None) -> keras.Model:
    """Return the network for what `transform` gives; it maps the inputs to (B, E) logits, one per head member.

    The members that read attention's summary come first, those of the direct branch after them, as many. Each is fitted
    by itself; the record's logit is their mean.
    """
    options = options or NetworkOptions()
    inputs = _declare_inputs(transform)
    record = _encode_record(inputs, transform, options)  # (B, 1 + fields, D)
    summary = [record[:, 0], keras.ops.mean(record, axis=1)]
    if transform.schema.steps:
        past = _decode_history(inputs, transform, record, options)  # (B, S, D)
        summary += [past[:, -1], keras.ops.mean(past, axis=1)]
    norm = keras.layers.LayerNormalization(epsilon=1e-6, name="summary_norm")
    parts = [norm(keras.ops.concatenate(summary, axis=-1))]
    if options.direct:
        mapped = _map_all(inputs, transform, options.direct, prefix="direct")
        parts.append(LearntVectors(name="direct_bias")(sum(mapped[1:], mapped[0])))
    # All that the heads read is the output of one layer, for whoever explains them.
    seen = keras.layers.Identity(name="head_norm")(keras.ops.concatenate(parts, axis=-1))
    width, members = parts[0].shape[-1], options.members * options.seeds
    kept = keras.layers.Dropout(options.rate, name="head_dropout")(seen[:, :width])
    # The scorecard's part: zero while the rest is fitted by steps, then set by ridge regression (`scorecard`). It is
    # added before the members are joined: TensorFlow 2.21 adds (B, 1) to joined members (B, 2E) as a sum over the
    # batch, and a record's score would depend on its neighbours.
    mapped = _map_all(inputs, transform, 1, prefix="card", trainable=False)
    card = keras.ops.sum(keras.ops.concatenate(mapped, axis=-1), axis=-1, keepdims=True)
    if options.trees:  # beside the scorecard's part, and set like it
        card = card + TreeSum(tree_inputs(transform), options.trees, name="trees")(inputs)
    if options.oblivious:
        card = card + ObliviousSum(tree_inputs(transform), options.oblivious, options.name_pairs, name="trees")(inputs)
    logits = HeadMembers(members, options.member_hidden, name="head")(kept) + card
    if options.direct:
        direct = DirectMembers(members, options.direct_rate, name="direct")(seen[:, width:])
        logits = keras.ops.concatenate([logits, direct + card], axis=-1)
    network = keras.Model(inputs, logits, name="tidemark")
    for layer in network.layers:
        if layer.name.startswith("card_"):
            layer.set_weights([np.zeros(weight.shape) for weight in layer.weights])
    return network


def _declare_inputs(transform: FeatureTransform) -> dict[str, Any]:
    fields, histories, steps = transform.schema.fields, transform.schema.histories, transform.schema.steps
    numbers = sum(one.kind == "numeric" for one in fields)
    pasts = sum(one.kind == "numeric" for one in histories)
    shapes: dict[str, tuple[tuple[int, ...], str]] = {}
    if numbers:
        shapes |= dict.fromkeys(("positions", "missing"), ((numbers,), "float32"))
    if numbers < len(fields):
        shapes["categories"] = ((len(fields) - numbers,), "int32")
    if transform.slots:
        shapes["rare"] = shapes["categories"]
    if pasts:
        shapes |= dict.fromkeys(("history_positions", "history_missing"), ((steps, pasts), "float32"))
    if pasts < len(histories):
        shapes["history_categories"] = ((steps, len(histories) - pasts), "int32")
    return {name: keras.Input(shape, dtype=dtype, name=name) for name, (shape, dtype) in shapes.items()}


def _encode_record(inputs: dict[str, Any], transform: FeatureTransform, options: NetworkOptions) -> Any:
    width = options.d_model
    tokens: list[Any] = []
    if "positions" in inputs:
        numbers = NumberTokens(
            transform.bins, width, count_kinds(transform.schema.fields), options.field_tokens, name="numbers"
        )
        tokens.append(numbers(inputs["positions"], inputs["missing"]))
    if "categories" in inputs:
        sizes = name_sizes(transform, transform.schema.fields)
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
        months = MonthTokens(transform.bins, width, count_kinds(transform.schema.histories), name="months")
        past = months(inputs["history_positions"], inputs["history_missing"])
    if "history_categories" in inputs:
        sizes = name_sizes(transform, transform.schema.histories)
        named = keras.ops.sum(NameTokens(sizes, width, name="month_names")(inputs["history_categories"]), axis=2)
        past = named if past is None else past + named
    past = LearntVectors(name="month_places")(past)
    for block in range(options.blocks):
        layer = DecoderLayer(width, options.num_heads, options.dff, options.rate, name=f"decoder_{block}")
        past = layer(past, record)
    return past


def _map_all(
    inputs: dict[str, Any], transform: FeatureTransform, width: int, *, prefix: str, trainable: bool = True
) -> list[Any]:
    """Linear maps of all bins, kinds of missing and names, to be added up: (B, width) each."""
    schema, common = transform.schema, {"trainable": trainable}
    parts: list[Any] = []
    if "positions" in inputs:
        numbers = DirectNumbers(transform.bins, width, count_kinds(schema.fields), name=f"{prefix}_numbers", **common)
        parts.append(numbers(inputs["positions"], inputs["missing"]))
    if "history_positions" in inputs:
        months = DirectNumbers(transform.bins, width, count_kinds(schema.histories), name=f"{prefix}_months", **common)
        parts.append(months(inputs["history_positions"], inputs["history_missing"]))
    if "categories" in inputs:
        names = NameTokens(name_sizes(transform, schema.fields), width, name=f"{prefix}_names", **common)
        parts.append(keras.ops.sum(names(inputs["categories"]), axis=1))
    if "history_categories" in inputs:
        sizes = name_sizes(transform, schema.histories)
        names = NameTokens(sizes * schema.steps, width, name=f"{prefix}_month_names", **common)
        flat = keras.ops.reshape(inputs["history_categories"], (-1, schema.steps * len(sizes)))
        parts.append(keras.ops.sum(names(flat), axis=1))
    return parts


def tree_inputs(transform: FeatureTransform) -> TreeInputs:
    """Return what the network's trees may ask about."""
    schema = transform.schema
    numbers = sum(one.kind == "numeric" for one in schema.fields)
    numbers += schema.steps * sum(one.kind == "numeric" for one in schema.histories)
    names = name_sizes(transform, schema.fields) + name_sizes(transform, schema.histories) * schema.steps
    rare = (
        tuple(transform.slots_of(one) for one in schema.fields if one.kind == "categorical") if transform.slots else ()
    )
    return TreeInputs(transform.bins, numbers, names, rare)


def count_kinds(columns: tuple[Field, ...] | tuple[History, ...]) -> int:
    """Return M: the kinds of missing that the numbers among these may have.

    Blank is 1, then the codes of the column that has most; M itself means "hidden from the network", in pretraining.
    """
    return 2 + max((len(one.missing_codes) for one in columns if one.kind == "numeric"), default=0)


def name_sizes(transform: FeatureTransform, columns: tuple[Field, ...] | tuple[History, ...]) -> tuple[int, ...]:
    """Return the number of ids of each categorical one of these."""
    names = [one.name for one in columns if one.kind == "categorical"]
    return tuple(len(transform.categories[name]) + FIRST_KNOWN_ID for name in names)
