"""Dropout by a hash: whether a value is dropped is a function of seed, layer and place alone."""

# Numba has no types, and the names of what it compiles are those of formulas.
# pyright: basic

from typing import NamedTuple

import numpy as np

from transformer.arithmetic.kernels import BLOCK_PITCH, BLOCK_ROWS, add_product, compiled, set_product

_ZERO = np.float32(0)
# A hash of 32 bits (lowbias32; C. Wellons 2018).
_A, _B = np.uint32(0x7FEB352D), np.uint32(0x846CA68B)
_16, _15 = np.uint32(16), np.uint32(15)
_STEP = np.uint32(0x9E3779B9)
_RANGE = 1 << 18  # more places than a layer has where it drops


class Dropout(NamedTuple):
    """What is dropped at one place of the network: hashes below `limit`, the rest times `scale`; 0 drops nothing."""

    first: np.uint32
    limit: np.uint32
    scale: np.float32

    @classmethod
    def of(cls, rate: float, place: int) -> "Dropout":
        """Return the dropout of a rate; each place has a number of its own."""
        limit = np.uint32(min(rate * 2**32, 2**32 - 1))
        return cls(np.uint32(place * _RANGE % 2**32), limit, np.float32(1 / (1 - rate)))


@compiled
def scramble(x):
    """A number of 32 bits that looks like chance."""
    x = np.uint32(x ^ (x >> _16))
    x = np.uint32(x * _A)
    x = np.uint32(x ^ (x >> _15))
    x = np.uint32(x * _B)
    return np.uint32(x ^ (x >> _16))


@compiled
def drop(row, dropout, seed, place, out):
    """Out = row * scale where a hash of seed, place and record is at least the limit, else 0."""
    first = _begin(dropout, seed, place)
    for record in range(BLOCK_ROWS):
        out[record] = row[record] * dropout.scale if _finish(first, record) >= dropout.limit else _ZERO


@compiled
def drop_in(row, dropout, seed, place):
    """As `drop`, in place: a loop of its own, which the compiler knows to read and write one row."""
    if dropout.limit == 0:
        return
    first = _begin(dropout, seed, place)
    for record in range(BLOCK_ROWS):
        row[record] = row[record] * dropout.scale if _finish(first, record) >= dropout.limit else _ZERO


@compiled
def drop_all(x, dropout, seed, out):
    """The same for all rows of all tokens."""
    for t in range(x.shape[0]):
        for i in range(x.shape[1]):
            drop(x[t, i], dropout, seed, t * x.shape[1] + i, out[t, i])


@compiled
def add_dropped_product(dense, y, dropout, seed, place, x):
    """X += dropout(kernel' y + bias)."""
    if dropout.limit == 0:
        add_product(dense, y, x)
        return
    out = np.empty((x.shape[0], BLOCK_PITCH), np.float32)
    set_product(dense, y, out)
    for i in range(x.shape[0]):
        drop_in(out[i], dropout, seed, place + i)
        for record in range(BLOCK_ROWS):
            x[i, record] += out[i, record]


@compiled
def _begin(dropout, seed, place):
    return scramble(np.uint32(seed ^ np.uint32((dropout.first + np.uint32(place)) * _STEP)))


@compiled
def _finish(first, record):
    x = np.uint32(first + np.uint32(record))
    x = np.uint32(x * _A)
    x = np.uint32(x ^ (x >> _15))
    x = np.uint32(x * _B)
    return np.uint32(x ^ (x >> _16))
