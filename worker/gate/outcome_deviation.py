"""Tests whether outcomes still match the scores' predictions. Pure.

Scores can stay as they are while the bad event becomes more or less frequent: no distribution of scores shows that,
only outcomes do.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

from db.events.wording import counted

LEAST_DIFFERENCE = 0.2  # of the expected bad outcomes: smaller ones are no reason to learn again
LEAST_DEVIATIONS = 3.0  # of the expected count, were every score right
LEAST_EXPECTED = 30.0  # bad outcomes expected or observed; with fewer there is no alarm


@dataclass(frozen=True)
class Level:
    """Records with known outcomes: their number, the bad ones, and the bad ones predicted by their scores."""

    outcomes: int
    bad: int
    expected: float


def newest_level(levels: Iterable[Level]) -> Level:
    """Join levels, newest first, until there are enough records to judge."""
    outcomes, bad, expected = 0, 0, 0.0
    for one in levels:
        outcomes, bad, expected = outcomes + one.outcomes, bad + one.bad, expected + one.expected
        if max(bad, expected) >= LEAST_EXPECTED:
            break
    return Level(outcomes, bad, expected)


def tell_difference(level: Level) -> str | None:
    """Return a sentence if the outcomes contradict the scores; None if they do not or are too few."""
    if max(level.bad, level.expected) < LEAST_EXPECTED:
        return None
    difference = level.bad - level.expected
    deviation = sqrt(max(level.expected * (1 - level.expected / level.outcomes), 1.0))
    if abs(difference) < max(LEAST_DIFFERENCE * level.expected, LEAST_DEVIATIONS * deviation):
        return None
    return f"{level.bad:,} of {counted(level.outcomes, 'outcome')} are bad; the scores predicted {level.expected:,.0f}"
