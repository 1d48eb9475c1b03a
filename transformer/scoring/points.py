"""Points and bands of a scorecard, from probabilities."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BANDS = ("A", "B", "C", "D", "E", "F", "G", "H")
LOWEST_POINTS, HIGHEST_POINTS = 0, 1000

# Band A begins this many doublings of the odds above the base, B one below it, and so on; H is what is left.
_FIRST_EDGE = 1


@dataclass(frozen=True)
class ScoreScale:
    """`points` at odds `odds`:1 (good:bad); `points_to_double` more points double the odds."""

    points: float = 600.0
    odds: float = 50.0
    points_to_double: float = 20.0

    def points_of(self, probability: NDArray[np.float64]) -> NDArray[np.int32]:
        """Return points + points_to_double * log2(((1 - p) / p) / odds), rounded, within 0 and 1000; higher is safer.

        >>> ScoreScale().points_of(np.array([1 / 51, 1 / 26])).tolist()
        [600, 580]
        """
        odds = (1.0 - probability) / probability
        exact = self.points + self.points_to_double * np.log2(odds / self.odds)
        return np.clip(np.rint(exact), LOWEST_POINTS, HIGHEST_POINTS).astype(np.int32)

    def band_of(self, points: NDArray[np.int32]) -> NDArray[np.str_]:
        """Bands A (safest) to H, one doubling of the odds apart: A from points + points_to_double, B from points, ...

        >>> ScoreScale().band_of(np.array([620, 619, 600, 499], dtype=np.int32)).tolist()
        ['A', 'B', 'B', 'H']
        """
        edges = self.points + self.points_to_double * (_FIRST_EDGE - np.arange(len(BANDS) - 1))
        below = np.searchsorted(-edges, -points.astype(np.float64), side="left")
        return np.asarray(BANDS)[below]
