"""The arithmetic of the compiled network: one record a lane, 128 lanes side by side, every lane the same steps.

An array holds its lanes last, (..., PITCH), of which the first LANES are used: the inner loop of everything runs over
records, so that the machine's vectors are full whatever the width of the network, and a record's result cannot depend
on its neighbours. Measured against TensorFlow's products on (tokens, 32) matrices: 56 against 25 to 40 billion
multiplications a second on one core, and nothing is written between an operation and the next.

Numba compiles these functions once on a machine (`precompile`, a step of the installation) and keeps the result beside
this file.
"""

# Numba has no types, and the names of what it compiles are those of formulas.
# pyright: basic

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from transformer.compiled.simd import (
    TILE_COLUMNS,
    TILE_LANES,
    VECTOR,
    add_column,
    add_tile,
    set_column,
    set_tile,
    turn,
)

ARITHMETIC = 2  # raised by every change that may give the same weights another last bit
LANES = 128
PITCH = LANES + 16  # a power of two would put every row of lanes into the same lines of the cache

# No reordering of sums: the same bits at every call. Fused multiply-add is allowed.
compiled = njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz", "arcp"})

_ONE, _HALF = np.float32(1), np.float32(0.5)
# exp(x) = 2**n * exp(r) with |r| <= ln(2) / 2 (Cephes, expf): relative error below 2e-7.
_LOWEST, _LOG2_E = np.float32(-87), np.float32(1.4426950408889634)
_LN2_HIGH, _LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
_E0, _E1, _E2 = np.float32(1.9875691500e-4), np.float32(1.3981999507e-3), np.float32(8.3334519073e-3)
_E3, _E4, _E5 = np.float32(4.1665795894e-2), np.float32(1.6666665459e-1), np.float32(5.0000001201e-1)
_BIAS, _MANTISSA_BITS = np.int32(127), np.int32(23)
# erf(x) as a quotient of polynomials on [-4, 4], the one that Eigen and TensorFlow use: error below 5e-7.
_ROOT_HALF, _FOUR = np.float32(0.7071067811865476), np.float32(4)
_P1, _P3, _P5 = np.float32(-1.60960333262415e-02), np.float32(-2.95459980854025e-03), np.float32(-7.34990630326855e-04)
_P7, _P9 = np.float32(-5.69250639462346e-05), np.float32(-2.10102402082508e-06)
_P11, _P13 = np.float32(2.77068142495902e-08), np.float32(-2.72614225801306e-10)
_Q0, _Q2, _Q4 = np.float32(-1.42647390514189e-02), np.float32(-7.37332916720468e-03), np.float32(-1.68282697438203e-03)
_Q6, _Q8 = np.float32(-2.13374055278905e-04), np.float32(-1.45660718464996e-05)
_EPSILON = np.float32(1e-6)


@intrinsic
def _float_of_bits(_context: Any, _bits: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), generate


@compiled
def find_bin(u, kind, bins):
    """The bin that a placed number or a kind of missing lies in, of one column's, and how far up in it."""
    if kind > 0:
        return bins + kind - 1, np.float32(0)
    place = min(int(u), bins - 1)
    return place, u - np.float32(place)


@compiled
def exponential(x):
    """exp(x) for x up to 88; what is below -87 counts as -87."""
    x = max(x, _LOWEST)
    n = np.floor(x * _LOG2_E + _HALF)
    r = x - n * _LN2_HIGH - n * _LN2_LOW
    series = ((((_E0 * r + _E1) * r + _E2) * r + _E3) * r + _E4) * r + _E5
    power = _float_of_bits((np.int32(n) + _BIAS) << _MANTISSA_BITS)  # pyright: ignore[reportCallIssue]
    return (series * r * r + r + _ONE) * power


@compiled
def gelu(x):
    """X / 2 * (1 + erf(x / sqrt(2)))."""
    return _HALF * x * (_ONE + erf_of_root(x))


@compiled
def erf_of_root(x):
    """erf(x / sqrt(2))."""
    z = min(max(x * _ROOT_HALF, -_FOUR), _FOUR)
    s = z * z
    above = z * ((((((_P13 * s + _P11) * s + _P9) * s + _P7) * s + _P5) * s + _P3) * s + _P1)
    below = (((_Q8 * s + _Q6) * s + _Q4) * s + _Q2) * s + _Q0
    return above / below


@compiled
def padded(count):
    """The smallest number of whole vectors that hold so many floats, in floats."""
    return (count + VECTOR - 1) // VECTOR * VECTOR


