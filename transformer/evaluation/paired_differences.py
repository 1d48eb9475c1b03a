"""Compares two models on the same records: differences with their paired intervals. Pure functions of arrays."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from transformer.evaluation.delong import auc_covariance, placements

RESAMPLES = 300
CALIBRATION_BINS = 10
MOST_RESAMPLED_ROWS = 20_000  # beyond that the interval is narrow enough from a part

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """Challenger minus champion, with the interval of the difference; `error` is its standard error where known."""

    champion: float
    challenger: float
    difference: float
    low: float
    high: float
    error: float = math.nan

    def reaching(self, reach: float) -> "Difference":
        """Return the same difference with an interval of so many standard errors on each side."""
        half = reach * self.error
        return replace(self, low=self.difference - half, high=self.difference + half)

    def to_document(self) -> dict[str, Any]:
        """Return the figures as a JSON document."""
        return {
            "champion": self.champion,
            "challenger": self.challenger,
            "difference": self.difference,
            "interval": [self.low, self.high],
        }


def compare_auc(target: Floats, champion: Floats, challenger: Floats, *, confidence: float) -> Difference:
    """Compare the areas under the ROC curve; both outcomes must occur."""
    scores = np.stack([champion, challenger])
    areas = placements(target, scores)[0].mean(axis=1).tolist()
    covariance = auc_covariance(target, scores)
    variance = max(0.0, float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]))
    return _difference(areas[0], areas[1], areas[1] - areas[0], variance, confidence)


def compare_brier(target: Floats, champion: Floats, challenger: Floats, *, confidence: float) -> Difference:
    """Compare the mean squared errors of the probabilities; smaller is better."""
    errors = [(scores - target) ** 2 for scores in (champion, challenger)]
    moved = errors[1] - errors[0]
    means = [float(one.mean()) for one in errors]
    return _difference(means[0], means[1], float(moved.mean()), _variance_of_mean(moved), confidence)


def compare_calibration(target: Floats, champion: Floats, challenger: Floats, *, confidence: float) -> Difference:
    """Compare the mean distance of predicted and observed rates over tenths of each model's own scores.

    The interval is a bootstrap's (percentiles), its seed fixed: the same records give the same interval.
    """
    residuals, groups = [], []
    for scores in (champion, challenger):
        ranks = rankdata(scores, method="ordinal") - 1
        groups.append((ranks * CALIBRATION_BINS // len(scores)).astype(np.int64))
        residuals.append(target - scores)
    rows = np.arange(len(target))
    whole = [_calibration_error(residuals[side], groups[side], rows) for side in (0, 1)]
    random = np.random.default_rng(len(target))
    drawn = min(len(target), MOST_RESAMPLED_ROWS)
    moved = np.empty(RESAMPLES)
    for number in range(RESAMPLES):
        chosen = random.integers(0, len(target), drawn)
        errors = [_calibration_error(residuals[side], groups[side], chosen) for side in (0, 1)]
        moved[number] = errors[1] - errors[0]
    tail = (1 - confidence) / 2
    low, high = np.quantile(moved, [tail, 1 - tail])
    return Difference(whole[0], whole[1], whole[1] - whole[0], float(low), float(high))


def compare_rates(first_bad: int, first: int, second_bad: int, second: int, *, confidence: float) -> Difference:
    """Compare the shares of bad records of two groups; the interval is that of independent shares."""
    shares = [(bad + 1) / (count + 2) for bad, count in ((first_bad, first), (second_bad, second))]
    variance = sum(share * (1 - share) / (count + 2) for share, count in zip(shares, (first, second), strict=True))
    return _difference(shares[0], shares[1], shares[1] - shares[0], variance, confidence)


def _difference(champion: float, challenger: float, moved: float, variance: float, confidence: float) -> Difference:
    error = variance**0.5
    half = float(norm.ppf(0.5 + confidence / 2)) * error
    return Difference(champion, challenger, moved, moved - half, moved + half, error)


def _variance_of_mean(values: Floats) -> float:
    return float(values.var(ddof=1) / len(values)) if len(values) > 1 else 0.0


def _calibration_error(residuals: Floats, groups: NDArray[np.int64], rows: NDArray[np.int64]) -> float:
    sums = np.bincount(groups[rows], weights=residuals[rows], minlength=CALIBRATION_BINS)
    return float(np.abs(sums).sum() / len(rows))
