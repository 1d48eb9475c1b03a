"""The gradients behind the arithmetic of blocks: a function called `..._back` adds to those that it is given."""

# Numba has no types, and the names of what it compiles are those of formulas.
# pyright: basic
# pyright: reportCallIssue=false

import numpy as np

from transformer.arithmetic.kernels import BLOCK_ROWS, compiled
from transformer.arithmetic.simd_gradients import (
    TILE_COLUMNS,
    TILE_ROWS,
    add_outer_row,
    add_outer_tile,
    sum_of_products,
    sum_of_records,
)

TOKENS_AT_ONCE = 4  # of both sides of a product's gradient: 150 kB at the usual width
_ONE = np.float32(1)


@compiled
def product_back(x, dy, gradients):
    """Gradients of the weights of y[t] = kernel' x[t] + bias."""
    add_outer(x, dy, gradients.kernel)
    add_sums(dy, gradients.bias)


@compiled
def add_outer(x, y, out):
    """out[i, j] += the sum over t and records of x[t, i] * y[t, j]; some tokens at a time, which the cache holds."""
    rows, columns = x.shape[1], y.shape[1]
    whole_rows, whole_columns = rows - rows % TILE_ROWS, columns - columns % TILE_COLUMNS
    for first in range(0, x.shape[0], TOKENS_AT_ONCE):
        end = min(first + TOKENS_AT_ONCE, x.shape[0])
        for i in range(0, whole_rows, TILE_ROWS):
            for j in range(0, whole_columns, TILE_COLUMNS):
                add_outer_tile(x, i, y, j, first, end, out)
        for i in range(whole_rows, rows):
            for j in range(0, whole_columns, TILE_COLUMNS):
                add_outer_row(x, i, y, j, first, end, out)
    for i in range(rows):
        for j in range(whole_columns, columns):
            for t in range(x.shape[0]):
                out[i, j] += dot_records(x[t, i], y[t, j])


@compiled
def dot_records(x, y):
    """The sum over records of x * y."""
    return sum_of_products(x, y, BLOCK_ROWS)


@compiled
def add_sums(y, out):
    """out[j] += the sum over t and records of y[t, j]."""
    for j in range(y.shape[1]):
        for t in range(y.shape[0]):
            out[j] += sum_of_records(y[t, j], BLOCK_ROWS)


@compiled
def scale_again(hat, norm, out):
    """What `normalise` gave, from what it kept."""
    gamma, beta = norm
    for t in range(hat.shape[0]):
        for i in range(hat.shape[1]):
            scale, shift = gamma[i], beta[i]
            for record in range(BLOCK_ROWS):
                out[t, i, record] = hat[t, i, record] * scale + shift


@compiled
def normalise_back(dy, hat, inverse_deviation, norm, gradients, dx):
    """With e = gamma dy: dx += inverse_deviation * (e - mean(e) - hat * mean(e * hat)). Overwrites dy with e."""
    rows = hat.shape[0]
    share = _ONE / np.float32(rows)
    mean = np.zeros(BLOCK_ROWS, np.float32)
    along = np.zeros(BLOCK_ROWS, np.float32)
    for i in range(rows):
        gradients.gamma[i] += dot_records(dy[i], hat[i])
        gradients.beta[i] += sum_of_records(dy[i], BLOCK_ROWS)
        scale = norm.gamma[i]
        for record in range(BLOCK_ROWS):
            dy[i, record] *= scale
            mean[record] += dy[i, record] * share
            along[record] += dy[i, record] * hat[i, record] * share
    for i in range(rows):
        for record in range(BLOCK_ROWS):
            off = dy[i, record] - mean[record] - hat[i, record] * along[record]
            dx[i, record] += inverse_deviation[record] * off
