"""What outcomes say of names: the log-odds of the bad event among the records that have a name.

A record that is learnt from must not find its own outcome in them: its figures come from folds that are not its own.
When scoring, they come from all records that were learnt from. What too few records share stands for nothing.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from transformer.records.binning import place
from transformer.records.holders import least_holders
from transformer.records.learning_folds import LearningFolds

PRIOR = 10  # records of the mean outcome that every name is taken to have beside its own
MANY_NAMES = 10  # a field with more of them has figures among the network's numbers
FIGURES = 2  # log-odds, log of how many

Ids = NDArray[np.int32]
Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]


@dataclass(frozen=True)
class Outcomes:
    """Outcomes (N), 1.0 or 0.0, of records to learn from, what each counts for (N), and their folds."""

    target: Floats
    weight: Floats
    folds: LearningFolds

    @property
    def mean(self) -> float:
        """The share of bad ones."""
        return float(np.clip(np.average(self.target, weights=self.weight), 1e-6, 1 - 1e-6))


@dataclass(frozen=True)
class NameFigures:
    """Where the log-odds of each name, and the logarithm of how many records have it, lie on edges: (names, 2)."""

    positions: Floats32

    @classmethod
    def nothing(cls, names: int) -> Self:
        """Figures of names that nothing is known of yet."""
        return cls(np.zeros((names, FIGURES), np.float32))

    @classmethod
    def fit(cls, ids: Ids, names: int, outcomes: Outcomes, edges_of: Any) -> tuple[Self, Floats32]:
        """Return the figures, and those of the records to learn from (N, 2) by the other folds.

        `edges_of` makes edges of numbers.
        """
        odds, mine = log_odds(ids, names, outcomes), odds_by_fold(ids, names, outcomes)
        counts = np.log1p(np.bincount(ids, minlength=names))
        parts, own = [], []
        for whole, rows in ((odds, mine), (counts, counts[ids])):
            edges = edges_of(rows.astype(np.float64))
            parts.append(_place(whole, edges))
            own.append(_place(rows, edges))
        return cls(np.stack(parts, axis=1)), np.stack(own, axis=1)

    def to_document(self) -> list[list[float]]:
        """Return the positions as JSON."""
        return [[float(one) for one in row] for row in self.positions]

    @classmethod
    def from_document(cls, document: list[list[float]]) -> Self:
        """Read back what `to_document` wrote."""
        return cls(np.array(document, dtype=np.float32).reshape(-1, FIGURES))


def log_odds(ids: Ids, names: int, outcomes: Outcomes) -> Floats:
    """Return the log-odds of every name (names), drawn towards the mean; a name that too few hold counts as the mean."""
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


def _place(values: Floats, edges: Floats) -> Floats32:
    positions, missing = np.empty((len(values), 1), np.float32), np.empty((len(values), 1), np.float32)
    place(values.astype(np.float64), np.zeros(len(values), np.int8), edges, 0, positions, missing)
    return positions[:, 0]
