"""The arithmetic of blocks: 128 records side by side, every record the same steps.

An array holds the records of a block last, (..., BLOCK_PITCH), of which the first BLOCK_ROWS are used: the inner loop
of everything runs over records, so that the machine's vectors are full whatever the width of the network, and a
record's result cannot depend on its neighbours. Measured against TensorFlow's products on (tokens, 32) matrices: 56
against 25 to 40 billion multiplications a second on one core, and nothing is written between two operations.

Numba compiles these functions once on a machine (`precompile`, a step of the installation) and keeps the result beside
this file.
"""

# Numba has no types, and the names of what it compiles are those of formulas.
# pyright: basic
# pyright: reportCallIssue=false

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, typeof, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from transformer.arithmetic.simd import (
    TILE_COLUMNS,
    TILE_RECORDS,
    VECTOR,
    add_column,
    add_tile,
    add_turned_column,
    add_turned_tile,
    set_column,
    set_tile,
    turn,
)

ARITHMETIC = 3  # raised by every change that may give the same weights another last bit
BLOCK_ROWS = 128
BLOCK_PITCH = BLOCK_ROWS + 16  # a power of two would put every row of a block into the same lines of the cache

Floats = NDArray[np.float32]

# No reordering of sums: the same bits at every call. Fused multiply-add is allowed.
compiled = njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz", "arcp"})


class Dense(NamedTuple):
    """Weights (I, J) and bias (J) of a product, or their gradients."""

    kernel: Floats
    bias: Floats


class Norm(NamedTuple):
    """Scale and shift (D) of a layer norm, or their gradients."""

    gamma: Floats
    beta: Floats


def prepare(function: Any, *arguments: Any) -> Callable[[], Any]:
    """Return a call of a compiled function with arrays that stay where they are: Numba looks their types up once.

    That takes a call with thirty arrays from eleven microseconds to two.
    """
    if not hasattr(function, "overloads"):  # NUMBA_DISABLE_JIT=1: plain Python, for a debugger
        return partial(function, *arguments)
    signature = tuple(typeof(one) for one in arguments)
    if signature not in function.overloads:
        function.compile(signature)
    return partial(function.overloads[signature].entry_point, *arguments)


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
EPSILON = np.float32(1e-6)  # of every layer norm
_ROOT_TWO_PI = np.float32(0.3989422804014327)  # 1 / sqrt(2 pi)
_HIGHEST = np.float32(87)


@intrinsic
def _float_of_bits(_context: Any, _bits: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), generate


@compiled
def exponential(x):
    """exp(x) for x up to 88; what is below -87 counts as -87."""
    x = max(x, _LOWEST)
    n = np.floor(x * _LOG2_E + _HALF)
    r = x - n * _LN2_HIGH - n * _LN2_LOW
    series = ((((_E0 * r + _E1) * r + _E2) * r + _E3) * r + _E4) * r + _E5
    power = _float_of_bits((np.int32(n) + _BIAS) << _MANTISSA_BITS)
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
def padded(count):
    """The smallest number of whole vectors that hold so many floats, in floats."""
    return (count + VECTOR - 1) // VECTOR * VECTOR


@compiled
def set_product(dense, x, out):
    """out[j] = bias[j] + sum over i of kernel[i, j] * x[i]."""
    kernel, bias = dense
    columns = kernel.shape[1]
    whole = columns - columns % TILE_COLUMNS
    for record in range(0, BLOCK_ROWS, TILE_RECORDS):
        for j in range(0, whole, TILE_COLUMNS):
            set_tile(kernel, bias, x, out, j, record)
        for j in range(whole, columns):
            set_column(kernel, bias, x, out, j, record)


@compiled
def add_product(dense, x, out):
    """out[j] += bias[j] + sum over i of kernel[i, j] * x[i]."""
    kernel, bias = dense
    columns = kernel.shape[1]
    whole = columns - columns % TILE_COLUMNS
    for record in range(0, BLOCK_ROWS, TILE_RECORDS):
        for j in range(0, whole, TILE_COLUMNS):
            add_tile(kernel, bias, x, out, j, record)
        for j in range(whole, columns):
            add_column(kernel, bias, x, out, j, record)


@compiled
def add_turned_product(kernel, y, out):
    """out[i] += sum over j of kernel[i, j] * y[j]: the gradient of a product's x, given that of what came out."""
    rows = kernel.shape[0]
    whole = rows - rows % TILE_COLUMNS
    for record in range(0, BLOCK_ROWS, TILE_RECORDS):
        for i in range(0, whole, TILE_COLUMNS):
            add_turned_tile(kernel, y, out, i, record)
        for i in range(whole, rows):
            add_turned_column(kernel, y, out, i, record)


@compiled
def turn_all(source, target):
    """target[j, i] = source[i, j], sixteen by sixteen: the records of rows become those of a block, or the reverse."""
    rows, columns = source.shape
    whole_rows, whole_columns = rows - rows % VECTOR, columns - columns % VECTOR
    for i in range(0, whole_rows, VECTOR):
        for j in range(0, whole_columns, VECTOR):
            turn(source, i, j, target, j, i)
    for i in range(rows):
        for j in range(whole_columns if i < whole_rows else 0, columns):
            target[j, i] = source[i, j]


@compiled
def normalise(x, norm, hat, inverse_deviation, out):
    """Out = hat * gamma + beta, where hat = (x - mean) / sqrt(variance + 1e-6) over the rows.

    A `hat` without rows is not kept: nothing is learnt.
    """
    gamma, beta = norm
    rows = x.shape[0]
    share = _ONE / np.float32(rows)
    mean = np.zeros(BLOCK_ROWS, np.float32)
    variance = np.zeros(BLOCK_ROWS, np.float32)
    for i in range(rows):
        for record in range(BLOCK_ROWS):
            mean[record] += x[i, record] * share
    for i in range(rows):
        for record in range(BLOCK_ROWS):
            off = x[i, record] - mean[record]
            variance[record] += off * off * share
    for record in range(BLOCK_ROWS):
        variance[record] = _ONE / np.sqrt(variance[record] + EPSILON)
    for record in range(BLOCK_ROWS):
        inverse_deviation[record] = variance[record]
    for i in range(rows):
        scale, shift = gamma[i], beta[i]
        for record in range(BLOCK_ROWS):
            out[i, record] = (x[i, record] - mean[record]) * variance[record] * scale + shift
    for i in range(hat.shape[0]):
        for record in range(BLOCK_ROWS):
            hat[i, record] = (x[i, record] - mean[record]) * variance[record]
