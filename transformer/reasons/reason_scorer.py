"""The head that finds reason codes as one compiled function: the formulas of `ReasonHead`, for scoring alone.

How far a column's inputs are up their ladders enters every product as one row of a table and a share of the next, as
numbers do in `network.layers.numbers`; the rest is two products over blocks of records, and the choice of the largest
effects.
"""

# What `vectors` makes is called without Numba's own first argument.
# pyright: basic
# pyright: reportCallIssue=false

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from transformer.arithmetic.kernels import (
    BLOCK_PITCH,
    BLOCK_ROWS,
    Dense,
    add_product,
    compiled,
    gelu,
    padded,
    set_product,
    turn_all,
)
from transformer.arithmetic.simd import VECTOR, add_row
from transformer.reasons.explainer import (
    KINDS_OF_EFFECT,
    LEAST_EFFECT,
    LEAST_SHARE,
    NO_REASON,
    REASONS,
    ReasonHead,
    choose_reasons,
)
from transformer.records.features import Inputs

Floats = NDArray[np.float32]

_CHECKED_RECORDS = 64
_LEAST_ALIKE = 0.98  # of the checked records' reasons: where two effects are all but equal, rounding chooses
_LEAST_EFFECT, _LEAST_SHARE = np.float32(LEAST_EFFECT), np.float32(LEAST_SHARE)


class Rungs(NamedTuple):
    """The steps of each input that has any: `lower` and `width` (I, 16), the input's place among the flat ones (I).

    Row `first[i] + k` of `rows` (R, 2, H + 16) is what the steps below step k of input i add, and what step k adds: to
    the hidden layer, and to how far the input's column moved, which lies at `moved[i]` among the sums. `begin` is what
    the sums are where nothing is up its ladder: the biases less the reference.
    """

    lower: Floats
    width: Floats
    place: NDArray[np.int64]
    first: NDArray[np.int64]
    moved: NDArray[np.int64]
    rows: Floats
    begin: Floats


class CompiledReasons:
    """Finds the reasons of records from their inputs and what the network's head read of them."""

    def __init__(self, head: ReasonHead) -> None:
        distances, reading, bias, sensitivities, sensitivity_bias = (
            np.asarray(weight, np.float32) for weight in head.get_weights()
        )
        columns, rank = distances.shape[0], distances.shape[-1]
        if VECTOR % rank:
            raise ValueError(f"a rank of {rank} does not divide a vector of {VECTOR}")
        width = len(reading) - head.ladder.reference.size
        self._rungs = _climbable(head, distances, reading[width:], bias)
        hidden = padded(len(bias))
        self._weights = (
            _pad_columns(reading[:width], hidden),
            np.zeros(hidden, np.float32),
            np.ascontiguousarray(np.pad(sensitivities, [(0, hidden - len(sensitivities)), (0, 0)])),
            sensitivity_bias,
        )
        self._sizes = (columns, rank)

    @classmethod
    def of(cls, head: ReasonHead, width: int) -> "CompiledReasons | None":
        """Return the compiled form of a head that reads `width` numbers of a record; None where the two differ."""
        try:
            made = cls(head)
        except ValueError:
            return None
        random, ladder = np.random.default_rng(0), head.ladder
        flat = np.zeros((_CHECKED_RECORDS, int(ladder.places.max()) + 1), np.float32)
        for column, slot in np.ndindex(ladder.places.shape):
            reachable = ladder.lower[column, slot][ladder.lower[column, slot] < _UNREACHABLE]
            if len(reachable):
                ends = reachable[0] - 1, reachable[-1] + 1
                flat[:, ladder.places[column, slot]] = random.uniform(*ends, _CHECKED_RECORDS)
        summary = random.normal(size=(_CHECKED_RECORDS, width)).astype(np.float32)
        expected = np.asarray(choose_reasons(head(flat, summary)))
        found = made._run(flat, summary)
        return made if (found == expected).mean() >= _LEAST_ALIKE else None

    def run(self, inputs: Inputs, summary: Floats) -> NDArray[np.int16]:
        """Return the positions (N, 4) of the reasons, strongest first, -1 where there is none."""
        parts = [inputs[name].reshape(len(summary), -1) for name in sorted(inputs)]
        return self._run(np.concatenate(parts, axis=1, dtype=np.float32, casting="unsafe"), summary)

    def _run(self, flat: Floats, summary: Floats) -> NDArray[np.int16]:
        reasons = np.full((len(flat), REASONS), NO_REASON, np.int16)
        _find_reasons(flat, summary, self._rungs, self._weights, self._sizes, reasons)
        return reasons


_UNREACHABLE = np.finfo(np.float32).max / 8


