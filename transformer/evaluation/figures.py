"""Figures of merit of probabilities against known outcomes."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    log_loss,
    roc_auc_score,
    roc_curve,
)

Floats = NDArray[np.float64]


def evaluate(target: Floats, probability: Floats) -> dict[str, float]:
    """Return figures of N probabilities against N outcomes (1 = the bad event); accuracy is at a cut of one half.

    gini = 2 * roc_auc - 1; ks = the largest distance of the two classes' distributions. Without both classes only
    those figures are given that one class allows.
    """
    figures = {
        "rows": float(len(target)),
        "bad_rate": float(target.mean()),
        "brier": float(brier_score_loss(target, probability)),
        "log_loss": float(log_loss(target, probability, labels=[0.0, 1.0])),
        "accuracy": float(((probability >= 0.5) == (target == 1)).mean()),
    }
    if 0 < target.sum() < len(target):
        roc_auc = float(roc_auc_score(target, probability))
        figures |= {"roc_auc": roc_auc, "gini": 2 * roc_auc - 1, "ks": ks_statistic(target, probability)}
        figures["pr_auc"] = float(average_precision_score(target, probability))
        slope, intercept = calibration_line(target, probability)
        figures |= {"calibration_slope": slope, "calibration_intercept": intercept}
    return figures


def ks_statistic(target: Floats, probability: Floats) -> float:
    """Return the largest distance between the distributions of the two classes' probabilities."""
    false_positive_rate, true_positive_rate, _ = roc_curve(target, probability)
    return float(np.max(true_positive_rate - false_positive_rate))


def calibration_line(target: Floats, probability: Floats) -> tuple[float, float]:
    """Return slope and intercept of the outcomes' log-odds over the predicted log-odds; (1, 0) is perfect."""
    return fit_line(target, logit(np.clip(probability, 1e-9, 1 - 1e-9)))


def calibration_slope(target: Floats, probability: Floats) -> tuple[float, float]:
    """Return the slope of `calibration_line` and its standard error, from the information of the fitted line."""
    slope, intercept = calibration_line(target, probability)
    log_odds = logit(np.clip(probability, 1e-9, 1 - 1e-9))
    fitted = expit(intercept + slope * log_odds)
    weights = fitted * (1 - fitted)
    mean = np.average(log_odds, weights=weights)
    information = float((weights * (log_odds - mean) ** 2).sum())
    return slope, information**-0.5 if information > 0 else float("inf")


def fit_line(target: Floats, log_odds: Floats) -> tuple[float, float]:
    """Return slope and intercept of a logistic regression of the outcome, 0 to 1, on one column of log-odds.

    An outcome of 0.9 counts as nine tenths of a bad row and a tenth of a good one.
    """
    both = np.concatenate([log_odds, log_odds]).reshape(-1, 1)
    outcomes = np.repeat([1.0, 0.0], len(target))
    weights = np.concatenate([target, 1.0 - target])
    fitted = LogisticRegression(C=1e6, max_iter=1000).fit(both, outcomes, sample_weight=weights)
    return float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
