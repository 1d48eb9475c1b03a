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

from transformer.network.layers.blocks import DecoderLayer, TransformerLayer
from transformer.network.layers.heads import DirectMembers, HeadMembers
from transformer.network.layers.logits import JoinedLogits
from transformer.network.layers.names import NameSums, NameTokens
from transformer.network.layers.numbers import DirectNumbers, MonthTokens, NumberTokens
from transformer.network.layers.oblivious_trees import ObliviousSum
from transformer.network.layers.tokens import BlankToken, Join, LearntVectors, PooledToken, Summary
from transformer.network.layers.tree_columns import TreeInputs
from transformer.network.layers.trees import TreeSum
from transformer.records.features import FIRST_KNOWN_ID, FeatureTransform
from transformer.records.schema import Field, History


@dataclass(frozen=True)
class NetworkOptions:
    """Sizes of the network; the defaults suit books of some thousands to some millions of records.

    `field_tokens` and `name_tokens` are the most tokens that numbers and names have; None, as in older bundles, gives
    each name one. `seeds` sets of `members` heads are trained side by side on the same tokens; 0 for `direct` leaves
    that branch out. `oblivious` trees, which may ask about so many `combinations` of names, are fitted after the rest,
    so training begins without any; `trees` are those of older bundles.
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
    name_tokens: int | None = 12
    seeds: int = 1
    trees: int = 0
    oblivious: int = 0
    combinations: int = 0


def build_network(transform: FeatureTransform, options: NetworkOptions | None = None) -> keras.Model:
    """Return the network for what `transform` gives; it maps the inputs to (B, E) logits, one per head member.

    The members that read attention's summary come first, those of the direct branch after them, as many. Each is fitted
    by itself; the record's logit is their mean.
    """
    options = options or NetworkOptions()
    inputs = _declare_inputs(transform)
    record = _encode_record(inputs, transform, options)  # (B, 1 + fields, D)
    summary = [Summary(0, name="record_summary")(record)]
    if transform.schema.steps:
        past = _decode_history(inputs, transform, record, options)  # (B, S, D)
        summary.append(Summary(-1, name="past_summary")(past))
    joined = Join(name="summary")(summary)
    parts = [keras.layers.LayerNormalization(epsilon=1e-6, name="summary_norm")(joined)]
    if options.direct:
        parts.append(LearntVectors(name="direct_bias")(_map_all(inputs, transform, options.direct, prefix="direct")))
    # All that the heads read is the output of one layer, for whoever explains them.
    seen = Join(name="head_norm")(parts)
    width, members = parts[0].shape[-1], options.members * options.seeds
    # The scorecard's part: zero while the rest is fitted by steps, then set by ridge regression (`scorecard`).
    card = _map_all(inputs, transform, 1, prefix="card", trainable=False)
    if options.trees:  # beside the scorecard's part, and set like it
        card.append(TreeSum(tree_inputs(transform), options.trees, name="trees")(inputs))
    if options.oblivious:
        card.append(ObliviousSum(tree_inputs(transform), options.oblivious, options.combinations, name="trees")(inputs))
    branches = [HeadMembers(members, options.member_hidden, options.rate, width, name="head")(seen)]
    if options.direct:
        branches.append(DirectMembers(members, options.direct_rate, options.direct, name="direct")(seen))
    network = keras.Model(inputs, JoinedLogits(name="logits")(branches, card), name="tidemark")
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
        named = NameTokens(sizes, width, tokens=options.name_tokens, name="names")(inputs["categories"])
        tokens.append(LearntVectors(name="name_places")(named))
    if not tokens:  # a record that is history alone: the pooled token is all there is to encode
        tokens.append(BlankToken(width, name="blank")(next(iter(inputs.values()))))
    record = PooledToken(name="pooled")(tokens)
    for block in range(options.blocks):
        record = TransformerLayer(width, options.num_heads, options.dff, options.rate, name=f"encoder_{block}")(record)
    return record


def _decode_history(inputs: dict[str, Any], transform: FeatureTransform, record: Any, options: NetworkOptions) -> Any:
    width = options.d_model
    parts: list[Any] = []
    if "history_positions" in inputs:
        months = MonthTokens(transform.bins, width, count_kinds(transform.schema.histories), name="months")
        parts.append(months(inputs["history_positions"], inputs["history_missing"]))
    if "history_categories" in inputs:
        sizes = name_sizes(transform, transform.schema.histories)
        parts.append(NameSums(sizes, width, name="month_names")(inputs["history_categories"]))
    past = LearntVectors(name="month_places")(parts)
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
        names = NameSums(name_sizes(transform, schema.fields), width, name=f"{prefix}_names", **common)
        parts.append(names(inputs["categories"]))
    if "history_categories" in inputs:
        sizes = name_sizes(transform, schema.histories) * schema.steps
        names = NameSums(sizes, width, flat=True, name=f"{prefix}_month_names", **common)
        parts.append(names(inputs["history_categories"]))
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
