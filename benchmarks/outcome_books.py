"""Simulated books whose nights are scored by a model that is nearly calibrated, for the benchmarks of outcomes.

Each book has a bad rate from 2 to 40 %, a ROC AUC from 0.6 to 0.9, and 500 to 20,000 records a night, drawn from its
seed. Customers come back: most are in the next night too, with nearly the same risk, and half of those who were bad
stay bad. The scores are a little miscalibrated, also within regions and products.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import norm

from worker.gate.outcome_parts import Parts, parts_of_names, parts_of_numbers

USUAL_NIGHTS, NIGHTS = 4, 8
# Shares of the levels of two fields, and how much they change the log-odds in truth, although no score knows of it.
LEVELS = {"region": (0.3, 0.2, 0.15, 0.12, 0.1, 0.08, 0.05), "product": (0.6, 0.25, 0.15)}
UNKNOWN_EFFECT = 0.15
AGE_CORRELATION = 0.4  # of the age with the risk
_PRIMES = (7_919, 104_729, 611_953, 32_452_843)

GRID = norm.ppf((np.arange(500) + 0.5) / 500)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Book:
    """What is drawn once. `spread` is the standard deviation of the log-odds, `middle` their mean."""

    records: int
    bad_rate: float
    auc: float
    middle: float
    spread: float
    staying: float  # share of the customers who are in the next night too
    shift: float  # of the model's log-odds
    slope: float
    effects: dict[str, Floats]  # of each region and product on the true log-odds, which no score knows


@dataclass(frozen=True)
class Night:
    """Customers by key, their true and their scored log-odds, what became of them, and their fields."""

    keys: NDArray[np.int64]
    odds: Floats
    probability: Floats
    outcome: Floats
    names: dict[str, NDArray[np.int64]]
    numbers: dict[str, Floats]

    @cached_property
    def parts(self) -> dict[str, Parts]:
        """The customers parted by each field, as the monitor does it."""
        named = {field: parts_of_names(pd.Series(values)) for field, values in self.names.items()}
        return named | {field: parts_of_numbers(values) for field, values in self.numbers.items()}

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """The rows in the order of their keys."""
        return np.argsort(self.keys)


def draw_book(random: np.random.Generator) -> Book:
    """Draw a book whose scores would reach its ROC AUC if they were calibrated."""
    records = int(np.exp(random.uniform(np.log(500), np.log(20_000))))
    bad_rate, auc = float(np.exp(random.uniform(np.log(0.02), np.log(0.4)))), float(random.uniform(0.6, 0.9))
    middle, spread = solve_odds(bad_rate, auc)
    return Book(
        records, bad_rate, auc, middle, spread, float(random.uniform(0.5, 1.0)), float(random.normal(0, 0.1)),
        float(random.uniform(0.9, 1.1)),
        {field: random.normal(0, UNKNOWN_EFFECT, len(shares)) for field, shares in LEVELS.items()},
    )  # fmt: skip


def solve_odds(bad_rate: float, auc: float) -> tuple[float, float]:
    """Return mean and deviation of normal log-odds with this bad rate and ROC AUC, by bisection."""
    low, high, middle = 0.0, 12.0, logit(bad_rate)
    for _ in range(20):
        spread = (low + high) / 2
        left, right = -30.0, 30.0
        for _ in range(25):
            middle = (left + right) / 2
            left, right = (left, middle) if expit(middle + spread * GRID).mean() > bad_rate else (middle, right)
        risk = expit(middle + spread * GRID)
        reached = float((risk * (np.cumsum(1 - risk) - (1 - risk) / 2)).sum() / (risk.sum() * (1 - risk).sum()))
        low, high = (low, spread) if reached > auc else (spread, high)
    return float(middle), spread


def play_nights(book: Book, kind: str, random: np.random.Generator) -> list[Night]:
    """Return the nights as they were in truth."""
    nights: list[Night] = []
    size = float(random.choice([1, -1]) * np.log(random.uniform(1.5, 3.0)))  # of the change of the log-odds
    loss = float(random.uniform(0.05, 0.15))
    for number in range(NIGHTS):
        since = number - USUAL_NIGHTS + 1
        part = max(0.0, min(1.0, since / (NIGHTS - USUAL_NIGHTS))) if "gradually" in kind else float(since > 0)
        before = nights[-1] if nights else None
        change = part * size if "bad rate" in kind else 0.0
        lost = part * loss if "relation" in kind else 0.0
        nights.append(draw_night(book, before, random, change=change, lost=lost))
    return nights


def draw_night(
    book: Book, before: Night | None, random: np.random.Generator, *, change: float = 0.0, lost: float = 0.0
) -> Night:
    """Draw a night after another: who stays keeps most of the risk, and half of the bad ones stay bad."""
    count = book.records
    keys = np.arange(count) + (0 if before is None else int(before.keys.max()) + 1)
    normal, was_bad = random.normal(size=count), np.zeros(count, dtype=bool)
    if before is not None:
        kept = int(book.staying * count)
        chosen = random.permutation(count)[:kept]
        keys[:kept] = before.keys[chosen]
        was_bad[:kept] = before.outcome[chosen] == 1
        earlier = (before.odds[chosen] - book.middle) / book.spread
        normal[:kept] = 0.95 * earlier + np.sqrt(1 - 0.95**2) * normal[:kept]
    odds = book.middle + book.spread * normal
    order = random.permutation(count)  # customers stand in no order in the file
    keys, odds, was_bad = keys[order], odds[order], was_bad[order]
    names, numbers = draw_fields(book, keys, odds)
    unknown = sum(book.effects[field][values] for field, values in names.items())
    truth = odds + change
    if lost:  # what the scores know of the risk grows less, and the bad rate stays
        weaker = solve_odds(book.bad_rate, max(0.5001, book.auc - lost))
        truth = weaker[0] + weaker[1] * (odds - book.middle) / book.spread
    outcome = (random.random(count) < expit(truth + unknown)).astype(float)
    outcome[was_bad & (random.random(count) < 0.5)] = 1.0
    probability = expit(book.shift + book.middle + book.slope * (odds - book.middle))
    return Night(keys, odds, probability, outcome, names, numbers)


def draw_fields(
    book: Book, keys: NDArray[np.int64], odds: Floats
) -> tuple[dict[str, NDArray[np.int64]], dict[str, Floats]]:
    """Return what a customer is for good, by a hash of the key, and the age, which goes with the risk."""
    region, product, age, amount = (
        ((keys * prime) % 1_000_003) / 1_000_003 for prime in (7_919, 104_729, 611_953, 32_452_843)
    )
    names = {field: np.searchsorted(np.cumsum(LEVELS[field])[:-1], values, side="right")
             for field, values in (("region", region), ("product", product))}  # fmt: skip
    normal = (odds - book.middle) / book.spread
    aged = AGE_CORRELATION * normal + np.sqrt(1 - AGE_CORRELATION**2) * norm.ppf(np.clip(age, 1e-6, 1 - 1e-6))
    return names, {"age": aged, "amount": np.exp(amount)}


def look_up(night: Night, keys: NDArray[np.int64]) -> Floats:
    """Return the outcomes of a night for these keys; NaN where it has none."""
    rows = night.order[np.clip(np.searchsorted(night.keys, keys, sorter=night.order), 0, len(night.keys) - 1)]
    return np.where(night.keys[rows] == keys, night.outcome[rows], np.nan)
