"""Values mixed by the softmax of what queries and keys have in common, head by head, and the gradient of that."""

# Numba has no types, and the names of what it compiles are those of formulas.
# pyright: basic
# pyright: reportCallIssue=false

import numpy as np

from transformer.arithmetic.dropout import drop, drop_in
from transformer.arithmetic.kernels import BLOCK_PITCH, BLOCK_ROWS, compiled, exponential

_ZERO, _ONE = np.float32(0), np.float32(1)


@compiled
def mix(query, key, value, heads, is_causal, dropout, seed, shares, found):
    """Found (T, D): the values (M, D), weighed by softmax(query key' / sqrt(K)), head by head."""
    tokens, width = query.shape[0], query.shape[1] // heads
    many = key.shape[0]
    scale = _ONE / np.sqrt(np.float32(width))
    dropped = np.empty((many, BLOCK_PITCH), np.float32)
    for head in range(heads):
        first = head * width
        for t in range(tokens):
            visible = t + 1 if is_causal else many
            share = shares[head % shares.shape[0], t % shares.shape[1]]
            for m in range(visible):
                _dot_rows(query[t, first : first + width], key[m, first : first + width], share[m])
            _soften(share, visible, scale)
            if dropout.limit > 0:
                for m in range(visible):
                    drop(share[m], dropout, seed, (head * tokens + t) * many + m, dropped[m])
                share = dropped
            for k in range(first, first + width):
                _weigh(share, value, visible, k, found[t, k])


@compiled
def _dot_rows(x, y, out):
    """Out = the sum over rows of x * y."""
    for record in range(BLOCK_ROWS):
        out[record] = x[0, record] * y[0, record]
    for k in range(1, x.shape[0]):
        for record in range(BLOCK_ROWS):
            out[record] += x[k, record] * y[k, record]


@compiled
def _soften(share, visible, scale):
    """Softmax of scale times the first rows."""
    highest = np.empty(BLOCK_ROWS, np.float32)
    total = np.zeros(BLOCK_ROWS, np.float32)
    for record in range(BLOCK_ROWS):
        highest[record] = share[0, record]
    for m in range(1, visible):
        for record in range(BLOCK_ROWS):
            highest[record] = max(highest[record], share[m, record])
    for m in range(visible):
        for record in range(BLOCK_ROWS):
            raised = exponential((share[m, record] - highest[record]) * scale)
            share[m, record] = raised
            total[record] += raised
    for record in range(BLOCK_ROWS):
        total[record] = _ONE / total[record]
    for m in range(visible):
        for record in range(BLOCK_ROWS):
            share[m, record] *= total[record]


@compiled
def _weigh(share, value, visible, k, out):
    for record in range(BLOCK_ROWS):
        out[record] = share[0, record] * value[0, k, record]
    for m in range(1, visible):
        for record in range(BLOCK_ROWS):
            out[record] += share[m, record] * value[m, k, record]


@compiled
def mix_back(d_found, kept, heads, is_causal, dropout, seed, d_query, d_key, d_value):
    """Gradients of `mix`: those of queries, keys and values are added to."""
    _, _, query, key, value, shares, _ = kept
    tokens, width = query.shape[0], query.shape[1] // heads
    many = key.shape[0]
    scale = _ONE / np.sqrt(np.float32(width))
    dropped = np.empty(BLOCK_ROWS, np.float32)
    slope = np.empty((many, BLOCK_ROWS), np.float32)
    along = np.empty(BLOCK_ROWS, np.float32)
    for head in range(heads):
        first = head * width
        for t in range(tokens):
            visible = t + 1 if is_causal else many
            share = shares[head, t]
            for record in range(BLOCK_ROWS):
                along[record] = _ZERO
            for m in range(visible):
                at = (head * tokens + t) * many + m
                drop(share[m], dropout, seed, at, dropped)
                for record in range(BLOCK_ROWS):
                    slope[m, record] = _ZERO
                for k in range(first, first + width):
                    for record in range(BLOCK_ROWS):
                        d_value[m, k, record] += dropped[record] * d_found[t, k, record]
                        slope[m, record] += value[m, k, record] * d_found[t, k, record]
                drop_in(slope[m], dropout, seed, at)
                for record in range(BLOCK_ROWS):
                    along[record] += slope[m, record] * share[m, record]
            for m in range(visible):
                for record in range(BLOCK_ROWS):
                    slope[m, record] = scale * share[m, record] * (slope[m, record] - along[record])
                for k in range(first, first + width):
                    for record in range(BLOCK_ROWS):
                        d_query[t, k, record] += slope[m, record] * key[m, k, record]
                        d_key[m, k, record] += slope[m, record] * query[t, k, record]
