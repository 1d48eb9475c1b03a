"""The population stability index (PSI): bins, counts, value, its expected value without change, interval.

Bins lie at the reference's quantiles and are frozen with it: right-closed, the outer ones open, ties merged. Records
without a score are a bin of their own, where either side has any. One half is added to every count, and the logarithm
is natural: PSI = sum((a - e) * ln(a / e)) over the shares a of the night and e of the reference.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from worker.drift.distribution import Distribution

BINS = 10
_NORMAL_95 = 1.959963984540054  # of a two-sided interval of 95 %

Floats = NDArray[np.float64]


def reference_edges(reference: Distribution, bins: int = BINS) -> Floats:
    """Return the inner edges: for each quantile q of n values the value of rank ceil(q * n), without duplicates.

    q is what `numpy.linspace` gives, so that the edges are those of `numpy.quantile` with its method "inverted_cdf".
    """
    ranks = np.ceil(_quantiles(bins) * reference.count)
    edges = reference.values[reference.counts.cumsum().searchsorted(ranks, side="left")]
    is_first = np.ones(len(edges), dtype=bool)  # they are in order: `numpy.unique` would sort them again
    np.not_equal(edges[1:], edges[:-1], out=is_first[1:])
    return edges[is_first]


@lru_cache
def _quantiles(bins: int) -> Floats:
    return np.linspace(0.0, 1.0, bins + 1)[1:-1]


def binned_counts(distribution: Distribution, edges: Floats) -> Floats:
    """Return the counts per bin; a value on an edge belongs to the bin below it."""
    places = edges.searchsorted(distribution.values, side="left")
    counts = np.bincount(places, weights=distribution.counts, minlength=len(edges) + 1)
    return counts.astype(np.float64, copy=False)


def paired_counts(reference: Distribution, current: Distribution, edges: Floats) -> tuple[Floats, Floats]:
    """Return both sides' counts per bin, with the unscorable records as the last bin if there are any."""
    expected, actual = binned_counts(reference, edges), binned_counts(current, edges)
    if reference.unscorable or current.unscorable:
        expected, actual = np.append(expected, reference.unscorable), np.append(actual, current.unscorable)
    return expected, actual


def population_stability_index(expected: Floats, actual: Floats) -> float:
    """Return the PSI of two rows of counts.

    >>> population_stability_index(np.array([10.0, 10.0]), np.array([10.0, 10.0]))
    0.0
    """
    e, a = _shares(expected), _shares(actual)
    return _sum_up(e, a, np.log(a / e))


def mean_without_change(expected: Floats, actual: Floats) -> float:
    """Return the mean of PSI if nothing changed: (B - 1)(1/N + 1/M). Source: Yurdakul and Naranjo 2020."""
    return (len(expected) - 1) * float(1 / expected.sum() + 1 / actual.sum())


@dataclass(frozen=True)
class SharesFigures:
    """Counts per bin of both sides, and their PSI: raw, corrected for chance, and the corrected one's 95 % interval.

    The interval never goes below 0. Its variance is that of the delta method, which is 0 if nothing changed, plus
    that of the chi-squared variable which PSI is there: 2 (B - 1)(1/N + 1/M)^2.
    """

    expected: Floats
    actual: Floats
    psi: float
    psi_corrected: float
    psi_interval: tuple[float, float]


def compare_shares(reference: Distribution, current: Distribution, *, edges: Floats | None = None) -> SharesFigures:
    """Compare the shares of two distributions on the reference's quantile bins, unless `edges` gives others."""
    expected, actual = paired_counts(reference, current, reference_edges(reference) if edges is None else edges)
    e, a = _shares(expected), _shares(actual)
    n, m = expected.sum(), actual.sum()
    ratio = np.log(a / e)
    psi = _sum_up(e, a, ratio)
    by_current, by_reference = ratio + 1 - e / a, 1 - a / e - ratio
    moved = _variance(a, by_current) / m + _variance(e, by_reference) / n
    quiet = 2 * (len(expected) - 1) * float(1 / n + 1 / m) ** 2
    middle = psi - mean_without_change(expected, actual)
    reach = _NORMAL_95 * float(np.sqrt(moved + quiet))
    return SharesFigures(expected, actual, psi, middle, (max(0.0, middle - reach), max(0.0, middle + reach)))


def _shares(counts: Floats) -> Floats:
    raised = counts + 0.5
    return raised / raised.sum()


def _sum_up(e: Floats, a: Floats, ratio: Floats) -> float:
    return float(((a - e) * ratio).sum())


def _variance(shares: Floats, gradient: Floats) -> float:
    return float(shares @ gradient**2 - (shares @ gradient) ** 2)
