"""The arithmetic of a training step on 128 records side by side: what the layers give, and the gradients behind them.

Arrays hold their lanes last, as in `lanes`; weights are those of `compiled_weights`. A function called `..._back` adds
to the gradients that it is given.
"""

# Numba has no types, and the names of what it compiles are those of formulas.
# pyright: basic
# pyright: reportCallIssue=false

import numpy as np

from transformer.compiled.gradient.simd import TILE, add_outer_tile, sum_of_lanes, sum_of_products
from transformer.compiled.kernels import LANES, compiled, dot_rows, erf_of_root, exponential, soften

_ZERO, _ONE, _HALF, _EPSILON = np.float32(0), np.float32(1), np.float32(0.5), np.float32(1e-6)
_ROOT_TWO_PI = np.float32(0.3989422804014327)  # 1 / sqrt(2 pi)
_HIGHEST = np.float32(87)
FIRST_DECAY, SECOND_DECAY = 0.9, 0.999  # of Adam's means of gradients and of their squares
_ADAM_EPSILON = np.float32(1e-7)
# A hash of 32 bits (lowbias32; C. Wellons 2018): whether a value is dropped is a function of its place alone.
_A, _B = np.uint32(0x7FEB352D), np.uint32(0x846CA68B)
_16, _15 = np.uint32(16), np.uint32(15)
_STEP = np.uint32(0x9E3779B9)


@compiled
def scramble(x):
    """A number of 32 bits that looks like chance."""
    x = np.uint32(x ^ (x >> _16))
    x = np.uint32(x * _A)
    x = np.uint32(x ^ (x >> _15))
    x = np.uint32(x * _B)
    return np.uint32(x ^ (x >> _16))


@compiled
def drop(row, seed, place, limit, scale, out):
    """out = row * scale where a hash of seed, place and lane is at least the limit, else 0."""
    first = _begin(seed, place)
    for lane in range(LANES):
        out[lane] = row[lane] * scale if _finish(first, lane) >= limit else _ZERO


@compiled
def drop_in(row, seed, place, limit, scale):
    """As `drop`, in place: a loop of its own, which the compiler knows to read and write one row."""
    first = _begin(seed, place)
    for lane in range(LANES):
        row[lane] = row[lane] * scale if _finish(first, lane) >= limit else _ZERO


@compiled
def _begin(seed, place):
    return scramble(np.uint32(np.uint32(seed) ^ np.uint32(np.uint32(place) * _STEP)))


@compiled
def _finish(first, lane):
    x = np.uint32(first + np.uint32(lane))
    x = np.uint32(x * _A)
    x = np.uint32(x ^ (x >> _15))
    x = np.uint32(x * _B)
    return np.uint32(x ^ (x >> _16))


@compiled
def normalise_keeping(x, y, spread):
    """y = (x - mean) / sqrt(variance + 1e-6) over the rows; spread is one over that root."""
    rows = x.shape[0]
    share = _ONE / np.float32(rows)
    mean = np.zeros(LANES, np.float32)
    for lane in range(LANES):
        spread[lane] = _ZERO
    for i in range(rows):
        for lane in range(LANES):
            mean[lane] += x[i, lane] * share
    for i in range(rows):
        for lane in range(LANES):
            off = x[i, lane] - mean[lane]
            spread[lane] += off * off * share
    for lane in range(LANES):
        spread[lane] = _ONE / np.sqrt(spread[lane] + _EPSILON)
    for i in range(rows):
        for lane in range(LANES):
            y[i, lane] = (x[i, lane] - mean[lane]) * spread[lane]


@compiled
def normalise_back(dy, y, spread, dx):
    """Gradient of the norm: dx += spread * (dy - mean(dy) - y * mean(dy * y))."""
    rows = y.shape[0]
    share = _ONE / np.float32(rows)
    mean = np.zeros(LANES, np.float32)
    along = np.zeros(LANES, np.float32)
    for i in range(rows):
        for lane in range(LANES):
            mean[lane] += dy[i, lane] * share
            along[lane] += dy[i, lane] * y[i, lane] * share
    for i in range(rows):
        for lane in range(LANES):
            dx[i, lane] += spread[lane] * (dy[i, lane] - mean[lane] - y[i, lane] * along[lane])


@compiled
def gelu_slope(x, below):
    """The derivative of gelu: Phi(x) + x phi(x), given Phi(x)."""
    return below + x * _ROOT_TWO_PI * exponential(-_HALF * x * x)


@compiled
def normal_share(x):
    """Phi(x): the share of a normal distribution below x, by which gelu multiplies it."""
    return _HALF * (_ONE + erf_of_root(x))


@compiled
def sigmoid(x):
    """1 / (1 + exp(-x))."""
    return _ONE / (_ONE + exponential(min(-x, _HIGHEST)))


