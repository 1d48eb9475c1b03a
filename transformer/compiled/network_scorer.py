"""The trained network as one compiled function over plain arrays: the same formulas as `network`, for scoring alone.

What is saved, exactly: a number is one row of a table and a share of the next instead of sixteen bins times a matrix;
query, key and value are one product, and so are the two halves of the feed-forward; scale and shift of a layer norm
are part of the product behind it; nothing is kept for gradients, and no operation waits for another one's memory.
"""

# What `vectors` makes is called without Numba's own first argument.
# pyright: basic
# pyright: reportCallIssue=false

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from transformer.compiled.kernels import (
    LANES,
    PITCH,
    add_product,
    attend,
    compiled,
    find_bin,
    gate,
    gelu,
    normalise,
    padded,
    set_product,
    turn_all,
)
from transformer.compiled.simd import VECTOR, add_row
from transformer.compiled.tree_scorer import add_trees
from transformer.compiled.weight_layout import Floats, Parts, take_apart
from transformer.records.features import FeatureTransform, Inputs

_CHECKED_RECORDS = 64
_TOLERANCE = 1e-4  # of a logit, ten times what was ever seen
_ZERO = np.float32(0)


class CompiledNetwork:
    """Scores inputs with the weights of a network of `build_network`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    @classmethod
    def of(cls, network: keras.Model, transform: FeatureTransform) -> "CompiledNetwork | None":
        """Return the compiled form of a network; None for a structure that it does not know.

        The two are compared on random records, so that a change of the network is never scored wrongly.
        """
        try:
            compiled_network = cls(take_apart(network, transform))
        except (KeyError, AttributeError, ValueError, IndexError):
            return None
        inputs = draw_inputs(network, transform)
        expected = np.asarray(network(inputs, training=False)).mean(axis=1)
        found, _ = compiled_network.run(inputs)
        return compiled_network if np.allclose(found, expected, rtol=0, atol=_TOLERANCE) else None

    def run(self, inputs: Inputs) -> tuple[NDArray[np.float64], Floats]:
        """Return the mean logit (N) of each record, and what the head reads (N, W): the output of `head_norm`."""
        numbers, kinds, names = flatten_inputs(inputs)
        rows, parts = len(numbers), self._parts
        logits = np.empty(rows, np.float64)
        summary = np.empty((rows, len(parts.head[0]) + parts.sizes[4]), np.float32)
        weights = (parts.encoder, parts.decoder, parts.head)
        _run(numbers, kinds, names, parts.tables, weights, parts.sizes, logits, summary)
        if parts.trees is not None:
            add_trees(inputs, numbers, kinds, names, parts.trees, logits)
        return logits, summary


def draw_inputs(network: keras.Model, transform: FeatureTransform) -> Inputs:
    """Random records that fit the network, some of them with missing numbers."""
    random = np.random.default_rng(0)
    fewest = min((len(names) for names in transform.categories.values()), default=0) + 2
    inputs: Inputs = {}
    declared: Any = network.input
    for name, tensor in declared.items():
        shape = (_CHECKED_RECORDS, *tensor.shape[1:])
        if "positions" in name:
            inputs[name] = random.uniform(0, 3, shape).astype(np.float32)
        elif "missing" in name:
            inputs[name] = (random.random(shape) < 0.2).astype(np.float32)
        else:
            inputs[name] = random.integers(0, fewest, shape).astype(np.int32)
    for name in ("", "history_"):
        if f"{name}positions" in inputs:
            inputs[f"{name}positions"] *= inputs[f"{name}missing"] == 0
    return inputs


def compilations() -> int:
    """How often the network's function was compiled or loaded in this process: once, whatever is scored."""
    return len(_run.signatures)


def flatten_inputs(inputs: Inputs) -> tuple[Floats, Floats, NDArray[np.int32]]:
    """Numbers, their kinds of missing, and ids of names, each (N, columns): fields first, then period by period."""
    rows = len(next(iter(inputs.values())))

    def joined(names: tuple[str, str], dtype: Any) -> NDArray[Any]:
        parts = [inputs[name].reshape(rows, -1) for name in names if name in inputs]
        if not parts:
            return np.zeros((rows, 0), dtype)
        return np.ascontiguousarray(np.concatenate(parts, axis=1) if len(parts) > 1 else parts[0], dtype=dtype)

    numbers = joined(("positions", "history_positions"), np.float32)
    kinds = joined(("missing", "history_missing"), np.float32)
    return numbers, kinds, joined(("categories", "history_categories"), np.int32)


