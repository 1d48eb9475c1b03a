"""Pairs of names as numbers that trees can ask about: what outcomes say of records that have both.

Nobody keeps a list of pairs. A hash of both names' numbers chooses a fine slot; where too few records share that, a
second hash chooses a coarse one, which many pairs share. A slot that too few share says nothing.
"""

# Keras' stubs hold what an operation returns for possibly None.
# pyright: reportOptionalOperand=false, reportOptionalSubscript=false, reportOperatorIssue=false

from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

FINE, COARSE = 8191, 509  # slots; primes
FACTORS = ((7919, 104_729), (15_485_863, 32_452_843))  # of the first and the second name, for fine and coarse slots

Ids = NDArray[np.int32]
Floats32 = NDArray[np.float32]


def slots_of_pair(first: Ids, second: Ids) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the fine and the coarse slot of each pair of names, (N) each."""
    (a, b), (c, d) = FACTORS
    one, other = first.astype(np.int64), second.astype(np.int64)
    return (a * one + b * other) % FINE, (c * one + d * other) % COARSE


def describe_pairs(ids: Ids, columns: Floats32, values: Floats32) -> Floats32:
    """Return what R pairs of columns (R, 2) count as in N records of names (N, Q): (N, R).

    values (R, FINE + COARSE) hold NaN for a fine slot that too few records share.
    """
    found = np.empty((len(ids), len(columns)), np.float32)
    for number, (first, second) in enumerate(columns.astype(np.int64)):
        fine, coarse = slots_of_pair(ids[:, first], ids[:, second])
        mine = values[number]
        found[:, number] = np.where(np.isnan(mine[fine]), mine[FINE + coarse], mine[fine])
    return found


def describe_pair_tensors(ids: Any, columns: Any, values: Any) -> Any:
    """Return the same for tensors."""
    (a, b), (c, d) = FACTORS
    places = ops.cast(columns, "int32")
    first, second = (ops.cast(ops.take(ids, places[:, part], axis=1), "int64") for part in (0, 1))  # (B, R)
    begin = ops.cast(ops.arange(columns.shape[0]) * (FINE + COARSE), "int64")
    flat = ops.reshape(values, (-1,))
    fine = ops.take(flat, begin + (a * first + b * second) % FINE)
    coarse = ops.take(flat, begin + FINE + (c * first + d * second) % COARSE)
    return ops.where(ops.isnan(fine), coarse, fine)