@compiled
def set_product(weights, bias, x, out):
    """out[j] = bias[j] + sum over i of weights[i, j] * x[i]."""
    columns = weights.shape[1]
    whole = columns - columns % TILE_COLUMNS
    for lane in range(0, LANES, TILE_LANES):
        for j in range(0, whole, TILE_COLUMNS):
            set_tile(weights, bias, x, out, j, lane)
        for j in range(whole, columns):
            set_column(weights, bias, x, out, j, lane)


@compiled
def add_product(weights, bias, x, out):
    """out[j] += bias[j] + sum over i of weights[i, j] * x[i]."""
    columns = weights.shape[1]
    whole = columns - columns % TILE_COLUMNS
    for lane in range(0, LANES, TILE_LANES):
        for j in range(0, whole, TILE_COLUMNS):
            add_tile(weights, bias, x, out, j, lane)
        for j in range(whole, columns):
            add_column(weights, bias, x, out, j, lane)


@compiled
def turn_all(source, target):
    """target[j, i] = source[i, j]: records become lanes, or lanes records, sixteen by sixteen."""
    rows, columns = source.shape
    whole_rows, whole_columns = rows - rows % VECTOR, columns - columns % VECTOR
    for i in range(0, whole_rows, VECTOR):
        for j in range(0, whole_columns, VECTOR):
            turn(source, i, j, target, j, i)  # pyright: ignore[reportCallIssue]
    for i in range(rows):
        for j in range(whole_columns if i < whole_rows else 0, columns):
            target[j, i] = source[i, j]


@compiled
def normalise(x, y):
    """y = (x - mean) / sqrt(variance + 1e-6) over the rows; scale and shift are part of the next product."""
    rows = x.shape[0]
    share = _ONE / np.float32(rows)
    mean = np.zeros(LANES, np.float32)
    variance = np.zeros(LANES, np.float32)
    for i in range(rows):
        for lane in range(LANES):
            mean[lane] += x[i, lane] * share
    for i in range(rows):
        for lane in range(LANES):
            off = x[i, lane] - mean[lane]
            variance[lane] += off * off * share
    for lane in range(LANES):
        variance[lane] = _ONE / np.sqrt(variance[lane] + _EPSILON)
    for i in range(rows):
        for lane in range(LANES):
            y[i, lane] = (x[i, lane] - mean[lane]) * variance[lane]


@compiled
def attend(query, key, value, heads, causal, out):
    """out (T, D): dot-product attention of T queries to M keys and values, in heads; the query holds the scale."""
    width = query.shape[1] // heads
    share = np.empty((key.shape[0], PITCH), np.float32)
    for head in range(heads):
        first = head * width
        for t in range(query.shape[0]):
            seen = t + 1 if causal else key.shape[0]
            for m in range(seen):
                dot_rows(query[t, first : first + width], key[m, first : first + width], share[m])
            soften(share, seen)
            for k in range(first, first + width):
                _mix(share, value, seen, k, out[t, k])


@compiled
def dot_rows(x, y, out):
    """out = the sum over rows of x * y."""
    for lane in range(LANES):
        out[lane] = x[0, lane] * y[0, lane]
    for k in range(1, x.shape[0]):
        for lane in range(LANES):
            out[lane] += x[k, lane] * y[k, lane]


@compiled
def soften(share, seen):
    """Softmax over the first rows."""
    highest = np.empty(LANES, np.float32)
    total = np.zeros(LANES, np.float32)
    for lane in range(LANES):
        highest[lane] = share[0, lane]
    for m in range(1, seen):
        for lane in range(LANES):
            highest[lane] = max(highest[lane], share[m, lane])
    for m in range(seen):
        for lane in range(LANES):
            raised = exponential(share[m, lane] - highest[lane])
            share[m, lane] = raised
            total[lane] += raised
    for lane in range(LANES):
        total[lane] = _ONE / total[lane]
    for m in range(seen):
        for lane in range(LANES):
            share[m, lane] *= total[lane]


@compiled
def _mix(share, value, seen, k, out):
    for lane in range(LANES):
        out[lane] = share[0, lane] * value[0, k, lane]
    for m in range(1, seen):
        for lane in range(LANES):
            out[lane] += share[m, lane] * value[m, k, lane]


@compiled
def gate(both, out):
    """out = gelu(first half) * second half, by rows."""
    half = both.shape[0] // 2
    for i in range(half):
        for lane in range(LANES):
            out[i, lane] = gelu(both[i, lane]) * both[half + i, lane]
