"""Fits the line that turns logits into probabilities, on rows that the network has not learnt from."""

import numpy as np
from numpy.typing import NDArray

from transformer.evaluation import fit_line
from transformer.probabilities import Calibration

Floats = NDArray[np.float64]


def calibrate(logits: Floats, target: Floats) -> Calibration:
    """Fit p = sigmoid(slope * logit + intercept) on validation rows; the order of scores is kept.

    Platt (1999), with his targets (n + 1) / (n + 2) and 1 / (n + 2) of each class instead of 1 and 0: on a few rows
    that the logits part without an error, the slope would otherwise grow without end.
    """
    bad, good = float((target == 1).sum()), float((target == 0).sum())
    softened = np.where(target == 1, (bad + 1) / (bad + 2), 1 / (good + 2))
    slope, intercept = fit_line(softened, logits)
    return Calibration(slope, intercept) if slope > 0 else Calibration(1.0, 0.0)
