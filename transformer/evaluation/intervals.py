"""Figures of merit with 95 % intervals, of one model or of the difference of two on the same records.

ROC AUC and Gini: DeLong, DeLong & Clarke-Pearson (1988), by the fast algorithm of Sun & Xu (2014). Brier, log loss and
accuracy are means of records and have the interval of a mean. Calibration slope and intercept: the information matrix
of the logistic regression. KS and PR AUC: 200 bootstrap resamples of the records, from one seed.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from transformer.evaluation.delong import auc_covariance
from transformer.evaluation.figures import calibration_line, evaluate

RESAMPLES = 200
MOST_RESAMPLED = 20_000  # records; of more, a part is drawn and its interval scaled
_NORMAL_95 = 1.959964
_SEED = 20240607

Floats = NDArray[np.float64]
FIGURES = (
    *("roc_auc", "pr_auc", "ks", "gini", "brier", "log_loss", "accuracy"),
    *("calibration_slope", "calibration_intercept"),
)


@dataclass(frozen=True)
class Figure:
    """A figure with the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    def to_document(self) -> dict[str, float]:
        """Return it as a JSON document."""
        return {"value": self.value, "low": self.low, "high": self.high}


def evaluate_with_intervals(target: Floats, probability: Floats) -> dict[str, Figure]:
    """Return every figure of `FIGURES` that the outcomes allow: without both classes, only the means of records."""
    plain = evaluate(target, probability)
    deviations = {name: _deviation_of_mean(values) for name, values in _record_losses(target, probability).items()}
    if 0 < target.sum() < len(target):
        auc_deviation = float(np.sqrt(auc_covariance(target, probability[None])[0, 0]))
        deviations |= {"roc_auc": auc_deviation, "gini": 2 * auc_deviation}
        deviations |= _calibration_deviations(target, probability)
        both = _resample(target, [probability])
        deviations |= {name: float(values[:, 0].std(ddof=1)) for name, values in both.items()}
    return {name: _figure(plain[name], deviations[name], name) for name in FIGURES if name in deviations}


def auc_against_chance(target: Floats, probability: Floats) -> Figure | None:
    """Return the ROC AUC with an interval to hold against one half; None if one outcome is missing.

    Its width is the greater of DeLong's and that of scores that say nothing (Mann and Whitney 1947): of a few records
    that happen to be in perfect order DeLong's is none at all.
    """
    bad = float(target.sum())
    good = len(target) - bad
    if not bad or not good:
        return None
    value = evaluate(target, probability)["roc_auc"]
    of_chance = np.sqrt((len(target) + 1) / (12 * bad * good))
    deviation = max(float(np.sqrt(auc_covariance(target, probability[None])[0, 0])), float(of_chance))
    return _figure(value, deviation, "roc_auc")


def compare_with_intervals(target: Floats, first: Floats, second: Floats) -> dict[str, Figure]:
    """Return second - first for each figure, with the interval of the difference on the same records (paired)."""
    figures = [evaluate(target, first), evaluate(target, second)]
    losses = [_record_losses(target, first), _record_losses(target, second)]
    deviations = {name: _deviation_of_mean(losses[1][name] - losses[0][name]) for name in losses[0]}
    if 0 < target.sum() < len(target):
        covariance = auc_covariance(target, np.stack([first, second]))
        auc_deviation = float(np.sqrt(max(0.0, covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])))
        deviations |= {"roc_auc": auc_deviation, "gini": 2 * auc_deviation}
        both = _resample(target, [first, second])
        deviations |= {name: float((values[:, 1] - values[:, 0]).std(ddof=1)) for name, values in both.items()}
    differences = {name: figures[1][name] - figures[0][name] for name in deviations}
    return {
        name: Figure(differences[name], *_ends(differences[name], deviations[name]))
        for name in FIGURES
        if name in differences
    }


