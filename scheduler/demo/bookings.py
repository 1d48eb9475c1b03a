"""Simulates bookings whose order and times say who will default; the true log-odds of it are known.

Usual aggregates hardly show it: each sign is also in the bookings of others, in another order or at other times.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

SPAN_DAYS = 180
EVENTS = 60  # of a customer on average
SPREAD = 10  # at most so many more or fewer
MICROSECONDS_A_DAY = 86_400_000_000
SPENDING = ("food", "restaurant", "fuel", "transfer", "shop")
KINDS = ("salary", "cash", "games", *SPENDING)

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_SALARY, _CASH, _GAMES, _SPENT = range(4)
_BEGINNING = np.datetime64("2026-01-01T00:00:00", "us")
_OFFSET_DAYS = 200  # customers are judged on so many different days
_SPENDING_SHARES = (6.0, 3.0, 2.0, 2.0, 3.0)
_MOST_PAYDAYS, _MOST_CASH, _MOST_GAMES = 13, 4, 10
_SILENT_DAYS = 60  # at least so long ago is the last income of those whose income has stopped


class Bookings(NamedTuple):
    """`log` has customer_id, booked_at, kind and amount, by customer and time; the others are a row for a customer."""

    log: pd.DataFrame
    moments: "pd.Series[pd.Timestamp]"
    log_odds: Floats


class _Habits(NamedTuple):
    """What is true of each customer (N)."""

    has_stopped: npt.NDArray[np.bool_]
    draws_late: npt.NDArray[np.bool_]
    trend: Integers


class _Drawn(NamedTuple):
    """Bookings of one kind (N, K): day and amount, and which of them there are."""

    kind: npt.NDArray[np.int8]
    day: Floats
    amount: Floats
    is_there: npt.NDArray[np.bool_]


def simulate_bookings(customers: "pd.Series[int] | pd.Series[str]", seed: int = 7, *, events: int = EVENTS) -> Bookings:
    """Return the bookings of the 180 days before each customer's moment, and what they add to the log-odds of default.

    log-odds = 1.8 [income stopped two months ago] + 1.4 [cash at night within a day after payday] + 0.9 trend - 0.85

    Those without the habit draw cash as often at night and as often after payday, but never both at once. `trend` is 1
    where games are bought more and more often, -1 where ever less, 0 where neither; their number is the same.
    """
    count, random = len(customers), np.random.default_rng([seed, 1])
    trend = random.choice([-1, 0, 1], count, p=[0.3, 0.4, 0.3])
    habits = _Habits(random.random(count) < 0.25, random.random(count) < 0.3, trend)
    salary = _draw_salary(random, habits)
    parts = [salary, _draw_cash(random, habits, salary), _draw_games(random, habits)]
    wanted = events + random.integers(-SPREAD, SPREAD + 1, count)
    wanted -= sum(part.is_there.sum(axis=1) for part in parts)
    parts.append(_draw_spending(random, np.maximum(wanted, 0)))
    begins = _BEGINNING + random.integers(0, _OFFSET_DAYS, count) * np.timedelta64(1, "D")
    log_odds = 1.8 * habits.has_stopped + 1.4 * habits.draws_late + 0.9 * habits.trend - 0.85
    moments = pd.Series(begins + np.timedelta64(SPAN_DAYS, "D"))
    return Bookings(_join(customers, begins, parts), moments, log_odds)


def _draw_salary(random: np.random.Generator, habits: _Habits) -> _Drawn:
    """Once or twice a month at nine; it began within the span, or has stopped."""
    count = len(habits.trend)
    period = random.choice([30.0, 15.0], (count, 1))
    day = np.floor(random.uniform(0, 30, (count, 1)) + period * np.arange(_MOST_PAYDAYS)) + 9 / 24
    begins = np.where(habits.has_stopped, 0.0, random.uniform(0, 70, count))[:, None]
    ends = np.where(habits.has_stopped, SPAN_DAYS - _SILENT_DAYS - random.uniform(0, 20, count), SPAN_DAYS)[:, None]
    usual = random.normal(7.5, 0.4, (count, 1))
    amount = np.exp(usual + random.normal(0, 0.03, day.shape))
    return _Drawn(np.full(day.shape, _SALARY, np.int8), day, amount, (day >= begins) & (day < ends))


def _draw_cash(random: np.random.Generator, habits: _Habits, salary: _Drawn) -> _Drawn:
    """Two to four times a pair: one by a payday, one on any day; one of the two is at night."""
    count, shape = len(habits.trend), (len(habits.trend), _MOST_CASH)
    paydays = salary.is_there.sum(axis=1)
    first = salary.is_there.argmax(axis=1)
    chosen = first[:, None] + np.floor(random.random(shape) * paydays[:, None]).astype(np.int64)
    payday = np.floor(np.take_along_axis(salary.day, np.minimum(chosen, _MOST_PAYDAYS - 1), axis=1))
    other = np.floor(random.uniform(0, SPAN_DAYS - 1, shape))
    night, daytime = random.uniform(0, 4, shape) / 24, random.uniform(9, 20, shape) / 24
    draws_late = habits.draws_late[:, None]
    by_payday = np.where(draws_late, np.minimum(payday + 1 + night, SPAN_DAYS - 0.01), payday + daytime)
    day = np.concatenate([by_payday, other + np.where(draws_late, daytime, night)], axis=1)
    pairs = np.where(paydays > 0, random.integers(2, _MOST_CASH + 1, count), 0)
    is_there = np.tile(np.arange(_MOST_CASH) < pairs[:, None], 2)
    return _Drawn(np.full(day.shape, _CASH, np.int8), day, np.exp(random.normal(4.5, 0.5, day.shape)), is_there)


def _draw_games(random: np.random.Generator, habits: _Habits) -> _Drawn:
    shape = (len(habits.trend), _MOST_GAMES)
    share, trend = random.random(shape), habits.trend[:, None]
    rising = np.sqrt(0.25 + 0.75 * share)
    day = np.select([trend > 0, trend < 0], [rising, 1 - rising], share) * (SPAN_DAYS - 0.1)
    is_there = np.arange(_MOST_GAMES) < random.integers(5, _MOST_GAMES + 1, shape[0])[:, None]
    return _Drawn(np.full(shape, _GAMES, np.int8), day, np.exp(random.normal(3.5, 0.6, shape)), is_there)


def _draw_spending(random: np.random.Generator, wanted: Integers) -> _Drawn:
    """By day, of all other kinds; each customer has shares of these of their own."""
    shape = (len(wanted), int(wanted.max(initial=0)))
    limits = np.cumsum(random.dirichlet(_SPENDING_SHARES, len(wanted)), axis=1)[:, :-1]
    drawn = random.random(shape)
    kind = np.full(shape, _SPENT, np.int8)
    for place in range(limits.shape[1]):
        kind += drawn > limits[:, place, None]
    day = np.floor(random.uniform(0, SPAN_DAYS - 1, shape)) + random.uniform(8, 22, shape) / 24
    amount = np.exp(random.normal(3.5, 0.8, shape))
    return _Drawn(kind, day, amount, np.arange(shape[1]) < wanted[:, None])


def _join(
    customers: "pd.Series[int] | pd.Series[str]", begins: npt.NDArray[np.datetime64], parts: list[_Drawn]
) -> pd.DataFrame:
    is_there = np.concatenate([part.is_there for part in parts], axis=1)
    owner = np.repeat(np.arange(len(customers)), is_there.sum(axis=1))
    day, amount, kind = (np.concatenate([part[axis] for part in parts], axis=1)[is_there] for axis in (1, 2, 0))
    after = (day * MICROSECONDS_A_DAY).astype(np.int64)
    order = np.lexsort((after, owner))
    at = begins[owner] + after[order].astype("timedelta64[us]")
    return pd.DataFrame(
        {
            "customer_id": customers.to_numpy()[owner],
            "booked_at": at,
            "kind": pd.Categorical.from_codes(kind[order], categories=list(KINDS)).astype("str"),
            "amount": np.round(amount[order], 2),
        }
    )
