"""When the next night and the next outcomes are expected, from those so far. Pure.

Dates are those of the book: of its nights and of its outcomes. A rate is measured between dates, so that outcomes that
arrive once a month give the same rate as outcomes that arrive every day. All sequences are oldest first.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

_FARTHEST_DAYS = 36_500  # a century is no forecast


@dataclass(frozen=True)
class Arrival:
    """How many outcomes became known on one date."""

    on: date
    outcomes: int
    bad: int


def expect_night(nights: Sequence[date], more: int) -> date | None:
    """Return the date of the night after so many more; None without a rate, which takes two nights."""
    distinct = sorted(set(nights))
    if len(distinct) < 2:
        return None
    gap = (distinct[-1] - distinct[0]).days / (len(distinct) - 1)
    return _move(distinct[-1], more * gap)


def expect_outcomes(
    arrivals: Sequence[Arrival], nights: Sequence[date], needed: int, *, only_bad: bool = False
) -> date | None:
    """Return the date by which so many more are known, but no earlier than the book's today; None without a rate."""
    per_day = _rate(arrivals, nights, [one.bad if only_bad else one.outcomes for one in arrivals])
    if not per_day:
        return None
    due = _move(arrivals[-1].on, needed / per_day)
    return None if due is None else max(due, arrivals[-1].on, *nights[-1:])


def _rate(arrivals: Sequence[Arrival], nights: Sequence[date], counts: Sequence[int]) -> float | None:
    """Outcomes per day. What came on the first date belongs to the time before it, of which nothing is known.

    With one date of outcomes alone, the time since the first known night is taken.
    """
    if len(arrivals) > 1:
        days = (arrivals[-1].on - arrivals[0].on).days
        return sum(counts[1:]) / days if days else None
    if not arrivals or not nights:
        return None
    days = (arrivals[0].on - nights[0]).days
    return counts[0] / days if days > 0 else None


def _move(day: date, days: float) -> date | None:
    """The date so many days later; None if it is too far away."""
    return None if days > _FARTHEST_DAYS else day + timedelta(days=math.ceil(days - 1e-9))
