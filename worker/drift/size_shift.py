"""Whether a column's numbers changed their unit: compares how large they are, on a logarithmic scale.

A size is a range of absolute values, `SIZES_A_DECADE` of them from one power of ten to the next. Numbers in another
unit keep their shape and move by the unit's factor: every quantile does. If a part of the records is in another unit,
the night is a mixture of the reference and of the reference moved.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from worker.drift.distribution import Floats

SIZES_A_DECADE = 8
LEAST_VALUES = 50  # other than 0, on both sides
_QUANTILES = np.array([0.1, 0.25, 0.5, 0.75, 0.9])
_LOWEST, _HIGHEST = -96, 160  # sizes
_PART_MOVES = tuple(sign * decades * SIZES_A_DECADE for decades in (1, 2, 3) for sign in (1, -1))


@dataclass(frozen=True)
class Sizes:
    """Records by size, smallest first, of the numbers above and below 0, and those that are 0."""

    above: Floats
    below: Floats
    zero: int

    @classmethod
    def of_counts(cls, counts: Mapping[str, int]) -> "Sizes":
        """Read what a shard counted: "+16" is a size, "-16" the same below 0, "0" the number 0."""
        above, below = np.zeros(_HIGHEST - _LOWEST + 1), np.zeros(_HIGHEST - _LOWEST + 1)
        for name, records in counts.items():
            if name != "0":
                (above if name[0] == "+" else below)[int(name[1:]) - _LOWEST] += records
        return cls(above, below, counts.get("0", 0))

    @property
    def known(self) -> float:
        """Records with a number."""
        return float(self.above.sum() + self.below.sum()) + self.zero

    @property
    def shares(self) -> Floats:
        """The shares of all sizes: below 0, 0, above 0."""
        return np.concatenate([self.below, [self.zero], self.above]) / max(1.0, self.known)


def distance(one: Sizes, other: Sizes) -> float:
    """Return half of the summed differences of the shares: 0 if they are the same, 1 if they have nothing in common."""
    return float(np.abs(one.shares - other.shares).sum()) / 2


def moves_of(reference: Sizes, night: Sizes) -> Floats | None:
    """Return by how many powers of ten the quantiles of the absolute values moved, None if there are too few values."""
    before, after = reference.above + reference.below, night.above + night.below
    if min(before.sum(), after.sum()) < LEAST_VALUES:
        return None
    return (_quantiles_of(after) - _quantiles_of(before)) / SIZES_A_DECADE


def part_in_other_unit(reference: Sizes, night: Sizes) -> tuple[float, float] | None:
    """Return factor and share of the records whose numbers are multiplied by 10, 100, 1000 or divided by it.

    The least-squares share of the reference moved must explain most of the difference; None if no factor does.
    """
    before, after = reference.above + reference.below, night.above + night.below
    if min(before.sum(), after.sum()) < LEAST_VALUES:
        return None
    before, after = before / before.sum(), after / after.sum()
    change = after - before
    best: tuple[float, float, float] | None = None
    for move in _PART_MOVES:
        direction = _moved(before, move) - before
        share = float(change @ direction / max(1e-12, direction @ direction))
        left = float(np.abs(change - share * direction).sum() / max(1e-12, np.abs(change).sum()))
        if 0.05 <= share <= 1 and left <= 0.3 and (best is None or left < best[0]):
            best = left, 10.0 ** (move / SIZES_A_DECADE), share
    return None if best is None else best[1:]


def _moved(shares: Floats, move: int) -> Floats:
    moved = np.zeros_like(shares)
    if move > 0:
        moved[move:] = shares[:-move]
    else:
        moved[:move] = shares[-move:]
    return moved


def _quantiles_of(counts: Floats) -> Floats:
    """Quantiles in sizes; within a size the values are taken as spread evenly."""
    heights = np.concatenate([[0.0], counts.cumsum()])
    ranks = _QUANTILES * heights[-1]
    places = np.searchsorted(heights, ranks, side="left") - 1
    return places + (ranks - heights[places]) / counts[places]
