"""Simulates a book of card and loan customers: 12 months of behaviour, and a default whose true probability is known.

Everything is drawn from one seed. The true probability is a formula over columns that the portfolio holds, so a model
could in principle reach `best_possible_auc`; what it cannot do is beat it but by luck.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

MONTHS = 12
TARGET = "default_next_month"
# Known to the simulator alone: never part of the portfolio.
TRUE_PROBABILITY = "true_probability"
TRUE_OUTCOME = "true_outcome"

Floats = npt.NDArray[np.float64]

_EMPLOYMENT = {"permanent": 0.0, "temporary": 0.35, "self_employed": 0.25, "retired": -0.2, "unemployed": 0.8}
_EMPLOYMENT_SHARES = (0.58, 0.14, 0.13, 0.11, 0.04)
_REGION = {"north": 0.0, "south": 0.1, "east": 0.2, "west": -0.1, "islands": 0.5}
_REGION_SHARES = (0.34, 0.29, 0.2, 0.167, 0.003)
_PRODUCT_SHARES = {"card": 0.6, "loan": 0.25, "card_and_loan": 0.15}
_INTERCEPT = -3.5
# One month's lateness counts this much less than the next month's.
_FADING = 0.7


@dataclass(frozen=True)
class Economy:
    """The times that a book lives in; the defaults are normal times.

    `stress` is added to every customer's latent stress each month: behaviour worsens, and defaults follow it (drift of
    the inputs). `odds_shift` is added to the log-odds of default at the same behaviour (drift of the concept).
    `younger_years` makes the customers younger (drift of the population).
    """

    stress: float = 0.0
    odds_shift: float = 0.0
    younger_years: float = 0.0


NORMAL_TIMES = Economy()


def simulate_customers(
    count: int,
    seed: int = 7,
    *,
    unlabelled_share: float = 0.0,
    text_keys: bool = False,
    economy: Economy = NORMAL_TIMES,
    broken_columns: tuple[str, ...] = (),
) -> pd.DataFrame:
    """Return `count` customers in key order: key, facts, 12 months of behaviour, target, and the two true columns.

    The same seed gives the same people in any economy. `unlabelled_share` of the targets are NaN (not known);
    `true_outcome` has all of them. `broken_columns` arrive empty, as after a feed broke: the default still follows what
    the customer really did.
    """
    random = np.random.default_rng(seed)
    facts = _simulate_facts(count, random, economy)
    behaviour = _simulate_behaviour(facts, random, economy)
    frame = pd.concat([facts, behaviour], axis="columns")
    numbers = np.arange(1, count + 1)
    frame.insert(0, "customer_id", pd.Series([f"C{one:06d}" for one in numbers]) if text_keys else pd.Series(numbers))
    probability = true_probability(frame, economy)
    outcome = (random.random(count) < probability).astype(np.float64)
    is_unlabelled = random.random(count) < unlabelled_share
    truth = {TARGET: np.where(is_unlabelled, np.nan, outcome), TRUE_OUTCOME: outcome, TRUE_PROBABILITY: probability}
    frame = pd.concat([frame, pd.DataFrame(truth)], axis="columns")
    for column in broken_columns:
        frame[column] = np.nan
    return frame


def true_probability(frame: pd.DataFrame, economy: Economy = NORMAL_TIMES) -> Floats:
    """Return the true probability of default next month, from the columns of the frame.

    log-odds = intercept + odds_shift + employment + region
               + 1.1 lateness + 1.2 (use - 0.4) + 1.5 (use - use half a year before) - 0.9 paid
               - 0.3 log(income / 30000) + 0.2 ((age - 45) / 15)^2 - 0.03 tenure + 0.3 lateness [card_and_loan]

    lateness = log(1 + sum over months m of 0.7^(12 - m) days_past_due_m / 30); use = balance / limit, mean of the last
    3 months (half a year before: of months 4 to 6); paid = payments over balances of the last 3 months, at most 1. A
    missing income adds 0.2 in place of its term.
    """
    months = np.arange(1, MONTHS + 1)
    lateness = np.log1p(_monthly(frame, "days_past_due") / 30 @ _FADING ** (MONTHS - months))
    balance, payment = _monthly(frame, "balance"), _monthly(frame, "payment")
    limit = frame["credit_limit"].to_numpy(np.float64)
    use, use_before = (balance[:, part].mean(axis=1) / limit for part in (slice(9, 12), slice(3, 6)))
    paid = np.minimum(payment[:, 9:].sum(axis=1) / np.maximum(balance[:, 9:].sum(axis=1), 1.0), 1.0)
    income_term = np.nan_to_num(-0.3 * np.log(frame["income"].to_numpy(np.float64) / 30_000), nan=0.2)
    age_term = 0.2 * ((frame["age"].to_numpy(np.float64) - 45) / 15) ** 2
    has_both = (frame["product"] == "card_and_loan").to_numpy()
    labels = frame["employment"].map(_EMPLOYMENT) + frame["region"].map(_REGION)
    log_odds = _INTERCEPT + economy.odds_shift + labels.to_numpy(np.float64)
    log_odds += (1.1 + 0.3 * has_both) * lateness + 1.2 * (use - 0.4) + 1.5 * (use - use_before) - 0.9 * paid
    log_odds += income_term + age_term - 0.03 * frame["tenure_years"].to_numpy(np.float64)
    return _sigmoid(log_odds)


def best_possible_auc(frame: pd.DataFrame) -> float:
    """Return the ROC AUC of the true probability on these rows' true outcomes."""
    return area_under_curve(frame[TRUE_OUTCOME].to_numpy(np.float64), frame[TRUE_PROBABILITY].to_numpy(np.float64))


