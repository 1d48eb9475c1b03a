"""Adds up boosted trees as one compiled loop: 128 records side by side, every record the same steps.

`TreeSum`'s trees of older bundles strike off leaves; `ObliviousSum`'s find the number of a leaf bit by bit.
"""

# Numba has no types.
# pyright: basic

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from transformer.compiled.kernels import LANES, PITCH, compiled
from transformer.compiled.simd import VECTOR, add_leaves
from transformer.network.name_pairs import COARSE, FACTORS, FINE
from transformer.network.oblivious_layer import DEPTH, ObliviousSum
from transformer.network.tree_layer import Floats32, TreeInputs, TreeSum
from transformer.records.features import Inputs

LOW, HIGH, ODDS, COUNT, PAIR = range(5)
(A, B), (C, D) = FACTORS


class Asked(NamedTuple):
    """The columns that trees ask about: of each its way, its place, and what names count as.

    `pairs` (R, 2) are the columns of names of each pair, `pair_values` what their slots count as (see `name_pairs`);
    `step` is by how much a kind of missing stands above all numbers that are there.
    """

    way: NDArray[np.int64]
    place: NDArray[np.int64]
    first_name: NDArray[np.int64]
    odds: Floats32
    counts: Floats32
    pairs: NDArray[np.int64]
    pair_values: Floats32
    step: np.float32


class TreeTables(NamedTuple):
    """Trees of up to 16 leaves, as in `TreeSum`; columns are numbered among those that are asked about."""

    column: NDArray[np.int32]
    threshold: Floats32
    kept: NDArray[np.int32]
    leaf: Floats32


class ObliviousTables(NamedTuple):
    """Oblivious trees, as in `ObliviousSum`; columns are numbered among those that are asked about."""

    column: NDArray[np.int32]
    threshold: Floats32
    leaf: Floats32


Tables = tuple[TreeInputs, Asked, TreeTables | ObliviousTables]


def lay_out(layer: TreeSum | ObliviousSum) -> Tables:
    """Return the tables of a layer's weights, with only those columns that a tree asks about."""
    if isinstance(layer, TreeSum):
        column, threshold, kept, leaf, ranks = layer.get_weights()
        asked, renamed = _find_asked(layer.asked, column, (ranks, ranks[:0], np.zeros((0, 2)), np.zeros((0, 0))))
        kept = np.ascontiguousarray(kept.astype(np.int64), np.int32)
        return layer.asked, asked, TreeTables(renamed, _floats(threshold), kept, _floats(leaf))
    column, threshold, leaf, *names = layer.get_weights()
    asked, renamed = _find_asked(layer.asked, column, names)
    return layer.asked, asked, ObliviousTables(renamed, _floats(threshold), _floats(leaf))


def add_trees(inputs: Inputs, numbers: Any, kinds: Any, names: Any, tables: Tables, logits: Any) -> None:
    """logits[i] += the sum of the trees of record i, whose numbers, kinds of missing and ids of names these are."""
    source, asked, trees = tables
    if source.rare_sizes:
        names = source.ids(inputs)
    add = _add_trees if isinstance(trees, TreeTables) else _add_oblivious
    add(numbers, kinds, names, asked, trees, logits)


def _floats(values: Any) -> Floats32:
    return np.ascontiguousarray(values, np.float32)


def _find_asked(asked: TreeInputs, column: Floats32, names: Sequence[Any]) -> tuple[Asked, NDArray[np.int32]]:
    used, renamed = np.unique(column.astype(np.int64), return_inverse=True)
    odds, counts, pairs, pair_values = names
    ends = np.array([asked.numbers, 2 * asked.numbers, asked.columns, asked.columns + len(asked.name_sizes)])
    way = np.searchsorted(ends, used, side="right")
    place = used - np.array([0, *ends])[way]
    firsts = asked.first_names.astype(np.int64)
    first_name = np.array([firsts[p] if w in (ODDS, COUNT) else 0 for w, p in zip(way, place, strict=True)], np.int64)
    step = np.float32(asked.bins + 1)
    found = Asked(
        way, place, first_name, _floats(odds), _floats(counts), pairs.astype(np.int64), _floats(pair_values), step
    )
    return found, np.ascontiguousarray(renamed.reshape(column.shape), np.int32)


@compiled
def _add_trees(numbers, kinds, names, asked, trees, logits):
    x = np.zeros((asked.way.shape[0], PITCH), np.float32)
    for start in range(0, logits.shape[0], LANES):
        count = min(LANES, logits.shape[0] - start)
        _describe(numbers, kinds, names, asked, start, count, x)
        sums = np.zeros(LANES, np.float32)
        for tree in range(trees.leaf.shape[0]):
            for lane in range(0, LANES, VECTOR):
                add_leaves(  # pyright: ignore[reportCallIssue]
                    x, trees.column, trees.threshold, trees.kept, trees.leaf, tree, lane, sums
                )
        for lane in range(count):
            logits[start + lane] += sums[lane]


@compiled
def _add_oblivious(numbers, kinds, names, asked, trees, logits):
    x = np.zeros((asked.way.shape[0], PITCH), np.float32)
    place = np.zeros(LANES, np.int32)
    for start in range(0, logits.shape[0], LANES):
        count = min(LANES, logits.shape[0] - start)
        _describe(numbers, kinds, names, asked, start, count, x)
        sums = np.zeros(LANES, np.float32)
        for tree in range(trees.leaf.shape[0]):
            place[:] = 0
            for level in range(DEPTH):
                row, limit = x[trees.column[tree, level]], trees.threshold[tree, level]
                for lane in range(LANES):
                    place[lane] = 2 * place[lane] + np.int32(row[lane] > limit)
            leaf = trees.leaf[tree]
            for lane in range(LANES):
                sums[lane] += leaf[place[lane]]
        for lane in range(count):
            logits[start + lane] += sums[lane]


@compiled
def _describe(numbers, kinds, names, asked, start, count, x):
    for c in range(asked.way.shape[0]):
        p = asked.place[c]
        if asked.way[c] == PAIR:
            first, second, values = asked.pairs[p, 0], asked.pairs[p, 1], asked.pair_values[p]
            for lane in range(count):
                one, other = np.int64(names[start + lane, first]), np.int64(names[start + lane, second])
                fine = values[(A * one + B * other) % FINE]
                x[c, lane] = values[FINE + (C * one + D * other) % COARSE] if np.isnan(fine) else fine
        elif asked.way[c] == ODDS:
            for lane in range(count):
                x[c, lane] = asked.odds[asked.first_name[c] + names[start + lane, p]]
        elif asked.way[c] == COUNT:
            for lane in range(count):
                x[c, lane] = asked.counts[asked.first_name[c] + names[start + lane, p]]
        elif asked.way[c] == LOW:
            for lane in range(count):
                x[c, lane] = numbers[start + lane, p] - kinds[start + lane, p]
        else:
            for lane in range(count):
                x[c, lane] = numbers[start + lane, p] + kinds[start + lane, p] * asked.step
