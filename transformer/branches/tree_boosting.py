"""Fits the network's trees by gradient boosting on histograms (scikit-learn), on what the network reads of a record.

They find what sums of bins and a small network on few records do not: sharp interactions of several fields. They are
fitted apart from the rest and mixed with it, as the scorecard is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import log_loss
from threadpoolctl import threadpool_limits

from transformer.fitting.examples import Examples
from transformer.network.layers.trees import ALL_LEAVES, LEAVES, NEVER, NODES, Floats32, TreeInputs, Trees, add_up
from transformer.records.features import Inputs

MOST_TREES = 400  # what they cost when scoring grows with their number
AT_ONCE = 50  # trees between two looks at the validation rows
LEARNING_RATE = 0.05
RIDGE = 5.0
COLUMN_SHARE = 0.5  # of the columns, drawn anew for each node
FEWEST_ROWS_A_LEAF, USUAL_ROWS_A_LEAF, LEAVES_A_BOOK = 5, 20, 50
RANK_PRIOR = 10  # records of the mean outcome that every name is taken to have beside its own
MOST_ROWS, MOST_VALUES = 200_000, 8_000_000  # rows, and rows times columns: several copies of them are in memory
_TOLERANCE = 1e-4  # of a logit, by which our trees may differ from the library's

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Grove:
    """As many trees as gave the least loss on the validation rows, and their logits there."""

    trees: Trees
    logits: Floats


@dataclass(frozen=True)
class Booster:
    """What is the same for all trees of a book."""

    asked: TreeInputs
    seed: int
    on_batch: Callable[[], None]

    def fit(self, learn: Examples, count: int) -> Trees:
        """Fit so many trees."""
        growth = self._begin(learn)
        while growth.planted < count:
            growth.grow(min(AT_ONCE, count - growth.planted))
            self.on_batch()
        return growth.trees()

    def choose(self, learn: Examples, look: Examples) -> Grove:
        """Fit as long as the log loss of the rows in `look` comes down; return the trees up to the best, and logits."""
        growth = self._begin(learn)
        values = self.asked.describe(look.inputs, growth.ranks)
        losses, logits, best = list[float](), np.zeros(look.rows), (np.inf, 0, np.zeros(look.rows))
        while growth.planted < MOST_TREES and growth.planted - best[1] <= AT_ONCE:
            new = growth.grow(min(AT_ONCE, MOST_TREES - growth.planted))
            if not losses:
                logits += new.intercept
            for steps in _tree_by_tree(new, values, logits):
                losses.append(float(log_loss(look.target, expit(steps))))
                if losses[-1] < best[0]:
                    best = (losses[-1], len(losses), steps.copy())
            self.on_batch()
        return Grove(growth.trees().take(best[1]), best[2])

    def logits_by_count(self, learn: Examples, look: Examples, count: int) -> Floats:
        """Return the logits of the rows in `look` after each of so many trees: (count, N)."""
        trees = self.fit(learn, count)
        values = self.asked.describe(look.inputs, trees.ranks)
        return np.stack([one.copy() for one in _tree_by_tree(trees, values, np.full(look.rows, trees.intercept))])

    def _begin(self, learn: Examples) -> "_Growth":
        chosen = choose_tree_rows(learn.rows, self.asked)
        return _Growth(self, learn if len(chosen) == learn.rows else learn.take(chosen))


def choose_tree_rows(rows: int, asked: TreeInputs) -> NDArray[np.int64]:
    """Return which of so many rows trees are fitted on: all, or as many as memory and patience allow."""
    most = min(MOST_ROWS, MOST_VALUES // max(1, asked.columns))
    return np.arange(rows) if rows <= most else np.sort(np.random.default_rng(0).permutation(rows)[:most])


def logits_of_trees(trees: Trees, asked: TreeInputs, inputs: Inputs) -> Floats:
    """Return the logits (N) of all trees together."""
    values = asked.describe(inputs, trees.ranks)
    logits = np.full(len(values), trees.intercept)
    add_up(values, trees.column, trees.threshold, trees.kept, trees.leaf, logits)
    return logits


class _Growth:
    """Trees on some rows, a few at a time."""

    def __init__(self, booster: Booster, learn: Examples) -> None:
        self.ranks = rank_names(booster.asked, learn)
        self._values, self._learn = booster.asked.describe(learn.inputs, self.ranks), learn
        rows_a_leaf = int(np.clip(learn.rows // LEAVES_A_BOOK, FEWEST_ROWS_A_LEAF, USUAL_ROWS_A_LEAF))
        self._model = HistGradientBoostingClassifier(
            max_iter=1,
            learning_rate=LEARNING_RATE,
            max_leaf_nodes=LEAVES,
            min_samples_leaf=rows_a_leaf,
            l2_regularization=RIDGE,
            max_features=COLUMN_SHARE,
            early_stopping=cast("Any", False),  # noqa: FBT003 - the stubs know the text "auto" alone
            warm_start=True,
            random_state=booster.seed,
        )
        self.planted = 0

    def grow(self, count: int) -> Trees:
        """Add so many, and return those."""
        before, self.planted = self.planted, self.planted + count
        self._model.set_params(max_iter=self.planted)
        with threadpool_limits(limits=1, user_api="openmp"):  # sums of several threads differ in their last bits
            self._model.fit(self._values, self._learn.target, self._learn.weight)
        return self._read(before)

    def trees(self) -> Trees:
        """Return all of them. Raises `ValueError` if they are not the library's own."""
        trees, some = self._read(0), self._values[:: max(1, len(self._values) // 256)]
        found = np.full(len(some), trees.intercept)
        add_up(some, trees.column, trees.threshold, trees.kept, trees.leaf, found)
        if not np.allclose(found, self._model.decision_function(some), rtol=0, atol=_TOLERANCE):
            raise ValueError("expected trees with the library's own logits, got others: their form has changed")
        return trees

    def _read(self, start: int) -> Trees:
        model: Any = self._model
        nodes = [one[0].nodes for one in model._predictors[start:]]
        read = [_read_tree(one) for one in nodes]
        column, threshold, kept, leaf = (np.stack(part) for part in zip(*read, strict=True))
        intercept = float(np.ravel(model._baseline_prediction)[0])
        return Trees(column, threshold, kept, leaf, self.ranks, intercept)


def _read_tree(nodes: Any) -> tuple[NDArray[Any], ...]:
    """Return columns, thresholds, kept leaves and leaves of a tree of the library."""
    column, threshold = np.zeros(NODES, np.int32), np.full(NODES, NEVER, np.float32)
    kept, leaf = np.full(NODES, ALL_LEAVES, np.int32), np.zeros(LEAVES, np.float32)
    seen = [0, 0]  # leaves and nodes so far

    def walk(number: int) -> None:
        node = nodes[number]
        if node["is_leaf"]:
            leaf[seen[0]] = node["value"]
            seen[0] += 1
            return
        mine, first = seen[1], seen[0]
        seen[1] += 1
        column[mine], threshold[mine] = node["feature_idx"], node["num_threshold"]
        walk(node["left"])
        kept[mine] = ALL_LEAVES & ~((1 << seen[0]) - (1 << first))
        walk(node["right"])

    walk(0)
    return column, threshold, kept, leaf


def _tree_by_tree(trees: Trees, values: Floats32, logits: Floats) -> Any:
    """Add one tree after the other to the logits (N), in place, and yield them after each."""
    for one in range(len(trees)):
        mine = slice(one, one + 1)
        add_up(values, trees.column[mine], trees.threshold[mine], trees.kept[mine], trees.leaf[mine], logits)
        yield logits


def rank_names(asked: TreeInputs, learn: Examples) -> Floats32:
    """Return the rank of each name of each column by its share of bad outcomes, drawn towards the mean."""
    weight = np.ones(learn.rows) if learn.weight is None else learn.weight
    mean = float(np.average(learn.target, weights=weight))
    ranks = np.zeros(asked.names, np.float32)
    parts = [
        learn.inputs[name].reshape(learn.rows, -1)
        for name in ("categories", "history_categories")
        if name in learn.inputs
    ]
    if not parts:
        return ranks
    for column, (first, size) in enumerate(zip(asked.first_names, asked.name_sizes, strict=True)):
        ids = np.concatenate(parts, axis=1)[:, column]
        bad = np.bincount(ids, weight * learn.target, size) + RANK_PRIOR * mean
        shares = bad / (np.bincount(ids, weight, size) + RANK_PRIOR)
        ranks[first : first + size] = np.unique(shares, return_inverse=True)[1]
    return ranks
