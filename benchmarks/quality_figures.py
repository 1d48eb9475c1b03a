"""The figures by which the quality benchmarks judge a model, and their paired difference between two."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

DRAWS = 500

Floats = NDArray[np.float64]


def figures_of(truth: Floats, probability: Floats) -> dict[str, float]:
    return {
        "roc_auc": float(roc_auc_score(truth, probability)),
        "pr_auc": float(average_precision_score(truth, probability)),
        "brier": float(brier_score_loss(truth, probability)),
        "log_loss": float(log_loss(truth, probability)),
    }


def compare(truth: Floats, mean: Floats, other: Floats, scored: list[Floats]) -> dict[str, Any]:
    """Return the difference in ROC AUC of the seeds' mean figure, with a paired interval of the first seed's scores."""
    random, gains = np.random.default_rng(1), []
    for _ in range(DRAWS):
        rows = random.integers(0, len(truth), len(truth))
        if 0 < truth[rows].sum() < len(rows):
            one = np.mean([roc_auc_score(truth[rows], each[rows]) for each in scored[:1]])
            gains.append(one - roc_auc_score(truth[rows], other[rows]))
    single = np.mean([roc_auc_score(truth, one) for one in scored]) - roc_auc_score(truth, other)
    low, high = np.quantile(gains, [0.025, 0.975])
    ensemble = roc_auc_score(truth, mean) - roc_auc_score(truth, other)
    return {
        "difference": round(float(single), 4),
        "interval": [round(float(low), 4), round(float(high), 4)],
        "mean_of_seeds_difference": round(float(ensemble), 4),
    }
