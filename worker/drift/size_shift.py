"""Whether a column's numbers changed their unit: compares how large they are, on a logarithmic scale.

A size is a range of absolute values, `SIZES_A_DECADE` of them from one power of ten to the next. Numbers in another
unit keep their shape and move by the unit's factor: every quantile does. If a part of the records is in another unit,
the night is a mixture of the reference and of the reference moved. Nearly all columns of a night are quiet, so that
what is asked of every one of them goes through its few sizes without arrays.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from worker.drift.distribution import Floats

SIZES_A_DECADE = 8
LEAST_VALUES = 50  # other than 0, on both sides
_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
_LOWEST, _HIGHEST = -96, 160  # sizes
_DECADES = (1, 2, 3)  # by which a part may have moved, up or down
_LEAST_PART, _MOST_LEFT = 0.05, 0.3  # share of records, and of the change that the part does not explain


@dataclass(frozen=True)
class Sizes:
    """Records by size: "+16" is a size, "-16" the same below 0, "0" the number 0."""

    counts: Mapping[str, int]

    @cached_property
    def known(self) -> int:
        """Records with a number."""
        return sum(self.counts.values())

    @cached_property
    def below(self) -> float:
        """The share of numbers below 0."""
        return sum(count for name, count in self.counts.items() if name[0] == "-") / max(1, self.known)

    @cached_property
    def above(self) -> float:
        """The share of numbers above 0."""
        return sum(count for name, count in self.counts.items() if name[0] == "+") / max(1, self.known)

    @cached_property
    def absolute(self) -> list[tuple[int, int]]:
        """Sizes and records in increasing order, whatever the sign; 0 is left out."""
        found: dict[int, int] = {}
        for name, count in self.counts.items():
            if name != "0":
                size = int(name[1:])
                found[size] = found.get(size, 0) + count
        return sorted(found.items())

    @cached_property
    def quantiles(self) -> list[float]:
        """Quantiles of the absolute values, in sizes; within a size the values are taken as spread evenly."""
        total, reached, found = self.known - self.counts.get("0", 0), 0, list[float]()
        for size, count in self.absolute:
            while len(found) < len(_QUANTILES) and _QUANTILES[len(found)] * total <= reached + count:
                found.append(size + (_QUANTILES[len(found)] * total - reached) / count)
            reached += count
        return found

    @cached_property
    def shares(self) -> Floats:
        """The share of every size of the absolute values."""
        shares = np.zeros(_HIGHEST - _LOWEST + 1)
        for size, count in self.absolute:
            shares[size - _LOWEST] = count
        return shares / shares.sum()


def distance(one: Sizes, other: Sizes) -> float:
    """Return half of the summed differences of the shares: 0 if they are the same, 1 if they have nothing in common.

    >>> distance(Sizes({"+1": 3, "0": 1}), Sizes({"+1": 3, "-1": 3}))
    0.5
    """
    names = {*one.counts, *other.counts}
    shares = ((one.counts.get(name, 0) / one.known, other.counts.get(name, 0) / other.known) for name in names)
    return sum(abs(share - before) for share, before in shares) / 2 if one.known and other.known else 0.0


def moves_of(reference: Sizes, night: Sizes) -> list[float]:
    """Return by how many powers of ten the quantiles of the absolute values moved; none if there are too few values."""
    if not _have_enough(reference, night):
        return []
    return [(now - was) / SIZES_A_DECADE for was, now in zip(reference.quantiles, night.quantiles, strict=True)]


def part_in_other_unit(reference: Sizes, night: Sizes) -> tuple[float, float] | None:
    """Return factor and share of the records whose numbers are multiplied by 10, 100, 1000 or divided by it.

    The least-squares share of the reference moved must explain most of the difference; None if no factor does.
    """
    if not _have_enough(reference, night) or abs(_mean(night) - _mean(reference)) < _LEAST_PART * SIZES_A_DECADE:
        return None
    change = night.shares - reference.shares
    best: tuple[float, float, float] | None = None
    for move in (sign * decades * SIZES_A_DECADE for decades in _DECADES for sign in (1, -1)):
        direction = _moved(reference.shares, move) - reference.shares
        share = float(change @ direction / max(1e-12, direction @ direction))
        left = float(np.abs(change - share * direction).sum() / max(1e-12, np.abs(change).sum()))
        if _LEAST_PART <= share <= 1 and left <= _MOST_LEFT and (best is None or left < best[0]):
            best = left, 10.0 ** (move / SIZES_A_DECADE), share
    return None if best is None else best[1:]


def _have_enough(*sides: Sizes) -> bool:
    return all(one.known - one.counts.get("0", 0) >= LEAST_VALUES for one in sides)


def _mean(sizes: Sizes) -> float:
    return sum(size * count for size, count in sizes.absolute) / sum(count for _, count in sizes.absolute)


def _moved(shares: Floats, move: int) -> Floats:
    moved = np.zeros_like(shares)
    if move > 0:
        moved[move:] = shares[:-move]
    else:
        moved[:move] = shares[-move:]
    return moved
