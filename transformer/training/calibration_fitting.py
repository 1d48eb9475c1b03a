"""Fits the line that turns logits into probabilities, on rows that the network has not learnt from."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import root_scalar
from scipy.special import expit

from transformer.bundles.calibration import Calibration
from transformer.evaluation.figures import fit_line

_FAR = 40.0  # log-odds that are certain in 64 bits

Floats = NDArray[np.float64]


def calibrate(logits: Floats, target: Floats) -> Calibration:
    """Fit p = sigmoid(slope * logit + intercept) for a network that was just fitted; the order of scores is kept.

    Such logits were fitted by log loss and are close to right already, while some hundred bad outcomes say little of a
    slope: so Platt's is drawn towards 1 by its standard error, and is 1 where it does not lie further off. The mean
    probability is that of the outcomes. `benchmarks.quality` measures the slope on test rows.
    """
    fitted, softened = fit_platt(logits, target), _soften(target)
    beyond = abs(fitted.slope - 1) - _slope_error(logits, fitted)
    slope = 1 + np.sign(fitted.slope - 1) * max(0.0, beyond)
    return Calibration(float(slope), _intercept_for(slope * logits, float(softened.mean())))


def fit_platt(logits: Floats, target: Floats) -> Calibration:
    """Fit the same line with a free slope, for a network whose records have moved on; never turns the order round.

    Platt (1999), with his targets (n + 1) / (n + 2) and 1 / (n + 2) of each class instead of 1 and 0: on a few rows
    that the logits part without an error, the slope would otherwise grow without end.
    """
    slope, intercept = fit_line(_soften(target), logits)
    return Calibration(slope, intercept) if slope > 0 else Calibration(1.0, 0.0)


def _soften(target: Floats) -> Floats:
    bad, good = float((target == 1).sum()), float((target == 0).sum())
    return np.where(target == 1, (bad + 1) / (bad + 2), 1 / (good + 2))


def _slope_error(logits: Floats, fitted: Calibration) -> float:
    """Return the standard error of the slope by Fisher's information; infinite where the logits say nothing."""
    probability = expit(fitted.slope * logits + fitted.intercept)
    weight = probability * (1 - probability)
    if weight.sum() == 0:
        return float("inf")
    spread = float(np.dot(weight, (logits - np.average(logits, weights=weight)) ** 2))
    return 1 / spread**0.5 if spread > 0 else float("inf")


def _intercept_for(log_odds: Floats, rate: float) -> float:
    """Return what is to be added to log-odds so that the mean probability is the rate."""
    lowest, highest = -float(log_odds.max()) - _FAR, -float(log_odds.min()) + _FAR
    found = root_scalar(lambda shift: float(expit(log_odds + shift).mean()) - rate, bracket=(lowest, highest))
    return float(found.root)
