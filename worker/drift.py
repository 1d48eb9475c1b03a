"""Compares two score histograms: PSI and its corrected value, KS, Wasserstein. Pure functions of counts."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from db.states import Verdict

BINS = 10
MINIMUM_RECORDS = 200  # below this the corrected PSI swings by more than the thresholds
WATCH_PSI = 0.1
DRIFTED_PSI = 0.25

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Histogram:
    """Scores in integer points with their counts, and the number of records that could not be scored."""

    points: dict[int, int]
    unscorable: int = 0

    @property
    def count(self) -> int:
        """Records with a score."""
        return sum(self.points.values())

    def to_document(self) -> dict[str, Any]:
        """Return a JSON document that `from_document` reads back."""
        return {"points": {str(value): count for value, count in self.points.items()}, "unscorable": self.unscorable}

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "Histogram":
        """Read back what `to_document` wrote."""
        return cls({int(value): count for value, count in document["points"].items()}, document["unscorable"])


@dataclass(frozen=True)
class DriftFigures:
    """How far a night's scores are from the reference. Wasserstein is in points."""

    psi: float
    psi_corrected: float
    ks: float
    wasserstein: float
    n_reference: int
    n_current: int
    unscorable_reference: int
    unscorable_current: int

    def to_document(self) -> dict[str, Any]:
        """Return the figures as a JSON document."""
        return asdict(self)


def merge(histograms: Iterable[Histogram]) -> Histogram:
    """Add histograms up; the order does not matter."""
    points: Counter[int] = Counter()
    unscorable = 0
    for one in histograms:
        points.update(one.points)
        unscorable += one.unscorable
    return Histogram(dict(points), unscorable)


def compare(reference: Histogram, current: Histogram) -> DriftFigures:
    """Compare two histograms. Raises `ValueError` if one holds no score."""
    if reference.count == 0 or current.count == 0:
        raise ValueError("both histograms must hold at least one score")
    edges = reference_edges(reference)
    expected, actual = binned_counts(reference, edges), binned_counts(current, edges)
    psi = population_stability_index(expected, actual)
    ks, wasserstein = _distances(reference, current)
    return DriftFigures(
        psi=psi,
        psi_corrected=psi - _mean_without_change(expected, actual),
        ks=ks,
        wasserstein=wasserstein,
        n_reference=reference.count,
        n_current=current.count,
        unscorable_reference=reference.unscorable,
        unscorable_current=current.unscorable,
    )


def judge(figures: DriftFigures) -> Verdict:
    """Return the verdict on one night: by effect size, never by a p-value."""
    if min(figures.n_reference, figures.n_current) < MINIMUM_RECORDS:
        return Verdict.INSUFFICIENT
    if figures.psi_corrected >= DRIFTED_PSI:
        return Verdict.DRIFTED
    return Verdict.WATCH if figures.psi_corrected >= WATCH_PSI else Verdict.STABLE


def reference_edges(reference: Histogram, bins: int = BINS) -> Floats:
    """Inner bin edges at the reference's quantiles, ties merged; bins are right-closed, the outer ones open."""
    values, weights = _sorted(reference)
    shares = np.cumsum(weights) / weights.sum()
    wanted = np.arange(1, bins) / bins
    # A hair below, so that a share that is exactly a tenth is not pushed on by rounding.
    positions = np.searchsorted(shares, wanted - 1e-12)
    edges = np.unique(values[positions])
    return edges[edges < values[-1]]


def binned_counts(histogram: Histogram, edges: Floats) -> Floats:
    """Counts per bin, and the unscorable records as the last bin."""
    values, weights = _sorted(histogram)
    counts = np.zeros(len(edges) + 2)
    np.add.at(counts, np.searchsorted(edges, values, side="left"), weights)
    counts[-1] = histogram.unscorable
    return counts


def population_stability_index(expected: Floats, actual: Floats) -> float:
    """PSI = sum((a - e) * ln(a / e)) over shares a and e, after adding one half to every count.

    >>> population_stability_index(np.array([10.0, 10.0]), np.array([10.0, 10.0]))
    0.0
    """
    e = (expected + 0.5) / (expected + 0.5).sum()
    a = (actual + 0.5) / (actual + 0.5).sum()
    return float(np.sum((a - e) * np.log(a / e)))


def _mean_without_change(expected: Floats, actual: Floats) -> float:
    """Mean of PSI where nothing changed: (B - 1)(1/N + 1/M) over the B bins that hold a record on either side.

    Source: Yurdakul and Naranjo 2020.
    """
    bins = int(((expected + actual) > 0).sum())
    return max(1, bins - 1) * float(1 / expected.sum() + 1 / actual.sum())


def _distances(reference: Histogram, current: Histogram) -> tuple[float, float]:
    """KS statistic and Wasserstein-1 distance, exact from the counts."""
    values = np.union1d(_sorted(reference)[0], _sorted(current)[0])
    difference = np.abs(_cumulative(reference, values) - _cumulative(current, values))
    return float(difference.max()), float(np.sum(difference[:-1] * np.diff(values)))


def _cumulative(histogram: Histogram, values: Floats) -> Floats:
    own, weights = _sorted(histogram)
    counts = np.zeros(len(values))
    counts[np.searchsorted(values, own)] = weights
    return np.cumsum(counts) / weights.sum()


def _sorted(histogram: Histogram) -> tuple[Floats, Floats]:
    pairs = sorted((value, count) for value, count in histogram.points.items() if count)
    return np.array([value for value, _ in pairs], dtype=float), np.array([count for _, count in pairs], dtype=float)
