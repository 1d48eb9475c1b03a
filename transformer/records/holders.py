"""Keeps single people out of what a model holds: a value stands for itself only where enough records share it.

If fewer do, the mean of that many neighbours in rank replaces it (micro-aggregation), which is no person's value.
"""

import numpy as np
from numpy.typing import NDArray

LEAST_HOLDERS = 20  # records that must share a value for it to be kept
FEWEST_HOLDERS, HOLDERS_A_BOOK = 5, 20  # of a number in a small book: one twentieth of its records, but not fewer

Floats = NDArray[np.float64]


def least_holders(records: int) -> int:
    """Return how many of that many records must share a number.

    >>> least_holders(50), least_holders(200), least_holders(10_000)
    (5, 10, 20)
    """
    return min(LEAST_HOLDERS, max(FEWEST_HOLDERS, records // HOLDERS_A_BOOK))


def blend_rare(values: Floats, chosen: Floats, *, each: int = 1) -> Floats:
    """Return `chosen` numbers (increasing), those that too few of `values` share as means of their neighbours.

    `each` is how many of the values belong to one record.

    >>> blend_rare(np.array([1.0] * 30 + [2.0, 3.0, 4.0, 5.0, 6.0]), np.array([1.0, 6.0]))
    array([1., 4.])
    """
    ordered = np.sort(values)
    least = each * least_holders(len(ordered) // each)
    left, right = (np.searchsorted(ordered, chosen, side=side) for side in ("left", "right"))
    starts = np.clip((left + right) // 2 - least // 2, 0, max(0, len(ordered) - least))
    means = [_mean(ordered[start : start + least]) for start in starts.tolist()]
    return np.where(right - left >= least, chosen, means) if len(chosen) else chosen


def _mean(ordered: Floats) -> float:
    """Return the mean, which rounding never moves beyond the ends."""
    return float(np.clip((ordered / len(ordered)).sum(), ordered[0], ordered[-1]))
