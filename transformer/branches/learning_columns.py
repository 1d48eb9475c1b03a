"""The columns that trees are fitted on: numbers, what names and their combinations count as, and the bins of each.

Names count by outcomes of folds that are not a record's own. When scoring, `tree_columns` describes records by all.
"""

import numpy as np
from numpy.typing import NDArray

from transformer.branches.combination_choice import choose_combinations
from transformer.branches.tree_growth import MOST_BINS
from transformer.fitting.examples import Examples
from transformer.network.layers.tree_columns import Floats32, NameTables, TreeInputs
from transformer.records.name_statistics import log_odds, odds_by_fold

Floats = NDArray[np.float64]


def describe_to_learn(asked: TreeInputs, learn: Examples) -> tuple[NameTables, Floats32]:
    """Return what names count as, and what trees ask about in the rows to learn from (N, C), by folds not their own."""
    ids, outcomes = asked.ids(learn.inputs), learn.outcomes
    columns = list(zip(ids.T, asked.all_sizes, strict=True))
    odds = [log_odds(mine, size, outcomes) for mine, size in columns]
    counts = [np.log1p(np.bincount(mine, minlength=size)) for mine, size in columns]
    fields = learn.inputs["categories"].shape[1] if "categories" in learn.inputs else 0
    together = choose_combinations(ids[:, :fields], asked.all_sizes[:fields], outcomes)
    names = NameTables(_joined(odds), _joined(counts), together.columns, together.values)
    numbers = asked.describe(learn.inputs, names.odds)[:, : 2 * asked.numbers]
    own = [odds_by_fold(mine, size, outcomes) for mine, size in columns]
    held = [count[mine] for count, mine in zip(counts, ids.T, strict=True)]
    found = np.stack([*own, *held], axis=1) if columns else np.zeros((learn.rows, 0))
    return names, np.concatenate([numbers, found.astype(np.float32), together.rows], axis=1)


def _joined(parts: list[Floats]) -> Floats32:
    return np.concatenate([*parts, np.zeros(0)]).astype(np.float32)


def find_columns(values: Floats32) -> tuple[NDArray[np.int64], list[Floats32]]:
    """Return which columns say something that none before them does, and the edges between their bins."""
    columns, edges, known = list[int](), list[Floats32](), set[bytes]()
    for column in range(values.shape[1]):
        mine = values[:, column]
        distinct = np.unique(mine)
        if len(distinct) < 2:
            continue
        if len(distinct) > MOST_BINS:
            shares = np.linspace(0, 1, MOST_BINS + 1)[1:-1]
            distinct = np.unique(np.append(np.quantile(mine, shares, method="inverted_cdf"), distinct[-1]))
        between = ((distinct[1:] + distinct[:-1]) / 2).astype(np.float32)
        content = np.searchsorted(between, mine, side="left").astype(np.uint8).tobytes()
        if content not in known:
            known.add(content)
            columns.append(column)
            edges.append(between)
    return np.array(columns, np.int64), edges
