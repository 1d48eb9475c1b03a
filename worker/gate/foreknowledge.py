"""Finds columns that seem to be known only after the outcome (target leakage).

A column decides where the ROC AUC of its values alone is beyond what honest columns reach. The strongest honest ones
that we know are those of breast_cancer (0.976, a measurement of the tumour itself), so the bound lies above; and it is
higher where few outcomes are known, since there luck alone comes near. It is measured on all records of known outcome:
numbers in their order as they are, which is nothing that could be fitted, and groups of values (names, ranges of
numbers, "not known") by how often other records of the group were bad. Pure; numpy and pandas alone.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

LEAST_OUTCOMES = 20  # of the rarer kind: of fewer nothing can be said
SOME_OUTCOMES = 200
SUSPICIOUS_AUC, SUSPICIOUS_AUC_OF_FEW = 0.99, 0.999  # from `SOME_OUTCOMES` of the rarer kind on, and below
ALMOST_ALL = 0.995  # share of the records without an outcome that lack a value which almost all others have
_RANGES, _FOLDS, _PRIOR = 32, 5, 1.0

Floats = NDArray[np.float64]
Values = NDArray[Any]  # float64 with NaN for "not known", or objects with None


@dataclass(frozen=True)
class Suspicion:
    """A column, the suspicion in words, and the column's own ROC AUC if that is the reason."""

    column: str
    reason: str
    roc_auc: float | None = None

    def to_document(self) -> dict[str, Any]:
        """Return it as a JSON document."""
        return {"column": self.column, "told": self.reason, "roc_auc": self.roc_auc}


def find_suspicions(columns: Iterable[tuple[str, Values]], target: Floats) -> list[Suspicion]:
    """Return the suspicious columns of N records with outcomes (N) of 1.0, 0.0 or something else (not known)."""
    return [one for name, values in columns for one in _look_at(name, values, target)]


def _look_at(name: str, values: Values, target: Floats) -> Iterator[Suspicion]:
    is_known, is_missing = np.isin(target, (0.0, 1.0)), pd.isna(values)
    bad = int((target == 1).sum())
    rarer = min(bad, int(is_known.sum()) - bad)
    if rarer < LEAST_OUTCOMES:
        return
    if _follows_unknown(is_missing, is_known):
        share = is_missing[~is_known].mean()
        reason = f"{name} is missing in {share:.1%} of the records without an outcome, but in almost none of the others"
        yield Suspicion(name, reason)
    outcome, missing = target[is_known], is_missing[is_known]
    if missing.any() and _is_exactly(missing, outcome):
        kind = int(outcome[missing][0])
        yield Suspicion(name, f"{name} is missing exactly where the outcome is {kind}", 1.0)
        return
    auc = auc_alone(values[is_known], outcome)
    bound = SUSPICIOUS_AUC if rarer >= SOME_OUTCOMES else SUSPICIOUS_AUC_OF_FEW
    if auc >= bound:
        yield Suspicion(name, f"{name} nearly decides the outcome by itself: ROC AUC {auc:.4f}", auc)


def _follows_unknown(is_missing: NDArray[np.bool_], is_known: NDArray[np.bool_]) -> bool:
    if (~is_known).sum() < LEAST_OUTCOMES:
        return False
    return bool(is_missing[~is_known].mean() >= ALMOST_ALL and is_missing[is_known].mean() <= 1 - ALMOST_ALL)


def _is_exactly(missing: NDArray[np.bool_], outcome: Floats) -> bool:
    return bool(np.array_equal(missing, outcome == 1) or np.array_equal(missing, outcome == 0))


def auc_alone(values: Values, outcome: Floats) -> float:
    """Return the ROC AUC of a single column for N outcomes (0.0 or 1.0), in the better direction.

    >>> auc_alone(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 1.0, 0.0, 0.0]))
    1.0
    """
    if values.dtype == np.float64:
        ends = (np.where(np.isnan(values), end, values) for end in (-np.inf, np.inf))
        ordered = max(max(auc, 1 - auc) for auc in (roc_auc(one, outcome) for one in ends))
        return max(ordered, _auc_of_groups(_ranges_of(values), outcome))
    return _auc_of_groups(pd.factorize(values)[0], outcome)


def roc_auc(scores: Floats, outcome: Floats) -> float:
    """Return the probability that a bad record has a higher score than a good one; ties count half."""
    ranks = pd.Series(scores).rank().to_numpy()
    bad = int((outcome == 1).sum())
    return float((ranks[outcome == 1].sum() - bad * (bad + 1) / 2) / (bad * (len(outcome) - bad)))


def _ranges_of(values: Floats) -> NDArray[np.int64]:
    known = values[~np.isnan(values)]
    if not len(known):
        return np.full(len(values), -1)
    edges = np.unique(np.quantile(known, np.linspace(0, 1, _RANGES + 1)[1:-1]))
    return np.where(np.isnan(values), -1, np.searchsorted(edges, values, side="left"))


def _auc_of_groups(ids: NDArray[np.int64], outcome: Floats) -> float:
    """Score each record by the bad rate of its group in the other folds, so that no record uses its own outcome.

    Shares of folds differ by what they leave out, so each fold's order is judged separately.
    """
    folds = np.random.default_rng(0).permutation(len(ids)) % _FOLDS
    ids, mean, found = ids + 1, float(outcome.mean()), list[float]()
    for fold in range(_FOLDS):
        here = folds == fold
        if not 0 < outcome[here].sum() < here.sum():
            continue
        size = int(ids.max()) + 1
        bad = np.bincount(ids[~here], outcome[~here], size) + _PRIOR * mean
        shares = bad / (np.bincount(ids[~here], minlength=size) + _PRIOR)
        found.append(roc_auc(shares[ids[here]], outcome[here]))
    return float(np.mean(found)) if found else 0.5