def _figure(value: float, deviation: float, name: str) -> Figure:
    low, high = _ends(value, deviation)
    if name in {"roc_auc", "pr_auc", "ks", "brier", "accuracy"}:
        low, high = max(0.0, low), min(1.0, high)
    return Figure(value, low, high)


def _ends(value: float, deviation: float) -> tuple[float, float]:
    return value - _NORMAL_95 * deviation, value + _NORMAL_95 * deviation


def _record_losses(target: Floats, probability: Floats) -> dict[str, Floats]:
    safe = np.clip(probability, 1e-15, 1 - 1e-15)
    return {
        "brier": np.square(target - probability),
        "log_loss": -np.log(np.where(target == 1, safe, 1 - safe)),
        "accuracy": ((probability >= 0.5) == (target == 1)).astype(np.float64),
    }


def _deviation_of_mean(values: Floats) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0


def _calibration_deviations(target: Floats, probability: Floats) -> dict[str, float]:
    log_odds = logit(np.clip(probability, 1e-9, 1 - 1e-9))
    slope, intercept = calibration_line(target, probability)
    fitted = expit(slope * log_odds + intercept)
    weight = fitted * (1 - fitted)
    cross = float((weight * log_odds).sum())
    information = np.array([[float((weight * log_odds**2).sum()), cross], [cross, float(weight.sum())]])
    variances = np.diag(np.linalg.pinv(information))
    return {
        "calibration_slope": float(np.sqrt(max(0.0, variances[0]))),
        "calibration_intercept": float(np.sqrt(max(0.0, variances[1]))),
    }


def _resample(target: Floats, scores: list[Floats]) -> dict[str, Floats]:
    """Return KS and PR AUC (R, M) of R resamples, the same ones for each of the M scores."""
    random = np.random.default_rng(_SEED)
    rows = len(target)
    chosen = np.arange(rows) if rows <= MOST_RESAMPLED else random.permutation(rows)[:MOST_RESAMPLED]
    ranked = [_Ranked(target[chosen], values[chosen]) for values in scores]
    found: dict[str, list[list[float]]] = {"ks": [], "pr_auc": []}
    whole = {
        name: np.array([[compute(one, np.ones(len(chosen))) for one in ranked]]) for name, compute in _RANKED.items()
    }
    for _ in range(RESAMPLES):
        weights = np.bincount(random.integers(0, len(chosen), len(chosen)), minlength=len(chosen)).astype(np.float64)
        for name, compute in _RANKED.items():
            found[name].append([compute(one, weights) for one in ranked])
    shrink = np.sqrt(len(chosen) / rows)
    return {name: whole[name] + shrink * (np.array(values) - whole[name]) for name, values in found.items()}


class _Ranked:
    """Records sorted once, riskiest first; equal scores stand together."""

    def __init__(self, target: Floats, score: Floats) -> None:
        self.order = np.argsort(-score, kind="stable")
        self.target = target[self.order]
        ranked = score[self.order]
        self.ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))

    def counts(self, weights: Floats) -> tuple[Floats, Floats]:
        """Return bad and good records so far at each distinct score."""
        sorted_weights = weights[self.order]
        bad = np.cumsum(sorted_weights * self.target)[self.ends]
        return bad, np.cumsum(sorted_weights)[self.ends] - bad


def _ks(ranked: _Ranked, weights: Floats) -> float:
    bad, good = ranked.counts(weights)
    return float(np.max(np.abs(bad / max(bad[-1], 1.0) - good / max(good[-1], 1.0))))


def _average_precision(ranked: _Ranked, weights: Floats) -> float:
    bad, good = ranked.counts(weights)
    precision = bad / np.maximum(bad + good, 1.0)
    return float((np.diff(bad, prepend=0.0) * precision).sum() / max(bad[-1], 1.0))


_RANKED: dict[str, Callable[[_Ranked, Floats], float]] = {"ks": _ks, "pr_auc": _average_precision}
