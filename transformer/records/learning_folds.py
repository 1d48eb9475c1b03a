"""Deals records to learn from into folds: what is chosen or counted for a record never comes from its own fold.

Records of one entity are in one fold. Where records have a date, whole dates are cut into stretches, and a stretch
learns from earlier ones alone.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from transformer.records.splitting import Labelled, hash_order

FOLDS = 4

Ids = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class LearningFolds:
    """The fold of each of N records; with `in_order` a fold knows earlier folds alone, and the first one nothing."""

    ids: Ids
    in_order: bool = False

    @classmethod
    def deal(cls, labelled: Labelled, count: int = FOLDS) -> Self:
        """Deal by date, else by a hash of the entity, else by a hash of the key with both outcomes dealt evenly."""
        if labelled.as_of is not None:
            dates, places = np.unique(np.array([str(value) for value in labelled.as_of]), return_inverse=True)
            until = np.cumsum(np.bincount(places, minlength=len(dates))) - 1
            return cls((until * (count + 1) // max(1, len(places))).astype(np.int64)[places], in_order=True)
        if labelled.entity is not None:
            return cls((hash_order(labelled.entity) * count).astype(np.int64))
        return cls.deal_evenly(labelled.target, hash_order(labelled.keys), count)

    @classmethod
    def deal_evenly(cls, target: NDArray[np.float64], order: NDArray[np.float64], count: int = FOLDS) -> Self:
        """Deal each outcome's records round and round, in this order."""
        ids = np.zeros(len(target), np.int64)
        for value in np.unique(target):
            mine = np.flatnonzero(target == value)
            ids[mine[np.argsort(order[mine], kind="stable")]] = np.arange(len(mine)) % count
        return cls(ids)

    def take(self, rows: NDArray[np.int64] | Flags) -> "LearningFolds":
        """Return the folds of some of the records."""
        return LearningFolds(self.ids[rows], self.in_order)

    def pairs(self) -> list[tuple[Ids, Ids]]:
        """Return for each fold the rows to learn from and the rows to look at.

        The first stretch of time, which nothing comes before, is not looked at.
        """
        folds = np.unique(self.ids)
        pairs = [(np.flatnonzero(self.known_to(fold)), np.flatnonzero(self.ids == fold)) for fold in folds]
        return [(learn, look) for learn, look in pairs if len(learn)]

    def known_to(self, fold: int) -> Flags:
        """Return which records a fold may learn from."""
        return self.knows(fold, self.ids)

    def knows(self, fold: int, other: Any) -> Any:
        """Whether a fold may learn from another, or from each of others."""
        return other < fold if self.in_order else other != fold