@compiled
def add_outer(x, y, out):
    """out[i, j] += the sum over t and lanes of x[t, i] * y[t, j]: the gradient of a product's weights."""
    rows, columns = x.shape[1], y.shape[1]
    whole_rows, whole_columns = rows - rows % TILE, columns - columns % TILE
    for i in range(0, whole_rows, TILE):
        for j in range(0, whole_columns, TILE):
            add_outer_tile(x, i, y, j, LANES, out)
    for i in range(rows):
        for j in range(whole_columns if i < whole_rows else 0, columns):
            for t in range(x.shape[0]):
                out[i, j] += dot_lanes(x[t, i], y[t, j])


@compiled
def dot_lanes(x, y):
    """The sum over lanes of x * y."""
    return sum_of_products(x, y, LANES)


@compiled
def add_sums(y, out):
    """out[j] += the sum over t and lanes of y[t, j]: the gradient of a bias."""
    for j in range(y.shape[1]):
        for t in range(y.shape[0]):
            out[j] += sum_of_lanes(y[t, j], LANES)


@compiled
def clear(x):
    """Set all lanes of all rows to zero."""
    for t in range(x.shape[0]):
        for i in range(x.shape[1]):
            for lane in range(LANES):
                x[t, i, lane] = _ZERO


@compiled
def attend_keeping(query, key, value, heads, causal, chance, place, shares, out):
    """As `lanes.attend`, with dropped shares; `shares` (H, T, M) are those before. `chance` is seed, limit, scale."""
    seed, limit, scale = chance
    width = query.shape[1] // heads
    tokens, many = query.shape[0], key.shape[0]
    kept = np.empty(LANES, np.float32)
    for head in range(heads):
        first = head * width
        for t in range(tokens):
            seen = t + 1 if causal else many
            share = shares[head, t]
            for m in range(seen):
                dot_rows(query[t, first : first + width], key[m, first : first + width], share[m])
            soften(share, seen)
            for k in range(first, first + width):
                for lane in range(LANES):
                    out[t, k, lane] = _ZERO
            for m in range(seen):
                drop(share[m], seed, place + (head * tokens + t) * many + m, limit, scale, kept)
                for k in range(first, first + width):
                    for lane in range(LANES):
                        out[t, k, lane] += kept[lane] * value[m, k, lane]


@compiled
def attend_back(dout, query, key, value, heads, causal, chance, place, shares, dquery, dkey, dvalue):
    """Gradients of `attend_keeping`; those of queries, keys and values are added to."""
    seed, limit, scale = chance
    width = query.shape[1] // heads
    tokens, many = query.shape[0], key.shape[0]
    kept = np.empty(LANES, np.float32)
    slope = np.empty((many, LANES), np.float32)
    along = np.empty(LANES, np.float32)
    for head in range(heads):
        first = head * width
        for t in range(tokens):
            seen = t + 1 if causal else many
            share = shares[head, t]
            for lane in range(LANES):
                along[lane] = _ZERO
            for m in range(seen):
                at = place + (head * tokens + t) * many + m
                drop(share[m], seed, at, limit, scale, kept)
                for lane in range(LANES):
                    slope[m, lane] = _ZERO
                for k in range(first, first + width):
                    for lane in range(LANES):
                        dvalue[m, k, lane] += kept[lane] * dout[t, k, lane]
                        slope[m, lane] += value[m, k, lane] * dout[t, k, lane]
                drop_in(slope[m], seed, at, limit, scale)
                for lane in range(LANES):
                    along[lane] += slope[m, lane] * share[m, lane]
            for m in range(seen):
                for lane in range(LANES):
                    slope[m, lane] = share[m, lane] * (slope[m, lane] - along[lane])
                for k in range(first, first + width):
                    for lane in range(LANES):
                        dquery[t, k, lane] += slope[m, lane] * key[m, k, lane]
                        dkey[m, k, lane] += slope[m, lane] * query[t, k, lane]


@compiled
def move_weights(state, gradient, decayed, anchors, hyper):
    """AdamW (Loshchilov and Hutter 2017, arXiv 1711.05101), the pull to the start, and the average, in one pass."""
    theta, first, second, averages = state
    clip, decay, speed, pull, averaging = hyper
    one, first_decay, second_decay = _ONE, np.float32(FIRST_DECAY), np.float32(SECOND_DECAY)
    for i in range(theta.shape[0]):
        g = gradient[i] * clip
        x = theta[i] - theta[i] * decay * decayed[i]
        first[i] += (g - first[i]) * (one - first_decay)
        second[i] += (g * g - second[i]) * (one - second_decay)
        x -= first[i] * speed / (np.sqrt(second[i]) + _ADAM_EPSILON)
        x -= pull * (x - anchors[i])
        theta[i] = x
        averages[i] = averaging * averages[i] + (one - averaging) * x
