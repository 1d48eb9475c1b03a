"""The branches that are fitted apart from the network, and then written into it: the scorecard and the trees."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.metrics import log_loss

from transformer.branches.branch_mixture import Branches
from transformer.branches.scorecard import (
    Layout,
    Scorecard,
    choose_card_rows,
    choose_scorecard,
    describe,
    fit_scorecard,
    fit_scorecards,
)
from transformer.branches.tree_boosting import MOST_TREES, Booster, Folds
from transformer.fitting.examples import Examples
from transformer.network.layers.oblivious_trees import ObliviousTrees

VERY_FEW, MOST_TREES_OF_VERY_FEW = 2500, 300  # so few outcomes: what more trees find there is chance

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SideModels:
    """How the branches beside the network are fitted; without a booster there are no trees."""

    layout: Layout
    booster: Booster | None

    @property
    def quiet(self) -> "SideModels":
        """The same, for a thread of its own: it tells nobody that it is alive."""
        return self if self.booster is None else replace(self, booster=replace(self.booster, on_batch=lambda: None))

    def choose(self, learn: Examples, look: Examples) -> "Chosen":
        """Fit on some rows, side by side, and choose strength and number of trees by the loss of others."""
        with ThreadPoolExecutor(1) as pool:
            choosing = pool.submit(choose_scorecard, self._card_rows(learn), look, self.layout)
            grove = None if self.booster is None else self.booster.choose(learn, look)
            card, card_logits = choosing.result()
        branches: Branches = {"scorecard": card_logits}
        if grove is None:
            return Chosen(branches, card.strength, 0, (card, None))
        fitted = card, grove.trees
        return Chosen(branches | {"trees": grove.logits}, card.strength, len(grove.trees), fitted)

    def cross_validate(self, learn: Examples, folds: Folds) -> "Chosen":
        """Choose both by the loss of rows that were not learnt from, each row in one of the folds."""
        logits, strength = self._cross_validate_card(learn, folds)
        branches: Branches = {"scorecard": logits}
        if self.booster is None:
            return Chosen(branches, strength, 0, None)
        count = MOST_TREES_OF_VERY_FEW if learn.rows <= VERY_FEW else MOST_TREES
        logits, trees = self.booster.cross_validate(learn, folds, count)
        return Chosen(branches | {"trees": logits}, strength, trees, None)

    def fit(self, learn: Examples, chosen: "Chosen", *, with_trees: bool) -> tuple[Scorecard, ObliviousTrees | None]:
        """Fit what was chosen on all rows to learn from; trees only where they are wanted."""
        booster = self.booster if with_trees else None
        with ThreadPoolExecutor(1) as pool:
            fitting = pool.submit(self._fit_card, learn, chosen.strength)
            trees = None if booster is None else booster.fit(learn, chosen.trees)
            return fitting.result(), trees

    def _fit_card(self, learn: Examples, strength: float) -> Scorecard:
        rows = self._card_rows(learn)
        return fit_scorecard(describe(rows.inputs, self.layout), rows.target, rows.weight, strength)

    def _card_rows(self, learn: Examples) -> Examples:
        rows = choose_card_rows(learn.rows, self.layout)
        return learn if len(rows) == learn.rows else learn.take(rows)

    def _cross_validate_card(self, learn: Examples, folds: Folds) -> tuple[Floats, float]:
        """Return the logits of rows not learnt from, by the best strength, and that strength."""
        design = describe(learn.inputs, self.layout)
        cards = [
            fit_scorecards(design[rows], learn.target[rows], None if learn.weight is None else learn.weight[rows])
            for rows, _ in folds
        ]
        best, best_strength, best_loss = np.zeros(0), 0.0, np.inf
        judged = np.concatenate([look for _, look in folds])
        for of_folds in zip(*cards, strict=True):
            logits = np.zeros(learn.rows)
            for card, (_, look) in zip(of_folds, folds, strict=True):
                logits[look] = card.logits(design[look])
            loss = log_loss(learn.target[judged], expit(logits[judged]))
            if loss >= best_loss:  # weaker ridges only overfit more
                break
            best, best_strength, best_loss = logits, of_folds[0].strength, loss
        return best, best_strength


@dataclass(frozen=True)
class Chosen:
    """Logits of the rows that were looked at, the scorecard's strength, how many trees; both where they are at hand."""

    branches: Branches
    strength: float
    trees: int
    fitted: tuple[Scorecard, ObliviousTrees | None] | None

    def of(self, rows: NDArray[np.int64]) -> "Chosen":
        """Return the same with the logits of some of the rows that were looked at."""
        return replace(self, branches={name: logits[rows] for name, logits in self.branches.items()})
