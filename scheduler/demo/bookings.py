"""Simulates customers with bookings whose order and times say who will default; the true probability is known.

Usual aggregates hardly show it: each sign is also in the bookings of others, in another order or at other times.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from scheduler.demo.simulator import TARGET, TRUE_OUTCOME, TRUE_PROBABILITY, simulate_customers

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


PORTFOLIO = f"""
name = "simulated_bookings"
title = "Simulated customers with bookings: default next month"
key = "customer_id"
target = "{TARGET}"
moment = "cut_off"

[fields.age]
kind = "numeric"

[fields.income]
kind = "numeric"

[fields.employment]
kind = "categorical"

[events.bookings]
source = "simulated_bookings_log"
key = "customer_id"
at = "booked_at"
type = "kind"

[events.bookings.fields.amount]
kind = "numeric"

[events.bookings.reasons]
salary = "Your income has changed or stopped"
cash = "Cash withdrawals"
games = "Spending on games"
"""
_FACTS = ["customer_id", "age", "income", "employment"]
_INTERCEPT = -1.15


class Habits(NamedTuple):
    """What is true of each customer (N)."""

    has_stopped: npt.NDArray[np.bool_]
    draws_late: npt.NDArray[np.bool_]
    trend: Integers

    @property
    def log_odds(self) -> Floats:
        """What they add to the log-odds of default."""
        return 1.8 * self.has_stopped + 1.4 * self.draws_late + 0.9 * self.trend - 0.85


class Bookings(NamedTuple):
    """`log` has customer_id, booked_at, kind and amount, by customer and time; the others are a row for a customer."""

    log: pd.DataFrame
    moments: "pd.Series[pd.Timestamp]"
    habits: Habits


class _Drawn(NamedTuple):
    """Bookings of one kind (N, K): day and amount, and which of them there are."""

    kind: npt.NDArray[np.int8]
    day: Floats
    amount: Floats
    is_there: npt.NDArray[np.bool_]


def simulate_booked_customers(
    count: int, seed: int = 7, *, unlabelled_share: float = 0.0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return customers as `simulate_customers` does, with few facts and their moment, and the log of their bookings.

    log-odds = -1.15 - 0.4 log(income / 30000) + those of `simulate_bookings`; a missing income adds 0.2
    """
    facts = simulate_customers(count, seed)[_FACTS]
    bookings, random = simulate_bookings(facts["customer_id"], seed), np.random.default_rng([seed, 2])
    income = np.nan_to_num(-0.4 * np.log(facts["income"].to_numpy(np.float64) / 30_000), nan=0.2)
    probability = 1 / (1 + np.exp(-(_INTERCEPT + income + bookings.habits.log_odds)))
    outcome = (random.random(count) < probability).astype(np.float64)
    is_unlabelled = random.random(count) < unlabelled_share
    truth = {TARGET: np.where(is_unlabelled, np.nan, outcome), TRUE_OUTCOME: outcome, TRUE_PROBABILITY: probability}
    return facts.assign(cut_off=bookings.moments, **truth), bookings.log


def usual_aggregates(frame: pd.DataFrame, log: pd.DataFrame) -> pd.DataFrame:
    """Return what is usually made of bookings: how many of each kind, figures of the amounts, days since the last."""
    owner = log["customer_id"]
    sums = log.pivot_table("amount", "customer_id", "kind", "sum").add_prefix("sum_")
    amounts = log.groupby("customer_id")["amount"].agg(["last", "mean", "min", "max", "std", "sum"])
    last = log.groupby("customer_id")["booked_at"].max()
    made = pd.concat([pd.crosstab(owner, log["kind"]), sums, amounts], axis=1).reindex(frame["customer_id"])
    since = frame["cut_off"].to_numpy() - last.reindex(frame["customer_id"]).to_numpy()
    return made.assign(since_last=since / np.timedelta64(1, "D")).reset_index(drop=True)


def simulate_bookings(customers: "pd.Series[int] | pd.Series[str]", seed: int = 7, *, events: int = EVENTS) -> Bookings:
    """Return the bookings of the 180 days before each customer's moment, and what they add to the log-odds of default.

    log-odds = 1.8 [income stopped two months ago] + 1.4 [cash at night within a day after payday] + 0.9 trend - 0.85

    Those without the habit draw cash as often at night and as often after payday, but never both at once. `trend` is 1
    where games are bought more and more often, -1 where ever less, 0 where neither; their number is the same.
    """
    count, random = len(customers), np.random.default_rng([seed, 1])
    trend = random.choice([-1, 0, 1], count, p=[0.3, 0.4, 0.3])
    habits = Habits(random.random(count) < 0.25, random.random(count) < 0.3, trend)
    salary = _draw_salary(random, habits)
    parts = [salary, _draw_cash(random, habits, salary), _draw_games(random, habits)]
    wanted = events + random.integers(-SPREAD, SPREAD + 1, count)
    wanted -= sum(part.is_there.sum(axis=1) for part in parts)
    parts.append(_draw_spending(random, np.maximum(wanted, 0)))
    begins = _BEGINNING + random.integers(0, _OFFSET_DAYS, count) * np.timedelta64(1, "D")
    moments = pd.Series(begins + np.timedelta64(SPAN_DAYS, "D"))
    return Bookings(_join(customers, begins, parts), moments, habits)


def _draw_salary(random: np.random.Generator, habits: Habits) -> _Drawn:
    """Once or twice a month at nine; it began within the span, or has stopped."""
    count = len(habits.trend)
    period = random.choice([30.0, 15.0], (count, 1))
    day = np.floor(random.uniform(0, 30, (count, 1)) + period * np.arange(_MOST_PAYDAYS)) + 9 / 24
    begins = np.where(habits.has_stopped, 0.0, random.uniform(0, 70, count))[:, None]
    ends = np.where(habits.has_stopped, SPAN_DAYS - _SILENT_DAYS - random.uniform(0, 20, count), SPAN_DAYS)[:, None]
    usual = random.normal(7.5, 0.4, (count, 1))
    amount = np.exp(usual + random.normal(0, 0.03, day.shape))
    return _Drawn(np.full(day.shape, _SALARY, np.int8), day, amount, (day >= begins) & (day < ends))


def _draw_cash(random: np.random.Generator, habits: Habits, salary: _Drawn) -> _Drawn:
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


def _draw_games(random: np.random.Generator, habits: Habits) -> _Drawn:
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
    day, amount = (np.concatenate([part[axis] for part in parts], axis=1)[is_there] for axis in (1, 2))
    kind = np.concatenate([part.kind for part in parts], axis=1)[is_there].astype(np.int64)
    after = (day * MICROSECONDS_A_DAY).astype(np.int64)
    order = np.lexsort((after, owner))
    at = begins[owner] + after[order].astype("timedelta64[us]")
    return pd.DataFrame(
        {
            "customer_id": customers.to_numpy()[owner],
            "booked_at": at,
            "kind": pd.array(list(KINDS), dtype="str").take(kind[order]),
            "amount": np.round(amount[order], 2),
        }
    )