def area_under_curve(outcomes: Floats, scores: Floats) -> float:
    """Return the ROC AUC: the probability that a bad record has a higher score than a good one; ties count half.

    >>> area_under_curve(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.1, 0.4, 0.4, 0.8]))
    0.875
    """
    bad = int((outcomes == 1).sum())
    good = len(outcomes) - bad
    rank_sum = float(pd.Series(scores).rank().to_numpy()[outcomes == 1].sum())
    return (rank_sum - bad * (bad + 1) / 2) / (bad * good)


def month_columns(behaviour: str) -> list[str]:
    """Return a behaviour's columns, oldest first.

    >>> month_columns("balance")[0], month_columns("balance")[-1]
    ('balance_01', 'balance_12')
    """
    return [f"{behaviour}_{month:02d}" for month in range(1, MONTHS + 1)]


def simulated_portfolio() -> str:
    """Return the portfolio file, as TOML text, that fits `simulate_customers`."""
    numeric = ("age", "income", "credit_limit", "tenure_years")
    categorical = ("employment", "region", "product")
    lines = ['name = "simulated_book"', 'title = "Simulated customers: default next month"', 'key = "customer_id"']
    lines += [f'target = "{TARGET}"']
    for kind, names in (("numeric", numeric), ("categorical", categorical)):
        lines += [f'\n[fields.{name}]\nkind = "{kind}"' for name in names]
    for behaviour in ("balance", "payment", "days_past_due"):
        columns = ", ".join(f'"{column}"' for column in month_columns(behaviour))
        lines += [f'\n[history.{behaviour}]  # oldest month first\nkind = "numeric"\ncolumns = [{columns}]']
    return "\n".join(lines) + "\n"


def _simulate_facts(count: int, random: np.random.Generator, economy: Economy) -> pd.DataFrame:
    """Draw the constant facts of a customer. Income is log-normal, and missing in 6 % of the cases."""
    age = np.clip(np.round(random.gamma(9.0, 5.0, count) + 5 - economy.younger_years), 18, 90)
    income = np.round(np.exp(random.normal(10.3, 0.5, count)), -2)
    limit = np.round(np.clip(income * np.exp(random.normal(-1.0, 0.5, count)), 500, 100_000), -2)
    income[random.random(count) < 0.06] = np.nan
    return pd.DataFrame(
        {
            "age": age,
            "income": income,
            "credit_limit": limit,
            "employment": random.choice(list(_EMPLOYMENT), count, p=_EMPLOYMENT_SHARES),
            "region": random.choice(list(_REGION), count, p=_REGION_SHARES),
            "product": random.choice(list(_PRODUCT_SHARES), count, p=list(_PRODUCT_SHARES.values())),
            "tenure_years": np.round(np.minimum(random.exponential(6.0, count), age - 17), 1),
        }
    )


def _simulate_behaviour(facts: pd.DataFrame, random: np.random.Generator, economy: Economy) -> pd.DataFrame:
    """Draw 12 months from an autocorrelated latent stress s.

    s_m = 0.85 s_(m-1) + 0.15 (1.5 trait + employment) + 0.3 noise + 0.15 stress of the economy
    use of the limit = sigmoid(-0.7 + 0.9 s_m + habit); share of the balance paid = sigmoid(-0.8 - 1.2 s_m + habit')
    a payment is missed with probability sigmoid(-4.6 + 1.6 s_m): 30 days more past due; else half of what was is cured
    """
    count = len(facts)
    limit = facts["credit_limit"].to_numpy(np.float64)
    mean_stress = 1.5 * random.normal(size=count) + facts["employment"].map(_EMPLOYMENT).to_numpy(np.float64)
    use_habit, pay_habit = random.normal(0, 0.8, (2, count))
    stress: Floats = mean_stress.copy()
    past_due: Floats = np.zeros(count)
    months: dict[str, list[Floats]] = {"balance": [], "payment": [], "days_past_due": []}
    for _ in range(MONTHS):
        stress = 0.85 * stress + 0.15 * (mean_stress + economy.stress) + 0.3 * random.normal(size=count)
        balance = limit * _sigmoid(-0.7 + 0.9 * stress + use_habit + 0.2 * random.normal(size=count))
        is_missed = random.random(count) < _sigmoid(-4.6 + 1.6 * stress)
        share = _sigmoid(-0.8 - 1.2 * stress + pay_habit + 0.5 * random.normal(size=count))
        cured = np.floor(past_due / 60) * 30
        past_due = np.where(is_missed, np.minimum(past_due + 30, 180), cured)
        months["balance"].append(np.round(balance, 2))
        months["payment"].append(np.round(balance * share * ~is_missed, 2))
        months["days_past_due"].append(past_due)
    named = {name: zip(month_columns(name), values, strict=True) for name, values in months.items()}
    return pd.DataFrame({column: value for pairs in named.values() for column, value in pairs})


def _monthly(frame: pd.DataFrame, behaviour: str) -> Floats:
    return frame[month_columns(behaviour)].to_numpy(np.float64)


def _sigmoid(value: Floats) -> Floats:
    return 1 / (1 + np.exp(-value))
