"""Adds up boosted trees as one compiled loop: 128 records side by side, every record the same steps (see `trees`)."""

# Numba has no types.
# pyright: basic

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from transformer.compiled.kernels import LANES, PITCH, compiled
from transformer.compiled.simd import VECTOR, add_leaves
from transformer.network.tree_layer import Floats32, TreeInputs

LOW, HIGH, NAME = 0, 1, 2


class TreeTables(NamedTuple):
    """Trees and what they ask about: of each used column its way, its place among the numbers or names, and its ranks.

    `step` is by how much a kind of missing stands above all numbers that are there.
    """

    way: NDArray[np.int64]
    place: NDArray[np.int64]
    first_name: NDArray[np.int64]
    ranks: Floats32
    step: np.float32
    column: NDArray[np.int32]
    threshold: Floats32
    kept: NDArray[np.int32]
    leaf: Floats32


def lay_out(asked: TreeInputs, weights: list[NDArray[np.float32]]) -> TreeTables:
    """Return the tables of a `TreeSum`'s weights, with only those columns that a tree asks about."""
    column, threshold, kept, leaf, ranks = weights
    used, renamed = np.unique(column.astype(np.int64), return_inverse=True)
    numbers = asked.numbers
    way = np.where(used < numbers, LOW, np.where(used < 2 * numbers, HIGH, NAME))
    place = np.where(way == NAME, used - 2 * numbers, used % max(1, numbers))
    firsts = asked.first_names.astype(np.int64)
    first_name = np.array([firsts[p] if w == NAME else 0 for w, p in zip(way, place, strict=True)], np.int64)
    return TreeTables(
        way,
        place,
        first_name,
        np.ascontiguousarray(ranks, np.float32),
        np.float32(asked.bins + 1),
        np.ascontiguousarray(renamed.reshape(column.shape), np.int32),
        np.ascontiguousarray(threshold, np.float32),
        np.ascontiguousarray(kept.astype(np.int64), np.int32),
        np.ascontiguousarray(leaf, np.float32),
    )


@compiled
def add_trees(numbers, kinds, names, tables, logits):
    """logits[i] += the sum of the trees of record i, whose numbers, kinds of missing and ids of names these are."""
    way, place, first_name, ranks, step, column, threshold, kept, leaf = tables
    x = np.zeros((way.shape[0], PITCH), np.float32)
    for start in range(0, logits.shape[0], LANES):
        count = min(LANES, logits.shape[0] - start)
        for c in range(way.shape[0]):
            p = place[c]
            if way[c] == NAME:
                for lane in range(count):
                    x[c, lane] = ranks[first_name[c] + names[start + lane, p]]
            elif way[c] == LOW:
                for lane in range(count):
                    x[c, lane] = numbers[start + lane, p] - kinds[start + lane, p]
            else:
                for lane in range(count):
                    x[c, lane] = numbers[start + lane, p] + kinds[start + lane, p] * step
        _add_block(x, column, threshold, kept, leaf, logits[start : start + count])


@compiled
def add_up(values, column, threshold, kept, leaf, logits):
    """The same for values (N, C) that trees ask about as they stand."""
    x = np.zeros((values.shape[1], PITCH), np.float32)
    for start in range(0, logits.shape[0], LANES):
        count = min(LANES, logits.shape[0] - start)
        for c in range(values.shape[1]):
            for lane in range(count):
                x[c, lane] = values[start + lane, c]
        _add_block(x, column, threshold, kept, leaf, logits[start : start + count])


@compiled
def _add_block(x, column, threshold, kept, leaf, logits):
    sums = np.zeros(LANES, np.float32)
    for tree in range(leaf.shape[0]):
        for lane in range(0, LANES, VECTOR):
            add_leaves(x, column, threshold, kept, leaf, tree, lane, sums)  # pyright: ignore[reportCallIssue]
    for lane in range(logits.shape[0]):
        logits[lane] += sums[lane]
