"""Chooses the pairs of names that say more than both names by themselves, and what each pair counts as."""

from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from transformer.network.layers.name_pairs import COARSE, FINE, slots_of_pair
from transformer.records.holders import LEAST_HOLDERS
from transformer.records.name_statistics import PRIOR, Ids, Outcomes, odds_by_fold

MOST_PAIRS = 24
MOST_TRIED = 400
LEAST_PROOF = 4.0  # standard errors by which a pair must explain what the sum of its names leaves
FEWEST_ROWS = 1000  # with fewer no slot has enough records

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]


class Pairs(NamedTuple):
    """Columns (R, 2), values of their slots (R, slots), and those of the rows to learn from by other folds (N, R)."""

    columns: Floats32
    values: Floats32
    rows: Floats32


def choose_pairs(ids: Ids, sizes: tuple[int, ...], outcomes: Outcomes) -> Pairs:
    """Return the pairs that are proven, by rows whose fold they were not counted on, strongest first.

    ids (N, Q) are numbers of names below `sizes`.
    """
    columns = [number for number, size in enumerate(sizes) if size > 3]  # more than one name
    alone = {one: odds_by_fold(ids[:, one], sizes[one], outcomes) for one in columns}
    base = float(np.log(outcomes.mean / (1 - outcomes.mean)))
    proven: list[tuple[float, int, int, Floats]] = []
    tried = list(combinations(columns, 2))[:MOST_TRIED] if len(ids) >= FEWEST_ROWS else []
    for first, second in tried:
        together = alone[first] + alone[second] - base
        values = _by_fold(ids[:, first], ids[:, second], outcomes)
        proof = _proof(values - together, outcomes, together)
        if proof > LEAST_PROOF:
            proven.append((proof, first, second, values))
    best = sorted(proven, key=lambda one: -one[0])[:MOST_PAIRS]
    tables = [_table(ids[:, first], ids[:, second], outcomes, slice(None)) for _, first, second, _ in best]
    rows = [values for _, _, _, values in best]
    return Pairs(
        np.array([one[1:3] for one in best], np.float32).reshape(-1, 2),
        np.array(tables, np.float32).reshape(-1, FINE + COARSE),
        np.stack(rows, axis=1).astype(np.float32) if rows else np.zeros((len(ids), 0), np.float32),
    )


def _proof(more: Floats, outcomes: Outcomes, together: Floats) -> float:
    """Return by how many standard errors what a pair adds goes with what its names leave unexplained."""
    left = outcomes.weight * (outcomes.target - expit(together))
    product = (left - left.mean()) * (more - more.mean())
    error = float(product.std()) / np.sqrt(len(product))
    return float(product.mean()) / error if error > 0 else 0.0


def _by_fold(first: Ids, second: Ids, outcomes: Outcomes) -> Floats:
    found = np.empty(len(first))
    fine, coarse = slots_of_pair(first, second)
    for fold in np.unique(outcomes.folds.ids):
        table = _table(first, second, outcomes, outcomes.folds.known_to(fold))
        here = np.flatnonzero(outcomes.folds.ids == fold)
        mine = table[fine[here]]
        found[here] = np.where(np.isnan(mine), table[FINE + coarse[here]], mine)
    return found


def _table(first: Ids, second: Ids, outcomes: Outcomes, rows: slice | NDArray[np.bool_]) -> Floats:
    """Return the log-odds of every slot by some of the rows."""
    fine, coarse = slots_of_pair(first[rows], second[rows])
    target, weight = outcomes.target[rows], outcomes.weight[rows]
    is_shared = np.bincount(fine, minlength=FINE) >= LEAST_HOLDERS
    rest = ~is_shared[fine]
    base = float(np.log(outcomes.mean / (1 - outcomes.mean)))
    fine_odds = np.where(is_shared, _odds(fine, FINE, target, weight, outcomes.mean), np.nan)
    coarse_odds = _odds(coarse[rest], COARSE, target[rest], weight[rest], outcomes.mean)
    is_known = np.bincount(coarse[rest], minlength=COARSE) >= LEAST_HOLDERS
    return np.concatenate([fine_odds, np.where(is_known, coarse_odds, base)])


def _odds(places: NDArray[np.int64], slots: int, target: Floats, weight: Floats, mean: float) -> Floats:
    share = (np.bincount(places, weight * target, slots) + PRIOR * mean) / (np.bincount(places, weight, slots) + PRIOR)
    return np.log(share / (1 - share))
