"""The covariance of areas under the ROC curve of several scores of the same records.

DeLong, DeLong and Clarke-Pearson 1988, by the fast algorithm of Sun and Xu 2014.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float64]


def auc_covariance(target: Floats, scores: Floats) -> Floats:
    """Return the covariance (M, M) of the ROC AUC of M scores (M, N) of the same records; both outcomes must occur."""
    of_bad, of_good = placements(target, scores)
    return _covariance(of_bad) / of_bad.shape[1] + _covariance(of_good) / of_good.shape[1]


def placements(target: Floats, scores: Floats) -> tuple[Floats, Floats]:
    """Return the share of the other class that each record is rightly above (bad) or below (good); equals count half.

    The mean over the bad ones is the ROC AUC.
    """
    bad, good = scores[:, target == 1], scores[:, target == 0]
    together = np.concatenate([bad, good], axis=1)
    ranks = np.apply_along_axis(rankdata, 1, together)
    count_bad, count_good = bad.shape[1], good.shape[1]
    of_bad = (ranks[:, :count_bad] - np.apply_along_axis(rankdata, 1, bad)) / count_good
    of_good = 1 - (ranks[:, count_bad:] - np.apply_along_axis(rankdata, 1, good)) / count_bad
    return of_bad, of_good


def _covariance(values: Floats) -> Floats:
    return np.atleast_2d(np.cov(values)) if values.shape[1] > 1 else np.zeros((len(values), len(values)))
