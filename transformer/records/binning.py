"""Places numbers on edges, a column at a time, as one compiled loop."""

# Numba has no types.
# pyright: basic

import numpy as np
from numba import njit
from numpy.typing import NDArray

from transformer.records.column_reading import BLANK, THERE, Floats, Kinds


# No fused operations: the same bits as numpy.interp, by which networks were trained.
@njit(nogil=True, cache=True, error_model="numpy")
def place(
    values: Floats,
    kinds: Kinds,
    edges: Floats,
    column: int,
    positions: NDArray[np.float32],
    missing: NDArray[np.float32],
) -> None:
    """Fill in the position u in [0, K] of each value between its edges, and 0 where it is there, else why it is not.

    values float64 (N), kinds int8 (N), edges float64 (K + 1) increasing; positions, missing float32 (N, columns).
    """
    last = edges.shape[0] - 1
    for row in range(values.shape[0]):
        value = values[row]
        if np.isnan(value):
            positions[row, column] = 0
            missing[row, column] = max(kinds[row], BLANK)
            continue
        missing[row, column] = THERE
        if value <= edges[0]:
            positions[row, column] = 0
        elif value >= edges[last]:
            positions[row, column] = last
        else:
            below, above = 0, last
            while above - below > 1:
                middle = (below + above) // 2
                if edges[middle] <= value:
                    below = middle
                else:
                    above = middle
            slope = 1.0 / (edges[below + 1] - edges[below])
            positions[row, column] = slope * (value - edges[below]) + below
