"""Finds the parts of a night whose outcomes cannot be those of the rest: a level of a field, or a band of scores. Pure.

A file may be wrong in a part of the records alone, such as one branch or one product. Each part is compared with what
the scores say of it, after a line through the whole night: a night with more bad outcomes, or with scores that order
them less, has no part that stands out. Wrong outcomes here and there, in records that have nothing in common, make the
safest records far worse than their scores say, which bands of the score show. So many parts are compared that some
stand out by chance: all tests of a night share one permitted error (Bonferroni).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log, sqrt
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import binom, norm

from db.events.wording import counted
from transformer.evaluation.delong import auc_covariance, placements
from transformer.evaluation.figures import fit_line

PERMITTED_ERROR = 0.001  # that chance alone makes any part of a right night stand out
LARGEST_ODDS = 2.0  # between realised and expected odds of a part: scores are this wrong in honest parts too
LARGEST_BAND_ODDS = 4.0  # the same for a band of scores: honest scores that order less well reach three
LEAST_RECORDS = 20
LEAST_OF_EACH = 10  # bad and good outcomes, to judge the order by
MOST_LEVELS, BANDS = 20, 10
SCORE = "score"
MISSING = "missing"
TOO_BAD, TOO_GOOD, BACKWARDS = "too_bad", "too_good", "backwards"
_TESTS = 3  # of each part: too many bad, too few, the order
_NEAREST = 1e-6  # to 0 and 1
_FAR, _HALVINGS = 30.0, 30  # log-odds

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Parts:
    """The parts of N records by one field: `codes` (N) are places in `names`.

    Bands have other ends every night: what stays the same is their number.
    """

    codes: NDArray[np.int64]
    names: Sequence[str]
    are_bands: bool = False


@dataclass(frozen=True)
class OddPart:
    """A part that stands out, and how: one of `TOO_BAD`, `TOO_GOOD`, `BACKWARDS`.

    `sign` is what another night must show too, to confirm it.
    """

    name: str
    how: str
    sign: str
    outcomes: int
    bad: int
    expected: float

    @property
    def told(self) -> str:
        """A sentence about it."""
        of = counted(self.outcomes, "outcome")
        if self.how == BACKWARDS:
            return f"where {self.name}, the scores order {of} backwards"
        return f"where {self.name}, {self.bad:,} of {of} are bad; expected were {self.expected:,.0f}"


def parts_of_names(values: "pd.Series[Any]") -> Parts:
    """Part records by the most frequent levels of a field; all others are one part."""
    named = values.astype("object").where(values.notna(), MISSING).astype(str)
    frequent = named.value_counts().index[:MOST_LEVELS].tolist()
    codes = pd.Index(frequent).get_indexer(pd.Index(named))
    return Parts(np.where(codes < 0, len(frequent), codes).astype(np.int64), [*frequent, "others"])


def parts_of_numbers(values: Floats) -> Parts:
    """Part records into bands of about equal size; those without a value are one part."""
    known = values[~np.isnan(values)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BANDS + 1)[1:-1])) if len(known) else np.zeros(0)
    codes = np.searchsorted(edges, values, side="right")
    ends = ["", *(f"{one:.6g}" for one in edges), ""]
    names = [_name_band(low, high) for low, high in pairwise(ends)]
    codes = np.where(np.isnan(values), len(names), codes).astype(np.int64)
    return Parts(codes, [*names, MISSING], are_bands=True)


def find_odd_parts(probability: Floats, outcome: Floats, parts: Mapping[str, Parts]) -> list[OddPart]:
    """Return the parts of N records that stand out, by the fields and by bands of the probability."""
    if not 0 < outcome.sum() < len(outcome):
        return []
    log_odds = logit(np.clip(probability, _NEAREST, 1 - _NEAREST))
    slope, intercept = fit_line(outcome, log_odds)
    by_line, by_level = intercept + slope * log_odds, log_odds + _level_of(log_odds, float(outcome.mean()))
    compared: list[tuple[str, Parts, Floats, float]] = [
        *((field, one, by_line, LARGEST_ODDS) for field, one in parts.items()),
        (SCORE, parts_of_numbers(probability), by_level, LARGEST_BAND_ODDS),
    ]
    every = [
        _Compared(field, one, code, rows, expected, odds)
        for field, one, expected, odds in compared
        for code in range(len(one.names))
        if LEAST_RECORDS <= len(rows := np.flatnonzero(one.codes == code)) < len(outcome)
    ]
    error = PERMITTED_ERROR / max(1, _TESTS * len(every))
    return [found for one in every if (found := one.judge(probability, outcome, error)) is not None]


def _level_of(log_odds: Floats, rate: float) -> float:
    """Return what has to be added to log-odds so that their mean probability is this rate."""
    low, high = -_FAR, _FAR
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if float(expit(log_odds + middle).mean()) > rate else (middle, high)
    return (low + high) / 2


@dataclass(frozen=True)
class _Compared:
    """A part of the night, and the log-odds that are expected of all records."""

    field: str
    parts: Parts
    code: int
    rows: NDArray[np.int64]
    expected: Floats
    largest_odds: float

    def judge(self, probability: Floats, outcome: Floats, error: float) -> OddPart | None:
        """Return the part if it stands out."""
        rows, name = self.rows, self.parts.names[self.code]
        expected, bad = self.expected[rows], outcome[rows]
        how = _judge(expected, probability[rows], bad, error, self.largest_odds)
        if how is None:
            return None
        return OddPart(
            f"{self.field} is {name}", how, self._sign(how), len(rows), int(bad.sum()), float(expit(expected).sum())
        )

    def _sign(self, how: str) -> str:
        """Any band of the score says the same: that the scores do not fit any more."""
        if self.field == SCORE:
            return f"{SCORE} {how}"
        return f"{self.field} {self.code if self.parts.are_bands else self.parts.names[self.code]} {how}"


def _judge(expected: Floats, probability: Floats, outcome: Floats, error: float, odds: float) -> str | None:
    count, bad = len(outcome), int(outcome.sum())
    highest, lowest = (float(expit(expected + sign * log(odds)).mean()) for sign in (1, -1))
    # A sum of unequal chances varies less than the binomial of their mean, so this is on the safe side.
    if binom.sf(bad - 1, count, highest) < error:
        return TOO_BAD
    if binom.cdf(bad, count, lowest) < error:
        return TOO_GOOD
    if min(bad, count - bad) < LEAST_OF_EACH:
        return None
    order, reach = float(placements(outcome, probability[None])[0].mean()), float(norm.isf(error))
    if order + reach * sqrt((count + 1) / (12 * bad * (count - bad))) >= 0.5:
        return None
    deviation = sqrt(max(0.0, float(auc_covariance(outcome, probability[None])[0, 0])))
    return BACKWARDS if order + reach * deviation < 0.5 else None


def _name_band(low: str, high: str) -> str:
    if low and high:
        return f"{low} to {high}"
    return f"below {high}" if high else f"from {low}" if low else "all"
