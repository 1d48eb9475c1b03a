"""From logits to the probabilities that are stored: calibrated, rounded, never 0 or 1."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

PROBABILITY_DECIMALS = 6
LOWEST_PROBABILITY = 10.0**-PROBABILITY_DECIMALS


@dataclass(frozen=True)
class Calibration:
    """p = sigmoid(slope * logit + intercept)."""

    slope: float
    intercept: float

    def probabilities(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability of the bad event as it is stored: six decimals, between 0.000001 and 0.999999."""
        exact = expit(self.slope * logits + self.intercept)
        rounded = np.round(exact, PROBABILITY_DECIMALS)
        return np.clip(rounded, LOWEST_PROBABILITY, 1.0 - LOWEST_PROBABILITY)
