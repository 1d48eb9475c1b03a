"""Tests whether outcomes still match the scores' predictions. Pure.

Scores can stay as they are while the bad event becomes more or less frequent, or comes to other people than the scores
say: no distribution of scores shows that, only outcomes do.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf, sqrt

from db.events.wording import counted

# Windows of the newest nights: a short one for large differences, and longer ones that find a fifth. So many are looked
# at in three years of nights that chance alone must hardly ever reach the bounds.
LEAST_DIFFERENCE = 0.2  # of the expected bad outcomes: smaller ones are no reason to learn again
LEAST_DEVIATIONS = 4.0  # of the expected count, were every score right
LONG_EXPECTED, LONG_DIFFERENCE, LONG_DEVIATIONS = (300.0, 600.0), 0.15, 3.5
ORDER_DEVIATIONS = 3.5
LEAST_EXPECTED = 30.0  # bad outcomes expected or observed; with fewer there is no alarm
LEAST_ORDERED = 100  # bad outcomes, to say that the scores order them less well
LEAST_OF_EACH = 10  # bad and good outcomes of a night whose order counts


@dataclass(frozen=True)
class Level:
    """Records with known outcomes: their number, the bad ones, and the bad ones predicted by their scores.

    `auc` is their ROC AUC, with its standard error, and `expected_auc` the one that the scores promise.
    """

    outcomes: int
    bad: int
    expected: float
    auc: float | None = None
    auc_error: float = inf
    expected_auc: float | None = None


@dataclass(frozen=True)
class Deviation:
    """Whether the newest outcomes are enough to say something, and what they say against the scores."""

    is_known: bool = False
    told: str | None = None


def find_deviation(levels: Sequence[Level]) -> Deviation:
    """Compare the nights of a model, newest first, with its scores: the level of the bad event, then its order."""
    newest = newest_level(levels)
    is_known = max(newest.bad, newest.expected) >= LEAST_EXPECTED
    longer = (
        tell_difference(newest_level(levels, least=one), least=LONG_DIFFERENCE, deviations=LONG_DEVIATIONS)
        for one in LONG_EXPECTED
    )
    found = (tell_difference(newest), *longer, tell_order_loss(levels))
    return Deviation(is_known, next((one for one in found if one is not None), None))


def newest_level(levels: Iterable[Level], *, least: float = LEAST_EXPECTED) -> Level:
    """Join levels, newest first, until so many bad outcomes are expected or known."""
    outcomes, bad, expected = 0, 0, 0.0
    for one in levels:
        outcomes, bad, expected = outcomes + one.outcomes, bad + one.bad, expected + one.expected
        if max(bad, expected) >= least:
            break
    return Level(outcomes, bad, expected)


def tell_difference(
    level: Level, *, least: float = LEAST_DIFFERENCE, deviations: float = LEAST_DEVIATIONS
) -> str | None:
    """Return a sentence if the outcomes contradict the scores; None if they do not or are too few."""
    if max(level.bad, level.expected) < LEAST_EXPECTED:
        return None
    difference = level.bad - level.expected
    deviation = sqrt(max(level.expected * (1 - level.expected / level.outcomes), 1.0))
    if abs(difference) < max(least * level.expected, deviations * deviation):
        return None
    return f"{level.bad:,} of {counted(level.outcomes, 'outcome')} are bad; the scores predicted {level.expected:,.0f}"


def tell_order_loss(levels: Iterable[Level]) -> str | None:
    """Return a sentence if the scores order the outcomes less well than they promise; None if they do or are too few.

    Nights are joined, newest first, until there are enough bad outcomes; each counts by its precision.
    """
    bad, weight, auc, expected = 0, 0.0, 0.0, 0.0
    for one in levels:
        if one.auc is None or one.expected_auc is None or min(one.bad, one.outcomes - one.bad) < LEAST_OF_EACH:
            continue
        precision = one.auc_error**-2
        bad, weight = bad + one.bad, weight + precision
        auc, expected = auc + precision * one.auc, expected + precision * one.expected_auc
        if bad >= LEAST_ORDERED:
            break
    if bad < LEAST_ORDERED or not weight:
        return None
    auc, expected, error = auc / weight, expected / weight, weight**-0.5
    if expected - auc <= max(LEAST_DIFFERENCE * (expected - 0.5), ORDER_DEVIATIONS * error):
        return None
    return f"the scores order the outcomes less well than they promise: ROC AUC {auc:.3f} instead of {expected:.3f}"
