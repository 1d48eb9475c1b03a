"""Combinations of two or three names as numbers that trees can ask about: what outcomes say of records that have them.

Nobody keeps a list of combinations. A hash of the names' numbers chooses a fine slot; where too few records share that,
a second hash chooses a coarse one, which many combinations share. A slot that too few share says nothing.
"""

# Keras' stubs hold what an operation returns for possibly None.
# pyright: reportOptionalOperand=false, reportOptionalSubscript=false, reportOperatorIssue=false

from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

MOST_TOGETHER = 3
FINE, MOST_COARSE = 8191, 4096  # slots
SPREAD = 65_521  # a prime: a coarse hash below it, then below the number of coarse slots that are used
FINE_FACTORS = (7919, 104_729, 1_299_709)  # of the first, second and third name
COARSE_FACTORS = (15_485_863, 32_452_843, 49_979_687)

Ids = NDArray[np.int32]
Floats32 = NDArray[np.float32]


def slots_of(ids: Ids, columns: tuple[int, ...], coarse: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the fine and the coarse slot, of so many, that each of N records has by some columns of names (N, Q)."""
    mine = [ids[:, column].astype(np.int64) for column in columns]
    fine = sum(factor * one for factor, one in zip(FINE_FACTORS, mine, strict=False))
    rest = sum(factor * one for factor, one in zip(COARSE_FACTORS, mine, strict=False))
    return np.asarray(fine) % FINE, np.asarray(rest) % SPREAD % coarse


def describe_combinations(ids: Ids, columns: Floats32, values: Floats32) -> Floats32:
    """Return what R combinations count as in N records of names (N, Q): (N, R).

    columns (R, 4) hold the columns of each, -1 for none, and how many coarse slots it uses; values (R, FINE +
    MOST_COARSE) hold NaN for a fine slot that too few records share.
    """
    found = np.empty((len(ids), len(columns)), np.float32)
    for number, (*chosen, coarse) in enumerate(columns.astype(int).tolist()):
        fine, rest = slots_of(ids, tuple(one for one in chosen if one >= 0), coarse)
        mine = values[number]
        found[:, number] = np.where(np.isnan(mine[fine]), mine[FINE + rest], mine[fine])
    return found


def describe_combination_tensors(ids: Any, columns: Any, values: Any) -> Any:
    """Return the same for tensors."""
    places, coarse = ops.cast(columns[:, :-1], "int32"), ops.cast(columns[:, -1], "int64")
    mine = [
        ops.cast(
            ops.take(ids, ops.maximum(places[:, part], 0), axis=1) * ops.cast(places[:, part] >= 0, "int32"), "int64"
        )
        for part in range(MOST_TOGETHER)
    ]  # (B, R) each
    begin = ops.cast(ops.arange(columns.shape[0]) * (FINE + MOST_COARSE), "int64")
    hashes = [sum(f * one for f, one in zip(each, mine, strict=True)) for each in (FINE_FACTORS, COARSE_FACTORS)]
    flat = ops.reshape(values, (-1,))
    fine = ops.take(flat, begin + hashes[0] % FINE)
    return ops.where(ops.isnan(fine), ops.take(flat, begin + FINE + hashes[1] % SPREAD % coarse), fine)
