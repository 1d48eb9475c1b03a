"""Values mixed by the softmax of what queries and keys have in common, head by head, and the gradient of that.

Up to four tokens attend at a time: what they attend to is read once for all of them.
"""

# Numba has no types, and the names of what it compiles are those of formulas.
# pyright: basic
# pyright: reportCallIssue=false

import numpy as np

from transformer.arithmetic.dropout import drop, drop_in
from transformer.arithmetic.kernels import BLOCK_PITCH, BLOCK_ROWS, compiled, exponential
from transformer.arithmetic.simd import VECTOR
from transformer.arithmetic.simd_mixing import (
    collect_1,
    collect_4,
    compare_1,
    compare_2,
    compare_4,
    weigh_1,
    weigh_2,
    weigh_4,
)

AT_ONCE = 4
_ZERO, _ONE = np.float32(0), np.float32(1)


@compiled
def mix(query, key, value, heads, is_causal, dropout, seed, shares, found):
    """Found (T, D): the values (M, D), weighed by softmax(query key' / sqrt(K)), head by head.

    The softmax is kept in `shares` where that has room for all of it.
    """
    tokens, width, many = query.shape[0], query.shape[1] // heads, key.shape[0]
    is_kept = shares.shape[0] == heads and shares.shape[1] == tokens
    scale = _ONE / np.sqrt(np.float32(width))
    share = np.empty((AT_ONCE, many, BLOCK_PITCH), np.float32)
    for head in range(heads):
        first, t = head * width, 0
        while t < tokens:
            size = _count(tokens - t)
            visible = t + size if is_causal else many
            _compare(key, query, t, size, first, width, visible, share)
            for c in range(size):
                seen = t + c + 1 if is_causal else many
                _soften(share[c], seen, visible, scale)
                for m in range(visible):
                    if is_kept:
                        for record in range(BLOCK_ROWS):
                            shares[head, t + c, m, record] = share[c, m, record]
                    drop_in(share[c, m], dropout, seed, (head * tokens + t + c) * many + m)
            _weigh(value, share, size, first, width, visible, found, t)
            t += size


@compiled
def _count(rest):
    """How many tokens attend at a time, of so many that are left."""
    return AT_ONCE if rest >= AT_ONCE else min(rest, 2)


@compiled
def _compare(x, y, t, size, first, width, count, out):
    """out[c, m] = the product of x[m] and y[t + c], for the first so many m."""
    for record in range(0, BLOCK_ROWS, VECTOR):
        for m in range(count):
            if size == AT_ONCE:
                compare_4(x, m, y, t, first, width, out, record)
            elif size == 1:
                compare_1(x, m, y, t, first, width, out, record)
            else:
                compare_2(x, m, y, t, first, width, out, record)


@compiled
def _weigh(x, shares, size, first, width, count, out, t):
    """out[t + c, k] = the sum over the first so many m of shares[c, m] * x[m, k]."""
    for record in range(0, BLOCK_ROWS, VECTOR):
        for k in range(first, first + width):
            if size == AT_ONCE:
                weigh_4(x, k, shares, count, out, t, record)
            elif size == 1:
                weigh_1(x, k, shares, count, out, t, record)
            else:
                weigh_2(x, k, shares, count, out, t, record)


@compiled
def _collect(shares, y, t, size, first, width, count, out):
    """out[m, k] += the sum over tokens of shares[c, m] * y[t + c, k], for the first so many m."""
    whole = width - width % AT_ONCE
    for record in range(0, BLOCK_ROWS, VECTOR):
        for m in range(count):
            for k in range(first, first + whole, AT_ONCE):
                collect_4(shares, m, y, t, size, out, k, record)
            for k in range(first + whole, first + width):
                collect_1(shares, m, y, t, size, out, k, record)


@compiled
def _soften(share, seen, visible, scale):
    """Softmax of scale times the rows that are seen; the others become zero."""
    highest = np.empty(BLOCK_ROWS, np.float32)
    total = np.zeros(BLOCK_ROWS, np.float32)
    for record in range(BLOCK_ROWS):
        highest[record] = share[0, record]
    for m in range(1, seen):
        for record in range(BLOCK_ROWS):
            highest[record] = max(highest[record], share[m, record])
    for m in range(seen):
        for record in range(BLOCK_ROWS):
            raised = exponential((share[m, record] - highest[record]) * scale)
            share[m, record] = raised
            total[record] += raised
    for record in range(BLOCK_ROWS):
        total[record] = _ONE / total[record]
    for m in range(seen):
        for record in range(BLOCK_ROWS):
            share[m, record] *= total[record]
    for m in range(seen, visible):
        for record in range(BLOCK_ROWS):
            share[m, record] = _ZERO


@compiled
def mix_back(d_found, kept, heads, is_causal, dropout, seed, d_query, d_key, d_value):
    """Gradients of `mix`: those of queries are filled in, those of keys and values are added to."""
    _, _, query, key, value, shares, _ = kept
    tokens, width, many = query.shape[0], query.shape[1] // heads, key.shape[0]
    slope = np.empty((AT_ONCE, many, BLOCK_PITCH), np.float32)
    dropped = np.empty((AT_ONCE, many, BLOCK_PITCH), np.float32)
    for head in range(heads):
        first, t = head * width, 0
        while t < tokens:
            size = _count(tokens - t)
            visible = t + size if is_causal else many
            _compare(value, d_found, t, size, first, width, visible, slope)
            for c in range(size):
                place = (head * tokens + t + c) * many
                _soften_back(shares[head, t + c], visible, width, dropout, seed, place, slope[c], dropped[c])
            _weigh(key, slope, size, first, width, visible, d_query, t)
            _collect(slope, query, t, size, first, width, visible, d_key)
            _collect(dropped, d_found, t, size, first, width, visible, d_value)
            t += size


@compiled
def _soften_back(share, visible, width, dropout, seed, place, slope, dropped):
    """Behind softmax and dropout: the gradient before them in `slope`, and what was left of the shares."""
    scale = _ONE / np.sqrt(np.float32(width))
    along = np.zeros(BLOCK_ROWS, np.float32)
    for m in range(visible):
        drop(share[m], dropout, seed, place + m, dropped[m])
        drop_in(slope[m], dropout, seed, place + m)
        for record in range(BLOCK_ROWS):
            along[record] += slope[m, record] * share[m, record]
    for m in range(visible):
        for record in range(BLOCK_ROWS):
            slope[m, record] = scale * share[m, record] * (slope[m, record] - along[record])