@compiled
def _run(numbers, kinds, names, plan, weights, sizes, logits, summary):
    encoder, decoder, head = weights
    records, steps, width, _, direct = sizes
    held = plan[4].shape[0] - (records + steps) * padded(width)
    sums = np.zeros((VECTOR, plan[4].shape[0]), np.float32)
    x = np.zeros((records + steps, width, PITCH), np.float32)
    beside = np.zeros((held, PITCH), np.float32)  # the direct path, and behind it the scorecard's part
    seen = np.zeros((summary.shape[1], PITCH), np.float32)
    for start in range(0, len(numbers), LANES):
        stop = min(start + LANES, len(numbers))
        for first in range(start, stop, VECTOR):
            gather_tokens(numbers, kinds, names, plan, first, min(first + VECTOR, stop), padded(width), sums)
            turn_tokens(sums, first - start, x, beside)
        record, past = x[:records], x[records:]
        for block in range(encoder[0].shape[0]):
            _encode(record, encoder, block, sizes)
        if steps > 0:
            for block in range(decoder[0][0].shape[0]):
                _decode(past, record, decoder, block, sizes)
        _summarise(record, past, beside, sizes, seen)
        _judge(seen, beside[direct], head, start, stop, logits, summary)


@compiled
def gather_tokens(numbers, kinds, names, plan, start, stop, token_size, sums):
    """sums[i]: the tokens of record start + i one behind the other, then what stands beside them."""
    table, first, token, bins, begin = plan
    beside_size = table.shape[2] - token_size
    held = sums.shape[1] - beside_size
    columns = numbers.shape[1]
    for row in range(start, stop):
        i = row - start
        for at in range(begin.shape[0]):
            sums[i, at] = begin[at]
        for column in range(columns):
            place, share = find_bin(numbers[row, column], int(kinds[row, column]), bins)
            place += first[column]
            add_row(table, place, 0, share, sums, i, token[column], token_size // VECTOR)
            add_row(table, place, token_size, share, sums, i, held, beside_size // VECTOR)
        for column in range(names.shape[1]):
            place = first[columns + column] + names[row, column]
            add_row(table, place, 0, _ZERO, sums, i, token[columns + column], token_size // VECTOR)
            add_row(table, place, token_size, _ZERO, sums, i, held, beside_size // VECTOR)


@compiled
def turn_tokens(sums, lane, x, beside):
    """Sixteen records become sixteen lanes of the tokens and of what stands beside them."""
    tokens, width, _ = x.shape
    size = padded(width)
    for t in range(tokens):
        turn_all(sums[:, t * size : t * size + width], x[t, :, lane : lane + VECTOR])
    turn_all(sums[:, tokens * size :], beside[:, lane : lane + VECTOR])


@compiled
def _encode(x, encoder, block, sizes):
    projection, projection_bias, joining, joining_bias, widening, widening_bias, narrowing, narrowing_bias = encoder
    _attend_to_itself(x, projection[block], projection_bias[block], joining[block], joining_bias[block], sizes, False)
    _feed_forward(x, widening[block], widening_bias[block], narrowing[block], narrowing_bias[block])


@compiled
def _decode(x, record, decoder, block, sizes):
    own, asking, asking_bias, telling, telling_bias, joining, joining_bias = decoder
    projection, projection_bias, own_joining, own_joining_bias, widening, widening_bias, narrowing, narrowing_bias = own
    _attend_to_itself(
        x, projection[block], projection_bias[block], own_joining[block], own_joining_bias[block], sizes, True
    )
    tokens, width, _ = x.shape
    query = np.empty((tokens, width, PITCH), np.float32)
    normal = np.empty((width, PITCH), np.float32)
    for t in range(tokens):
        normalise(x[t], normal)
        set_product(asking[block], asking_bias[block], normal, query[t])
    told = np.empty((2, record.shape[0], width, PITCH), np.float32)
    for m in range(record.shape[0]):
        for part in range(2):
            set_product(telling[block, part], telling_bias[block, part], record[m], told[part, m])
    found = np.empty((tokens, width, PITCH), np.float32)
    attend(query, told[0], told[1], sizes[3], False, found)
    for t in range(tokens):
        add_product(joining[block], joining_bias[block], found[t], x[t])
    _feed_forward(x, widening[block], widening_bias[block], narrowing[block], narrowing_bias[block])


@compiled
def _attend_to_itself(x, projection, projection_bias, joining, joining_bias, sizes, causal):
    tokens, width, _ = x.shape
    projected = np.empty((3, tokens, width, PITCH), np.float32)
    normal = np.empty((width, PITCH), np.float32)
    found = np.empty((tokens, width, PITCH), np.float32)
    for t in range(tokens):
        normalise(x[t], normal)
        for part in range(3):
            set_product(projection[part], projection_bias[part], normal, projected[part, t])
    attend(projected[0], projected[1], projected[2], sizes[3], causal, found)
    for t in range(tokens):
        add_product(joining, joining_bias, found[t], x[t])


@compiled
def _feed_forward(x, widening, widening_bias, narrowing, narrowing_bias):
    normal = np.empty((x.shape[1], PITCH), np.float32)
    wide = np.empty((widening_bias.shape[0], PITCH), np.float32)
    gated = np.empty((narrowing.shape[0], PITCH), np.float32)
    for t in range(x.shape[0]):
        normalise(x[t], normal)
        set_product(widening, widening_bias, normal, wide)
        gate(wide, gated)
        add_product(narrowing, narrowing_bias, gated, x[t])


@compiled
def _summarise(record, past, beside, sizes, seen):
    """Pooled token, mean, and where there is a history its last period and mean; behind them the direct branch."""
    _, steps, width, _, direct = sizes
    for d in range(width):
        for lane in range(LANES):
            seen[d, lane] = record[0, d, lane]
    mean_tokens(record, seen[width : 2 * width])
    at = 2 * width
    if steps > 0:
        for d in range(width):
            for lane in range(LANES):
                seen[at + d, lane] = past[steps - 1, d, lane]
        mean_tokens(past, seen[at + width : at + 2 * width])
        at += 2 * width
    for d in range(direct):
        for lane in range(LANES):
            seen[at + d, lane] = beside[d, lane]


@compiled
def mean_tokens(x, out):
    """out = the mean of all tokens."""
    share = np.float32(1) / np.float32(x.shape[0])
    for d in range(x.shape[1]):
        for lane in range(LANES):
            out[d, lane] = x[0, d, lane] * share
        for t in range(1, x.shape[0]):
            for lane in range(LANES):
                out[d, lane] += x[t, d, lane] * share


@compiled
def _judge(seen, card, head, start, stop, logits, summary):
    """The mean of all members and the scorecard's part; what attention found is normalised first."""
    scale, shift, inner, inner_bias, outer, linear, own_scale, own_shift, own_outer, bias = head
    width = scale.shape[0]
    found = seen[:width]
    hidden = np.empty((inner_bias.shape[0], PITCH), np.float32)
    logit = np.empty(LANES, np.float32)
    normalise(found, found)
    for i in range(width):
        for lane in range(LANES):
            found[i, lane] = found[i, lane] * scale[i] + shift[i]
    set_product(inner, inner_bias, found, hidden)
    for lane in range(LANES):
        logit[lane] = bias + card[lane]
    for i in range(width):
        for lane in range(LANES):
            logit[lane] += linear[i] * found[i, lane]
    for i in range(hidden.shape[0]):
        for lane in range(LANES):
            logit[lane] += outer[i] * gelu(hidden[i, lane])
    for i in range(own_scale.shape[1]):
        for member in range(own_scale.shape[0]):
            a, b, c = own_scale[member, i], own_shift[member, i], own_outer[member, i]
            for lane in range(LANES):
                logit[lane] += c * max(a * seen[width + i, lane] + b, _ZERO)
    for row in range(start, stop):
        logits[row] = logit[row - start]
    turn_all(seen[:, : stop - start], summary[start:stop])
