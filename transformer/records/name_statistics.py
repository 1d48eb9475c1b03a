"""What outcomes say of names: the log-odds of the bad event among the records that have a name.

A record that is learnt from must not find its own outcome in them: its figures come from folds that are not its own.
When scoring, they come from all records that were learnt from. What too few records share stands for nothing.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transformer.records.holders import least_holders
from transformer.records.learning_folds import LearningFolds

PRIOR = 10  # records of the mean outcome that every name is taken to have beside its own

Ids = NDArray[np.int32]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Outcomes:
    """Outcomes (N), 1.0 or 0.0, of records to learn from, what each counts for (N), and their folds."""

    target: Floats
    weight: Floats
    folds: LearningFolds

    def take(self, rows: NDArray[np.int64]) -> "Outcomes":
        """Return those of some of the records."""
        return Outcomes(self.target[rows], self.weight[rows], self.folds.take(rows))

    @property
    def mean(self) -> float:
        """The share of bad ones."""
        return float(np.clip(np.average(self.target, weights=self.weight), 1e-6, 1 - 1e-6))


def log_odds(ids: Ids, names: int, outcomes: Outcomes) -> Floats:
    """Return the log-odds of every name (names), drawn towards the mean; of a name that too few hold the mean."""
    return _log_odds(ids, names, outcomes.target, outcomes.weight, outcomes.mean)


def odds_by_fold(ids: Ids, names: int, outcomes: Outcomes) -> Floats:
    """Return the log-odds (N) of each record's name among the records that its fold may learn from."""
    target, weight, found = outcomes.target, outcomes.weight, np.empty(len(ids))
    for fold in np.unique(outcomes.folds.ids):
        is_known, is_here = outcomes.folds.known_to(fold), outcomes.folds.ids == fold
        found[is_here] = _log_odds(ids[is_known], names, target[is_known], weight[is_known], outcomes.mean)[
            ids[is_here]
        ]
    return found


def _log_odds(ids: Ids, names: int, target: Floats, weight: Floats, mean: float) -> Floats:
    held = np.bincount(ids, minlength=names)
    bad = np.bincount(ids, weight * target, names) + PRIOR * mean
    share = np.where(held >= least_holders(len(ids)), bad / (np.bincount(ids, weight, names) + PRIOR), mean)
    return np.log(share / (1 - share))
