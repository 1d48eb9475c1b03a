"""Fits the network's trees by gradient boosting, on what the network reads of a record.

They find what sums of bins and a small network on few records do not: sharp interactions of several fields. They are
fitted apart from the rest and mixed with it, as the scorecard is. Names stand for the share of bad outcomes among the
records that have them; the records that trees are fitted on see that share without their own outcome in it.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from transformer.branches.learning_columns import describe_to_learn, find_columns
from transformer.branches.tree_growth import MOST_BINS, add_trees, find_gradient, find_question, find_steps, go_right
from transformer.fitting.examples import Examples
from transformer.network.layers.oblivious_trees import DEPTH, LEAVES, ObliviousTrees
from transformer.network.layers.tree_columns import Floats32, TreeInputs, describe
from transformer.records.features import Inputs

MOST_TREES = 600  # what they cost when scoring grows with their number
AT_ONCE = 20  # trees between two looks at the validation rows
PATIENCE = 60  # trees without a better one
RATE = 0.04  # larger ones lose on every book that was tried
HURRIED_RATE, HURRIED_TREES = 0.15, 120  # where seconds count more
MOST_ROWS, MOST_VALUES = 400_000, 40_000_000  # rows, and rows times columns, that are in memory as bytes
QUESTION_ROWS = 40_000  # drawn anew for each tree where there are more: its questions are chosen on them
LEAST_COLUMNS = 10  # half of all columns are drawn for each tree, but not fewer: trees differ, and take half the time
WORTH_A_THREAD = 400_000  # rows times columns of a level
THREADS = 2

Floats = NDArray[np.float64]
Bins = NDArray[np.uint8]
Folds = list[tuple[NDArray[Any], NDArray[Any]]]


@dataclass(frozen=True)
class Grove:
    """As many trees as gave the least loss on the validation rows, and their logits there."""

    trees: ObliviousTrees
    logits: Floats


@dataclass(frozen=True)
class Booster:
    """What is the same for all trees of a book; `most` are grown where looking at other rows does not end it."""

    asked: TreeInputs
    seed: int
    on_batch: Callable[[], None]
    rate: float = RATE
    most: int = MOST_TREES

    def hurried(self) -> "Booster":
        """Return one that grows fewer trees of larger steps."""
        return replace(self, rate=HURRIED_RATE, most=HURRIED_TREES)

    def fit(self, learn: Examples, count: int) -> ObliviousTrees:
        """Fit so many trees."""
        growth = self._begin(learn, threads=THREADS)
        while growth.planted < count:
            growth.grow(min(AT_ONCE, count - growth.planted))
            self.on_batch()
        return growth.trees()

    def choose(self, learn: Examples, look: Examples) -> Grove:
        """Fit as long as the log loss of the rows in `look` comes down; return the trees up to the best, and logits."""
        growth = self._begin(learn, threads=THREADS)
        seen = growth.see(look.inputs)
        losses, best = list[float](), (np.inf, 0, seen.logits)
        while growth.planted < self.most and growth.planted - best[1] <= PATIENCE:
            growth.grow(AT_ONCE)
            for logits in seen.follow(growth):
                losses.append(_log_loss(look.target, logits))
                if losses[-1] < best[0]:
                    best = (losses[-1], len(losses), logits.copy())
            self.on_batch()
        return Grove(growth.trees().take(best[1]), best[2])

    def cross_validate(self, learn: Examples, folds: Folds, most: int = MOST_TREES) -> tuple[Floats, int]:
        """Return the logits of every row by trees that have not seen it, and how many trees gave the least loss.

        The number is the same in all folds, which grow side by side until it is found.
        """
        growths = [self._begin(learn.take(rows), threads=1) for rows, _ in folds]
        seen = [one.see(learn.take(look).inputs) for one, (_, look) in zip(growths, folds, strict=True)]
        losses, best, logits = list[float](), (np.inf, 0, np.zeros(learn.rows)), np.zeros(learn.rows)
        judged = np.concatenate([look for _, look in folds])
        with ThreadPoolExecutor(THREADS) as pool:
            while growths[0].planted < most and growths[0].planted - best[1] <= PATIENCE:
                list(pool.map(lambda one: one.grow(AT_ONCE), growths))
                for parts in zip(*(one.follow(growth) for one, growth in zip(seen, growths, strict=True)), strict=True):
                    for part, (_, look) in zip(parts, folds, strict=True):
                        logits[look] = part
                    losses.append(_log_loss(learn.target[judged], logits[judged]))
                    if losses[-1] < best[0]:
                        best = (losses[-1], len(losses), logits.copy())
                self.on_batch()
        return best[2], best[1]

    def _begin(self, learn: Examples, *, threads: int) -> "_Growth":
        chosen = choose_tree_rows(learn.rows, self.asked)
        return _Growth(self, learn if len(chosen) == learn.rows else learn.take(chosen), threads)


def choose_tree_rows(rows: int, asked: TreeInputs) -> NDArray[np.int64]:
    """Return which of so many rows trees are fitted on: all, or as many as memory and patience allow."""
    most = min(MOST_ROWS, MOST_VALUES // max(1, asked.columns))
    return np.arange(rows) if rows <= most else np.sort(np.random.default_rng(0).permutation(rows)[:most])


def logits_of_trees(trees: ObliviousTrees, asked: TreeInputs, inputs: Inputs) -> Floats:
    """Return the logits (N) of all trees together."""
    values = describe(asked, inputs, trees.names)
    place = np.zeros((len(values), len(trees)), np.int64)
    for level in range(DEPTH):
        place = 2 * place + (values[:, trees.column[:, level]] > trees.threshold[:, level])
    return trees.intercept + trees.leaf[np.arange(len(trees)), place].sum(axis=1, dtype=np.float64)


def _log_loss(target: Floats, logits: Floats) -> float:
    return float(np.logaddexp(0, np.where(target == 1, -logits, logits)).mean())


class _Growth:
    """Trees on some rows, a few at a time."""

    def __init__(self, booster: Booster, learn: Examples, threads: int) -> None:
        self._asked, self._threads, self._rate = booster.asked, threads, booster.rate
        self._random = np.random.default_rng(booster.seed)
        self._target = learn.target.astype(np.float64)
        self._weight = np.ones(learn.rows, np.float32) if learn.weight is None else learn.weight.astype(np.float32)
        self._names, values = describe_to_learn(booster.asked, learn)
        self._columns, self._edges = find_columns(values)
        self._cut_counts = np.array([len(one) for one in self._edges], np.int64)
        self._binned = self._bin(values)
        mean = float(np.clip(np.average(self._target, weights=self._weight), 1e-6, 1 - 1e-6))
        self.intercept = float(np.log(mean / (1 - mean)))
        self._logits = np.full(learn.rows, self.intercept)
        self._asks: list[NDArray[np.int64]] = []
        self._cuts: list[NDArray[np.int64]] = []
        self._leaves: list[Floats32] = []

    @property
    def planted(self) -> int:
        """How many trees there are."""
        return len(self._leaves)

    def see(self, inputs: Inputs) -> "_Seen":
        """Return other rows, to be followed."""
        rows = len(next(iter(inputs.values())))
        return _Seen(self._bin(describe(self._asked, inputs, self._names)), np.full(rows, self.intercept))

    def grow(self, count: int) -> None:
        """Add so many."""
        with ThreadPoolExecutor(self._threads) as pool:
            for _ in range(count):
                self._grow_one(pool)

    def since(self, start: int) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats32]:
        """Return columns, cuts and leaves of the trees from this one on."""
        return np.array(self._asks[start:]), np.array(self._cuts[start:]), np.array(self._leaves[start:])

    def trees(self) -> ObliviousTrees:
        """Return all of them."""
        if not self._columns.size:
            return ObliviousTrees(*_nothing(), self._names, self.intercept)
        asks, cuts, leaf = self.since(0)
        threshold = np.array(
            [[self._edges[c][b] for c, b in zip(*one, strict=True)] for one in zip(asks, cuts, strict=True)]
        )
        column = self._columns[asks].astype(np.int32)
        return ObliviousTrees(column, threshold.astype(np.float32), leaf, self._names, self.intercept)

    def _grow_one(self, pool: ThreadPoolExecutor) -> None:
        rows, columns = len(self._target), len(self._columns)
        gradient = np.empty(rows, np.float32)
        size = find_gradient(self._target, self._weight, self._logits, gradient)
        scale = size / (1 + self.planted * self._rate / np.log(max(2, rows)))
        places = self._draw(columns, max(min(columns, LEAST_COLUMNS), columns // 2))
        drawn = self._take(places, gradient)
        node, asks, cuts = np.zeros(len(drawn.gradient), np.int32), np.zeros(DEPTH, np.int64), np.zeros(DEPTH, np.int64)
        for level in range(DEPTH):
            noise = (scale * self._random.standard_normal((len(places), MOST_BINS))).astype(np.float32)
            column, cuts[level] = self._ask(pool, drawn, node, 1 << level, noise)
            go_right(drawn.binned[column], cuts[level], node)
            asks[level] = places[column]
        if rows > QUESTION_ROWS:
            node = np.zeros(rows, np.int32)
            for column, cut in zip(asks, cuts, strict=True):
                go_right(self._binned[column], cut, node)
        leaf = np.zeros(LEAVES, np.float32)
        find_steps(node, self._target, self._weight, self._logits, self._rate, leaf)
        self._asks.append(asks)
        self._cuts.append(cuts)
        self._leaves.append(leaf)

    def _draw(self, of: int, most: int) -> NDArray[np.int64]:
        """Return so many of the numbers below `of`, in order, or all."""
        return np.arange(of) if of <= most else np.sort(self._random.choice(of, most, replace=False, shuffle=False))

    def _take(self, columns: NDArray[np.int64], gradient: Floats32) -> "_Drawn":
        """Return what the questions of one tree are chosen on."""
        binned, weight, cuts = self._binned[columns], self._weight, self._cut_counts[columns]
        if len(weight) <= QUESTION_ROWS:
            return _Drawn(binned, gradient, weight, cuts)
        rows = self._draw(len(weight), QUESTION_ROWS)
        return _Drawn(np.ascontiguousarray(binned[:, rows]), gradient[rows], weight[rows], cuts)

    def _ask(
        self, pool: ThreadPoolExecutor, drawn: "_Drawn", node: Any, leaves: int, noise: Floats32
    ) -> tuple[int, int]:
        """Return column and bin of the best question; each thread tries a part of the columns."""
        binned, gradient, weight, cuts = drawn
        threads = self._threads if binned.size > WORTH_A_THREAD else 1
        starts = [len(binned) * thread // threads for thread in range(threads + 1)]

        def try_part(part: int) -> tuple[float, int, int]:
            own = slice(starts[part], starts[part + 1])
            gain, column, cut = find_question(binned[own], node, gradient, weight, leaves, noise[own], cuts[own])
            return float(gain), -(column + starts[part]), -cut

        found = [try_part(0)] if threads == 1 else list(pool.map(try_part, range(threads)))
        _, column, cut = max(found)
        return -column, -cut

    def _bin(self, values: Floats32) -> Bins:
        binned = np.empty((len(self._columns), len(values)), np.uint8)
        for number, (column, edges) in enumerate(zip(self._columns, self._edges, strict=True)):
            binned[number] = np.searchsorted(edges, values[:, column], side="left")
        return binned


class _Drawn(NamedTuple):
    """Some columns of some rows (C, N), gradient and weight of these (N), and how many cuts each column has (C)."""

    binned: Bins
    gradient: Floats32
    weight: Floats32
    cuts: NDArray[np.int64]


@dataclass
class _Seen:
    """Rows that trees are not fitted on, with their logits by the trees so far."""

    binned: Bins
    logits: Floats
    followed: int = 0

    def follow(self, growth: _Growth) -> Iterator[Floats]:
        """Add the trees that are new, one by one, and yield the logits (N) after each."""
        asks, cuts, leaf = growth.since(self.followed)
        for one in range(len(leaf)):
            mine = slice(one, one + 1)
            add_trees(self.binned, asks[mine], cuts[mine], leaf[mine], self.logits)
            self.followed += 1
            yield self.logits


def _nothing() -> tuple[NDArray[np.int32], Floats32, Floats32]:
    return np.zeros((0, DEPTH), np.int32), np.zeros((0, DEPTH), np.float32), np.zeros((0, LEAVES), np.float32)
