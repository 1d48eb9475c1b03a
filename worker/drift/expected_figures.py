"""AUC and bad rate expected from calibrated scores. They cannot detect concept drift, so they never promote a model."""

import numpy as np

from worker.drift.distribution import Distribution, Floats


def probabilities_of(points: Floats, *, base: float, odds: float, points_to_double: float) -> Floats:
    """Return the probability of the bad event at points of a scorecard.

    >>> probabilities_of(np.array([600.0]), base=600, odds=50, points_to_double=20).round(6).tolist()
    [0.019608]
    """
    return 1.0 / (1.0 + odds * np.exp2((points - base) / points_to_double))


def expected_bad_rate(probabilities: Floats, counts: Floats) -> float:
    """Return the mean probability."""
    return float(np.dot(probabilities, counts) / counts.sum())


def expected_auc(probabilities: Floats, counts: Floats) -> float | None:
    """Return the AUC that outcomes drawn from the probabilities would have; None if one class is impossible.

    With b = count * p bad and g = count * (1 - p) good records at each distinct probability, in increasing order:
    AUC = sum(b_i * (g_1 + ... + g_(i-1) + g_i / 2)) / (sum(b) * sum(g)).
    """
    order = np.argsort(probabilities, kind="stable")
    bad, good = (probabilities * counts)[order], ((1 - probabilities) * counts)[order]
    if bad.sum() <= 0 or good.sum() <= 0:
        return None
    below = np.cumsum(good) - good / 2
    return float(np.dot(bad, below) / (bad.sum() * good.sum()))


def are_probabilities(distribution: Distribution) -> bool:
    """Whether every value could be a probability."""
    return bool(distribution.count and distribution.values[0] >= 0 and distribution.values[-1] <= 1)
