"""Chooses the combinations of names that say more than their parts by themselves, and what each one counts as."""

from collections.abc import Iterable
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from transformer.network.layers.name_combinations import FINE, MOST_COARSE, MOST_TOGETHER, slots_of
from transformer.records.holders import LEAST_HOLDERS
from transformer.records.name_statistics import PRIOR, Ids, Outcomes, odds_by_fold
from transformer.records.rare_names import ROWS_A_SLOT

MOST_OF_TWO, MOST_OF_THREE = 32, 16
MOST_TRIED = 400  # of two, and of three
EXTENDED = 12  # pairs that a third name is tried with
LEAST_PROOF = 3.0  # standard errors by which a combination must explain what the sum of its parts leaves
FEWEST_ROWS, MOST_ROWS = 1000, 40_000  # with fewer no slot has enough records; of more so many are drawn for the proof

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Columns = tuple[int, ...]


class Combinations(NamedTuple):
    """Columns (R, 4), values of their slots (R, slots), and those of the rows to learn from by other folds (N, R)."""

    columns: Floats32
    values: Floats32
    rows: Floats32


def choose_combinations(ids: Ids, sizes: tuple[int, ...], outcomes: Outcomes) -> Combinations:
    """Return the combinations that are proven, by rows whose fold they were not counted on.

    ids (N, Q) are numbers of names below `sizes`.
    """
    chosen = _choose(ids, sizes, outcomes) if len(ids) >= FEWEST_ROWS else []
    found = [_Counts(ids, one, outcomes) for one in chosen]
    columns = [
        [*one, *[-1] * (MOST_TOGETHER - len(one)), count.coarse] for one, count in zip(chosen, found, strict=True)
    ]
    rows = [one.by_fold() for one in found]
    return Combinations(
        np.array(columns, np.float32).reshape(-1, MOST_TOGETHER + 1),
        np.array([one.table() for one in found], np.float32).reshape(-1, FINE + MOST_COARSE),
        np.stack(rows, axis=1).astype(np.float32) if rows else np.zeros((len(ids), 0), np.float32),
    )


def _choose(ids: Ids, sizes: tuple[int, ...], outcomes: Outcomes) -> list[Columns]:
    """Return the columns of the combinations to keep: pairs first, then the best of these with a third name."""
    if len(ids) > MOST_ROWS:
        drawn = np.sort(np.random.default_rng(0).choice(len(ids), MOST_ROWS, replace=False))
        ids, outcomes = ids[drawn], outcomes.take(drawn)
    search = _Search(ids, outcomes)
    for column, size in enumerate(sizes):
        if size > 3:  # more than one name
            search.known[(column,)] = odds_by_fold(ids[:, column], size, outcomes)
    names = sorted(search.known, key=lambda one: -float(np.var(search.known[one])))
    pairs = search.try_all((one, other) for one, other in combinations(names, 2))
    triples = search.try_all((pair, one) for pair in pairs[:EXTENDED] for one in names if one[0] not in pair)
    return pairs[:MOST_OF_TWO] + triples[:MOST_OF_THREE]


class _Search:
    """What names and combinations say of each row (N), by folds that are not its own."""

    def __init__(self, ids: Ids, outcomes: Outcomes) -> None:
        self._ids, self._outcomes = ids, outcomes
        self._base = float(np.log(outcomes.mean / (1 - outcomes.mean)))
        self.known: dict[Columns, Floats] = {}

    def try_all(self, parts: Iterable[tuple[Columns, Columns]]) -> list[Columns]:
        """Return the combinations of two parts each that are proven, strongest first."""
        proofs: dict[Columns, float] = {}
        for one, other in parts:
            columns = tuple(sorted(one + other))
            if columns in proofs or len(proofs) >= MOST_TRIED:
                continue
            values = self.known[columns] = _Counts(self._ids, columns, self._outcomes).by_fold()
            proofs[columns] = self._proof(values, self.known[one] + self.known[other] - self._base)
        return sorted((one for one in proofs if proofs[one] > LEAST_PROOF), key=lambda one: -proofs[one])

    def _proof(self, values: Floats, parts: Floats) -> float:
        """Return by how many standard errors a combination goes with what the sum of its parts leaves unexplained."""
        left = self._outcomes.weight * (self._outcomes.target - expit(parts))
        more = values - parts
        product = (left - left.mean()) * (more - more.mean())
        error = float(product.std()) / np.sqrt(len(product))
        return float(product.mean()) / error if error > 0 else 0.0


class _Counts:
    """Outcomes of the records in each slot of a combination, fold by fold: weights and bad ones (F, slots)."""

    def __init__(self, ids: Ids, columns: Columns, outcomes: Outcomes) -> None:
        self._outcomes = outcomes
        fine, _ = slots_of(ids, columns, 1)
        is_kept = np.bincount(fine, minlength=FINE) >= LEAST_HOLDERS
        is_rest = ~is_kept[fine]
        self.coarse = int(np.clip(is_rest.sum() // ROWS_A_SLOT, 1, MOST_COARSE))
        _, rest = slots_of(ids, columns, self.coarse)
        self._slots = np.where(is_rest, FINE + rest, fine)
        held = np.bincount(self._slots, minlength=FINE + MOST_COARSE)
        self._says_nothing = held < LEAST_HOLDERS
        self._is_fine = np.append(is_kept, np.ones(MOST_COARSE, bool))
        folds, at = np.unique(outcomes.folds.ids, return_inverse=True)
        places, shape = at * len(held) + self._slots, (len(folds), len(held))
        self._fold = at
        self._known = np.array([[outcomes.folds.knows(one, other) for other in folds] for one in folds], float)
        self._weight = self._add_up(places, outcomes.weight, shape)
        self._bad = self._add_up(places, outcomes.weight * outcomes.target, shape)

    @staticmethod
    def _add_up(places: NDArray[np.int64], values: Floats, shape: tuple[int, int]) -> Floats:
        return np.bincount(places, values, shape[0] * shape[1]).astype(np.float64).reshape(shape)

    def by_fold(self) -> Floats:
        """Return what each row's slot (N) says by the folds that its own may learn from."""
        return self._odds(self._known @ self._weight, self._known @ self._bad)[self._fold, self._slots]

    def table(self) -> Floats:
        """Return what every slot says (slots); NaN for a fine one that too few records share."""
        odds = self._odds(self._weight.sum(axis=0), self._bad.sum(axis=0))
        return np.where(self._is_fine, odds, np.nan)

    def _odds(self, weight: Floats, bad: Floats) -> Floats:
        mean = self._outcomes.mean
        share = np.where(self._says_nothing, mean, (bad + PRIOR * mean) / (weight + PRIOR))
        return np.log(share / (1 - share))
