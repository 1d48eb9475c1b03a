"""Tables of numbers: a number is one row and a share of the next, instead of all bins times a matrix."""

# Numba has no types, and the names of what it compiles are those of formulas.
# pyright: basic
# pyright: reportCallIssue=false

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from transformer.arithmetic.gradients import add_sums
from transformer.arithmetic.kernels import Floats, compiled, padded, turn_all
from transformer.arithmetic.simd import VECTOR, add_row
from transformer.arithmetic.simd_gradients import give_row


class NumberWeights(NamedTuple):
    """Vectors of P numbers' bins (P, K, D) and kinds of missing (P, M, D), and of each alone (P, D), or gradients."""

    slopes: Floats
    absent: Floats
    bias: Floats


class NumberTable(NamedTuple):
    """What columns add: row r and share f of column c add `rows[r, 0] + f * rows[r, 1]` to what begins at `token[c]`.

    Zeros fill D up to whole vectors. `first` is the row of the column's first bin; behind the bins are the kinds of
    missing. `begin` is what stands there before any column, token behind token; `of` the number whose vectors it has.
    """

    rows: Floats
    begin: Floats
    first: NDArray[np.int64]
    token: NDArray[np.int64]
    of: NDArray[np.int64]


@compiled
def find_bin(u, kind, bins):
    """The bin that a placed number or a kind of missing lies in, of one column's, and how far up in it."""
    if kind > 0:
        return bins + kind - 1, np.float32(0)
    place = min(int(u), bins - 1)
    return place, u - np.float32(place)


@compiled
def fill_table(weights, table):
    """A bin's row is the sum of the bins below and the slope of its own; each kind of missing is a row."""
    slopes, absent, bias = weights
    numbers, bins, width = slopes.shape
    kinds = absent.shape[1]
    for p in range(numbers):
        own = table.rows[p * (bins + kinds) : (p + 1) * (bins + kinds)]
        for d in range(width):
            own[0, 0, d] = np.float32(0)
        for k in range(bins):
            for d in range(width):
                own[k, 1, d] = slopes[p, k, d]
                if k > 0:
                    own[k, 0, d] = own[k - 1, 0, d] + slopes[p, k - 1, d]
        for m in range(kinds):
            for d in range(width):
                own[bins + m, 0, d] = absent[p, m, d]
    table.begin[:] = 0
    for column in range(table.token.shape[0]):
        for d in range(width):
            table.begin[table.token[column] + d] += bias[table.of[column], d]


@compiled
def look_up(positions, missing, table, bins, out):
    """out (T, D): what all columns add, token by token."""
    tokens, width, _ = out.shape
    if tokens * width == 1:
        _look_up_number(positions, missing, table, bins, out[0, 0])
        return
    size = padded(width)
    sums = np.empty((VECTOR, tokens * size), np.float32)
    for first in range(0, positions.shape[0], VECTOR):
        for i in range(VECTOR):
            row = first + i
            for at in range(table.begin.shape[0]):
                sums[i, at] = table.begin[at]
            for column in range(positions.shape[1]):
                place, share = find_bin(positions[row, column], int(missing[row, column]), bins)
                place += table.first[column]
                add_row(table.rows, place, 0, share, sums, i, table.token[column], size // VECTOR)
        for t in range(tokens):
            turn_all(sums[:, t * size : t * size + width], out[t, :, first : first + VECTOR])


@compiled
def _look_up_number(positions, missing, table, bins, out):
    """The same for vectors of one number, such as a scorecard's points."""
    for row in range(positions.shape[0]):
        total = table.begin[0]
        for column in range(positions.shape[1]):
            place, share = find_bin(positions[row, column], int(missing[row, column]), bins)
            place += table.first[column]
            total += table.rows[place, 0, 0] + share * table.rows[place, 1, 0]
        out[row] = total


@compiled
def look_up_back(positions, missing, d_out, slopes, gradients):
    """Gradients of `look_up`, by way of those of the table."""
    tokens, width, _ = d_out.shape
    size, bins = padded(width), gradients.slopes.shape[1]
    slopes.rows[:] = 0
    slopes.begin[:] = 0
    for t in range(tokens):
        add_sums(d_out[t : t + 1], slopes.begin[t * size : t * size + width])
    sums = np.zeros((VECTOR, tokens * size), np.float32)
    for first in range(0, positions.shape[0], VECTOR):
        for t in range(tokens):
            turn_all(d_out[t, :, first : first + VECTOR], sums[:, t * size : t * size + width])
        for i in range(VECTOR):
            row = first + i
            for column in range(positions.shape[1]):
                place, share = find_bin(positions[row, column], int(missing[row, column]), bins)
                place += slopes.first[column]
                give_row(sums, i, slopes.token[column], share, slopes.rows, place, 0, size // VECTOR)
    empty_table(slopes, gradients)


@compiled
def empty_table(slopes, gradients):
    """Gradients of what `fill_table` read: a bin's slope counts in all bins above it."""
    d_slopes, d_absent, d_bias = gradients
    numbers, bins, width = d_slopes.shape
    kinds = d_absent.shape[1]
    for p in range(numbers):
        own = slopes.rows[p * (bins + kinds) : (p + 1) * (bins + kinds)]
        for k in range(bins - 1, -1, -1):
            for d in range(width):
                d_slopes[p, k, d] += own[k, 1, d]
                if k > 0:
                    d_slopes[p, k - 1, d] += own[k, 0, d]
                    own[k - 1, 0, d] += own[k, 0, d]
        for m in range(kinds):
            for d in range(width):
                d_absent[p, m, d] += own[bins + m, 0, d]
    for column in range(slopes.token.shape[0]):
        for d in range(width):
            d_bias[slopes.of[column], d] += slopes.begin[slopes.token[column] + d]
