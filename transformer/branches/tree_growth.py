"""Grows oblivious trees: every level of a tree asks all of its records the same question.

The question of a level is the one whose leaf means point most in the direction of the gradient (their cosine, as in
CatBoost; Prokhorenkova et al. 2018, arXiv 1706.09516), with noise that fades as trees are added. A leaf's step is found
by Newton's method. Everything is summed in a fixed order, so that the same records give the same trees.
"""

# Numba has no types.
# pyright: basic

import numpy as np
from numba import njit

DEPTH = 6
LEAVES = 1 << DEPTH
MOST_BINS = 64  # of a column; finer ones made no difference on any book that was tried
RIDGE = 3.0
_NEWTON_STEPS, _SETTLED = 10, 1e-3
_MOST_CHANGE = 1.0  # of a logit at a step: where the bad event is rare, a whole step goes far beyond the best one
_NOTHING = np.float32(1e-20)

compiled = njit(nogil=True, cache=True, error_model="numpy")


@compiled
def find_question(binned, node, gradient, weight, leaves, noise, cuts):
    """Return gain, column and bin of the best question of a level; records of a higher bin than it go right.

    binned uint8 (C, N), node int32 (N) the leaf of each record so far, noise float32 (C, bins); `cuts` (C) is how many
    cuts between its bins each column has.
    """
    bins = noise.shape[1]
    best, best_column, best_bin = np.float32(-np.inf), 0, 0
    sums = np.empty(leaves * bins, np.float32)
    counts = np.empty(leaves * bins, np.float32)
    dot = np.empty(bins, np.float32)
    norm = np.empty(bins, np.float32)
    for column in range(binned.shape[0]):
        _add_up(binned[column], node, gradient, weight, bins, sums, counts)
        _compare(sums, counts, leaves, bins, dot, norm)
        for b in range(cuts[column]):
            if norm[b] <= _NOTHING:  # nothing lies on one of its sides
                continue
            gain = dot[b] / np.sqrt(norm[b]) + noise[column, b]
            if gain > best:
                best, best_column, best_bin = gain, column, b
    return best, best_column, best_bin


@compiled
def _add_up(binned, node, gradient, weight, bins, sums, counts):
    sums[:] = 0
    counts[:] = 0
    for row in range(binned.shape[0]):
        place = node[row] * bins + binned[row]
        sums[place] += gradient[row]
        counts[place] += weight[row]


@compiled
def _compare(sums, counts, leaves, bins, dot, norm):
    """The product of leaf means and gradient, and the squared length of the leaf means, for a cut behind each bin."""
    dot[:] = 0
    norm[:] = 0
    ridge = np.float32(RIDGE)
    for leaf in range(leaves):
        first = leaf * bins
        total, count = np.float32(0), np.float32(0)
        for b in range(bins):
            total += sums[first + b]
            count += counts[first + b]
        if count <= 0:
            continue
        left_sum, left_count = np.float32(0), np.float32(0)
        for b in range(bins - 1):
            left_sum += sums[first + b]
            left_count += counts[first + b]
            right_sum, right_count = total - left_sum, count - left_count
            left, right = left_sum / (left_count + ridge), right_sum / (right_count + ridge)
            dot[b] += left_sum * left + right_sum * right
            norm[b] += left * left * left_count + right * right * right_count


@compiled
def go_right(binned, cut, node):
    """Every record's leaf one level further down."""
    for row in range(node.shape[0]):
        node[row] = 2 * node[row] + (binned[row] > cut)


@compiled
def find_steps(node, target, weight, logits, rate, leaf):
    """Fill in each leaf's step, times the learning rate, and take it."""
    step = np.zeros(LEAVES)
    slope = np.empty(LEAVES)
    curvature = np.empty(LEAVES)
    for _ in range(_NEWTON_STEPS):
        slope[:] = 0
        curvature[:] = RIDGE
        for row in range(node.shape[0]):
            mine = node[row]
            p = 1 / (1 + np.exp(-(logits[row] + step[mine])))
            slope[mine] += weight[row] * (target[row] - p)
            curvature[mine] += weight[row] * p * (1 - p)
        largest = 0.0
        for one in range(LEAVES):
            change = min(_MOST_CHANGE, max(-_MOST_CHANGE, slope[one] / curvature[one]))
            step[one] += change
            largest = max(largest, abs(change))
        if largest < _SETTLED:
            break
    for one in range(LEAVES):
        leaf[one] = np.float32(rate * step[one])
    for row in range(node.shape[0]):
        logits[row] += leaf[node[row]]


@compiled
def find_gradient(target, weight, logits, gradient):
    """Fill in each record's gradient; return their root mean square."""
    total = 0.0
    for row in range(target.shape[0]):
        mine = weight[row] * (target[row] - 1 / (1 + np.exp(-logits[row])))
        gradient[row] = np.float32(mine)
        total += mine * mine
    return np.sqrt(total / max(1, target.shape[0]))


@compiled
def add_trees(binned, columns, cuts, leaf, logits):
    """Add the trees (T, 6) to the logits of records in bins (C, N)."""
    node = np.empty(logits.shape[0], np.int32)
    for tree in range(columns.shape[0]):
        node[:] = 0
        for level in range(DEPTH):
            go_right(binned[columns[tree, level]], cuts[tree, level], node)
        for row in range(logits.shape[0]):
            logits[row] += leaf[tree, node[row]]
