"""The linear probe: logistic regression on what a frozen network says of each record. For books with few outcomes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

STRENGTHS = (0.01, 0.03, 0.1)  # inverse of the ridge's weight, strongest first

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Probe:
    """p = sigmoid(representation @ weights + intercept)."""

    weights: Floats
    intercept: float
    strength: float

    def logits(self, representation: Floats) -> Floats:
        """Return N logits."""
        return representation @ self.weights + self.intercept

    def behind(self, basis: Floats) -> Self:
        """Return the same of what `basis` (V, W) makes a representation from: of V numbers."""
        return replace(self, weights=basis @ self.weights)

    @classmethod
    def mean(cls, probes: "Sequence[Probe]", strength: float) -> Self:
        """Return the probe whose logits are the mean of theirs, told to be of this strength."""
        weights = np.mean([one.weights for one in probes], axis=0)
        return cls(weights, float(np.mean([one.intercept for one in probes])), strength)


def fit_probe(representation: Floats, target: Floats, strength: float) -> Probe:
    """Fit on N rows (N, W); columns are brought to mean 0 and deviation 1 for the ridge."""
    mean, deviation = representation.mean(axis=0), representation.std(axis=0) + 1e-3
    model = LogisticRegression(C=strength, max_iter=500, solver="newton-cholesky").fit(
        (representation - mean) / deviation, target
    )
    weights = model.coef_[0] / deviation
    return Probe(weights, float(model.intercept_[0] - mean @ weights), strength)


def cross_validate_probe(representation: Floats, target: Floats, strength: float, folds: Any) -> Floats:
    """Return the logits of each row by a probe that has not seen it."""
    logits = np.zeros(len(target))
    for learn, look in folds:
        logits[look] = fit_probe(representation[learn], target[learn], strength).logits(representation[look])
    return logits


def put_probe(network: keras.Model, probe: Probe) -> None:
    """Make the head of the network the probe: every member the same, its hidden part zero."""
    head: Any = network.get_layer("head")
    head.outer.assign(np.zeros(head.outer.shape))
    head.outer_bias.assign(np.full(head.outer_bias.shape, probe.intercept))
    head.linear.assign(np.repeat(probe.weights[:, None], head.linear.shape[1], axis=1))
    for layer in network.layers:
        if layer.name == "direct":
            layer.outer.assign(np.zeros(layer.outer.shape))
