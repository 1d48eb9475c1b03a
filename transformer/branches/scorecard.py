"""The scorecard's part of the network: a ridge logistic regression on bins, kinds of missing and names.

It is what a risk team would draw by hand, found in a second, and steady on few rows. It is fitted apart from the rest
and then mixed with it (`mixture`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from warnings import catch_warnings, simplefilter

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgWarning
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from transformer.fitting.examples import Examples
from transformer.network.architecture import count_kinds, name_sizes
from transformer.records.features import FeatureTransform, Inputs

MOST_ROWS = 25_000  # more rows change a linear model of some hundred weights by nothing
MOST_VALUES = 25_000_000  # rows times columns: the solver holds several copies of so many numbers
CHUNK = 8192  # rows
MOST_NEWTON_COLUMNS = 1500
STRENGTHS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)  # inverse of the ridge's weight, strongest first

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scorecard:
    """A linear model of the design matrix of `describe`."""

    weights: Floats
    intercept: float
    strength: float

    def logits(self, design: NDArray[np.float32]) -> Floats:
        """Return N logits."""
        return np.asarray(design @ self.weights, dtype=np.float64) + self.intercept


@dataclass(frozen=True)
class Layout:
    """What the columns of the design matrix stand for: numbers and their kinds of missing, names and their number."""

    bins: int
    steps: int
    fields: int
    histories: int
    field_kinds: int
    history_kinds: int
    field_sizes: tuple[int, ...]
    history_sizes: tuple[int, ...]

    @property
    def columns(self) -> int:
        """How many columns the design matrix has."""
        fields = self.fields * (self.bins + self.field_kinds) + sum(self.field_sizes)
        return fields + self.steps * (self.histories * (self.bins + self.history_kinds) + sum(self.history_sizes))

    @classmethod
    def of(cls, transform: FeatureTransform) -> "Layout":
        """Read it off a transform."""
        schema = transform.schema
        return cls(
            transform.bins,
            schema.steps,
            sum(one.kind == "numeric" for one in schema.fields),
            sum(one.kind == "numeric" for one in schema.histories),
            count_kinds(schema.fields),
            count_kinds(schema.histories),
            name_sizes(transform, schema.fields),
            name_sizes(transform, schema.histories),
        )


def describe(inputs: Inputs, layout: Layout) -> NDArray[np.float32]:
    """Return the design matrix (N, F): bin shares and kinds of each number, one column per name."""
    rows, at = len(next(iter(inputs.values()))), 0
    design = np.zeros((rows, layout.columns), np.float32)
    for place, kind, kinds in (
        ("positions", "missing", layout.field_kinds),
        ("history_positions", "history_missing", layout.history_kinds),
    ):
        if place in inputs:
            positions, missing = (inputs[name].reshape(rows, -1) for name in (place, kind))
            for column in range(positions.shape[1]):
                _write_shares(positions[:, column], design[:, at : at + layout.bins])
                at += layout.bins
            for column in range(missing.shape[1]):
                design[:, at : at + kinds] = missing[:, column, None] == np.arange(1, kinds + 1, dtype=np.float32)
                at += kinds
    for name, sizes in (
        ("categories", layout.field_sizes),
        ("history_categories", layout.history_sizes * layout.steps),
    ):
        if name in inputs:
            ids = inputs[name].reshape(rows, -1)
            for column, size in enumerate(sizes):
                design[np.arange(rows), at + ids[:, column]] = 1
                at += size
    return design


def _write_shares(positions: NDArray[np.float32], shares: NDArray[np.float32]) -> None:
    np.subtract(positions[:, None], np.arange(shares.shape[1], dtype=np.float32), out=shares)
    np.clip(shares, 0, 1, out=shares)


def fit_scorecard(design: NDArray[np.float32], target: Floats, weight: Floats | None, strength: float) -> Scorecard:
    """Fit with a given strength."""
    return next(fit_scorecards(design, target, weight, (strength,)))


def fit_scorecards(
    design: NDArray[np.float32], target: Floats, weight: Floats | None, strengths: Iterable[float] = STRENGTHS
) -> Iterator[Scorecard]:
    """Fit with one strength after the other, each from the weights of the one before. Nothing is fitted unasked."""
    reduced, basis = _reduce(design)
    # Newton's method needs 4 steps where L-BFGS needs 100 of them, a tenth of the time and a lower loss; but each step
    # solves for all columns at once. Where they are too nearly dependent for 32 bits the solver itself goes on with
    # L-BFGS, and says so: in 64 bits Newton's steps took a small book with many columns three times as long.
    solver = "newton-cholesky" if reduced.shape[1] <= MOST_NEWTON_COLUMNS else "lbfgs"
    model = LogisticRegression(max_iter=300, solver=solver, warm_start=True)
    for strength in strengths:
        with catch_warnings():
            simplefilter("ignore", LinAlgWarning)
            model.set_params(C=strength).fit(reduced, target, sample_weight=weight)
        weights = model.coef_[0] if basis is None else basis @ model.coef_[0]
        yield Scorecard(weights.astype(np.float32), float(np.ravel(model.intercept_)[0]), strength)


def _reduce(design: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Return a design of as many columns as rows, where it had more, and what leads its weights back; else itself.

    A ridge's weights are a sum of the rows, so a fit among such sums (an orthonormal basis of them) is the same fit.
    """
    if design.shape[1] <= design.shape[0]:
        return design, None
    basis, coordinates = np.linalg.qr(design.T)
    return np.ascontiguousarray(coordinates.T), basis


def choose_card_rows(rows: int, layout: Layout) -> NDArray[np.int64]:
    """Return which of so many rows a scorecard is fitted on: all, or as many as say what more would say."""
    most = min(MOST_ROWS, MOST_VALUES // max(1, layout.columns))
    return np.arange(rows) if rows <= most else np.random.default_rng(0).permutation(rows)[:most]


def choose_scorecard(train: Examples, valid: Examples, layout: Layout) -> tuple[Scorecard, Floats]:
    """Return the scorecard whose strength did best on the validation rows, and its logits there."""
    design = describe(train.inputs, layout)
    best, best_logits, best_loss = None, np.zeros(0), np.inf
    for scorecard in fit_scorecards(design, train.target, train.weight):
        logits = card_logits(scorecard, valid.inputs, layout)
        loss = log_loss(valid.target, expit(logits))
        if loss >= best_loss:
            break
        best, best_logits, best_loss = scorecard, logits, loss
    assert best is not None
    return best, best_logits


def card_logits(scorecard: Scorecard, inputs: Inputs, layout: Layout) -> Floats:
    """Return the logits of N rows; their design matrix is never whole in memory."""
    rows = len(next(iter(inputs.values())))
    parts = [
        scorecard.logits(describe({name: values[start : start + CHUNK] for name, values in inputs.items()}, layout))
        for start in range(0, rows, CHUNK)
    ]
    return np.concatenate(parts)
