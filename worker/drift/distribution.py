"""Values with their counts, and the number of records without a value."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Distribution:
    """Distinct values in increasing order with their counts, all above 0, and the records without a value."""

    values: Floats
    counts: Floats
    unscorable: int = 0

    @classmethod
    def of_values(cls, values: Floats) -> "Distribution":
        """Count raw values; NaN and infinite ones are records without a value."""
        is_known = np.isfinite(values)
        distinct, counts = np.unique(values[is_known], return_counts=True)
        return cls(distinct, counts.astype(np.float64), int((~is_known).sum()))

    @classmethod
    def of_counts(cls, points: Mapping[int, int] | Mapping[str, int], unscorable: int = 0) -> "Distribution":
        """Sort counts by value; values may be texts of numbers, as JSON has them."""
        values = np.fromiter(map(float, points), np.float64, len(points))
        counts = np.fromiter(points.values(), np.float64, len(points))
        order = np.argsort(values)
        order = order[counts[order] > 0]
        return cls(values[order], counts[order], unscorable)

    @cached_property
    def count(self) -> int:
        """Records with a value."""
        return int(self.counts.sum())

    @cached_property
    def mean(self) -> float:
        """Mean of the values; NaN if there is none."""
        return float(np.dot(self.values, self.counts) / self.counts.sum()) if self.count else float("nan")

    @property
    def deviation(self) -> float:
        """Standard deviation of the values; NaN if there is none."""
        if len(self.values) < 2:  # the mean's rounding must not make a deviation of its own
            return 0.0 if self.count else float("nan")
        return float(np.sqrt(np.dot((self.values - self.mean) ** 2, self.counts) / self.counts.sum()))

    def cumulative(self, at: Floats) -> Floats:
        """Share of the values at or below each of `at`; exact in the counts."""
        below = np.concatenate([[0.0], np.cumsum(self.counts)])
        return below[np.searchsorted(self.values, at, side="right")] / below[-1]


@dataclass(frozen=True)
class Histogram:
    """Scores in integer points with their counts, and the number of records that could not be scored."""

    points: dict[int, int]
    unscorable: int = 0

    @property
    def count(self) -> int:
        """Records with a score."""
        return sum(self.points.values())

    def distribution(self) -> Distribution:
        """Return the same as sorted arrays."""
        return Distribution.of_counts(self.points, self.unscorable)

    def to_document(self) -> dict[str, Any]:
        """Return a JSON document that `from_document` reads back."""
        return {"points": {str(value): count for value, count in self.points.items()}, "unscorable": self.unscorable}

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "Histogram":
        """Read back what `to_document` wrote."""
        return cls({int(value): count for value, count in document["points"].items()}, document["unscorable"])


def merge(histograms: Iterable[Histogram]) -> Histogram:
    """Add histograms up; the order does not matter."""
    points: Counter[int] = Counter()
    unscorable = 0
    for one in histograms:
        points.update(one.points)
        unscorable += one.unscorable
    return Histogram(dict(points), unscorable)