def _climbable(head: ReasonHead, distances: Floats, reading: Floats, bias: Floats) -> Rungs:
    ladder, (columns, inputs, steps) = head.ladder, head.ladder.lower.shape
    rank, hidden = distances.shape[-1], padded(len(bias))
    reading = _pad_columns(reading, hidden).reshape(columns, inputs, steps, hidden)
    distances = distances.reshape(columns, inputs, steps, rank)
    found: list[tuple[Any, ...]] = []
    for column, slot in np.ndindex(columns, inputs):
        used = int((ladder.lower[column, slot] < _UNREACHABLE).sum())
        if used:
            at = column * rank % VECTOR
            moves = np.zeros((used, VECTOR), np.float32)
            moves[:, at : at + rank] = distances[column, slot, :used]
            slope = np.concatenate([reading[column, slot, :used], moves], axis=1)
            base = np.cumsum(np.concatenate([np.zeros_like(slope[:1]), slope[:-1]]).astype(np.float64), axis=0)
            found.append((column, slot, np.stack([base.astype(np.float32), slope], axis=1)))
    reference = ladder.reference.reshape(columns, inputs, steps).astype(np.float64)
    begin = np.zeros(hidden + padded(columns * rank))
    begin[: len(bias)] = bias
    begin[:hidden] -= np.einsum("cmk,cmkh->h", reference, reading)
    begin[hidden : hidden + columns * rank] = -np.einsum("cmk,cmkr->cr", reference, distances).reshape(-1)
    sizes = [len(rows) for _, _, rows in found]
    return Rungs(
        lower=np.array([_fill_up(ladder.lower[c, m], np.inf) for c, m, _ in found], np.float32).reshape(-1, VECTOR),
        width=np.array([_fill_up(ladder.width[c, m], 1) for c, m, _ in found], np.float32).reshape(-1, VECTOR),
        place=np.array([ladder.places[c, m] for c, m, _ in found], np.int64),
        first=np.cumsum([0, *sizes[:-1]]).astype(np.int64),
        moved=np.array([hidden + c * rank // VECTOR * VECTOR for c, _, _ in found], np.int64),
        rows=np.concatenate([rows for _, _, rows in found]) if found else np.zeros((0, 2, hidden + VECTOR), np.float32),
        begin=begin.astype(np.float32),
    )


def _fill_up(steps: Floats, value: float) -> Floats:
    if len(steps) > VECTOR:
        raise ValueError(f"a ladder of {len(steps)} steps is longer than a vector of {VECTOR}")
    return np.pad(steps, (0, VECTOR - len(steps)), constant_values=value)


def _pad_columns(weights: Floats, columns: int) -> Floats:
    return np.ascontiguousarray(np.pad(weights, [(0, 0), (0, columns - weights.shape[1])]))


@compiled
def _find_reasons(flat, summary, rungs, weights, sizes, reasons):
    reading, nothing, sensitivities, sensitivity_bias = weights
    begin = rungs[6]
    hidden = nothing.shape[0]
    sums = np.zeros((VECTOR, begin.shape[0]), np.float32)
    x = np.zeros((begin.shape[0], BLOCK_PITCH), np.float32)
    seen = np.zeros((summary.shape[1], BLOCK_PITCH), np.float32)
    sensitivity = np.zeros((sensitivity_bias.shape[0], BLOCK_PITCH), np.float32)
    for start in range(0, len(flat), BLOCK_ROWS):
        stop = min(start + BLOCK_ROWS, len(flat))
        for first in range(start, stop, VECTOR):
            _climb(flat, rungs, first, min(first + VECTOR, stop), hidden, sums)
            turn_all(sums, x[:, first - start : first - start + VECTOR])
        turn_all(summary[start:stop], seen[:, : stop - start])
        add_product(Dense(reading, nothing), seen, x[:hidden])
        for i in range(hidden):
            for record in range(BLOCK_ROWS):
                x[i, record] = gelu(x[i, record])
        set_product(Dense(sensitivities, sensitivity_bias), x[:hidden], sensitivity)
        _choose(x[hidden:], sensitivity, sizes, start, stop, reasons)


@compiled
def _climb(flat, rungs, start, stop, hidden, sums):
    lower, width, place, first, moved, rows, begin = rungs
    for row in range(start, stop):
        i = row - start
        for at in range(begin.shape[0]):
            sums[i, at] = begin[at]
        for one in range(place.shape[0]):
            value = flat[row, place[one]]
            reached = 0
            for k in range(VECTOR):
                reached += lower[one, k] <= value
            if reached == 0:
                continue
            step = reached - 1
            share = min((value - lower[one, step]) / width[one, step], np.float32(1))
            add_row(rows, first[one] + step, 0, share, sums, i, 0, hidden // VECTOR)
            add_row(rows, first[one] + step, hidden, share, sums, i, moved[one], 1)


@compiled
def _choose(moved, sensitivity, sizes, start, stop, reasons):
    """Effects are moved times sensitivity over the rank; of both kinds the smaller counts, and the largest are told."""
    columns, rank = sizes
    alone = np.empty(BLOCK_ROWS, np.float32)
    shared = np.empty(BLOCK_ROWS, np.float32)
    largest = np.zeros(BLOCK_ROWS, np.float32)
    smaller = np.empty((columns, BLOCK_ROWS), np.float32)
    for column in range(columns):
        alone[:] = 0
        shared[:] = 0
        for r in range(rank):
            mine, first = column * rank + r, column * KINDS_OF_EFFECT * rank + r
            for record in range(BLOCK_ROWS):
                alone[record] += moved[mine, record] * sensitivity[first, record]
                shared[record] += moved[mine, record] * sensitivity[first + rank, record]
        for record in range(BLOCK_ROWS):
            largest[record] = max(largest[record], abs(alone[record]))
            smaller[column, record] = min(alone[record], shared[record])
    values = np.empty(REASONS, np.float32)
    for record in range(stop - start):
        _pick(smaller, record, _LEAST_SHARE * largest[record], values, reasons[start + record])


@compiled
def _pick(effects, record, least, values, chosen):
    """The columns of the largest effects, equal ones in their order; none where the first is not above `least`."""
    values[:] = _LEAST_EFFECT
    for column in range(effects.shape[0]):
        value, place = effects[column, record], column
        for at in range(REASONS):
            if value > values[at]:
                values[at], value = value, values[at]
                chosen[at], place = place, chosen[at]
    if not values[0] > least:
        chosen[:] = NO_REASON
