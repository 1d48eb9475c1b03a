"""The simulator: a repeatable book whose true probabilities are known."""

import time

import numpy as np
import pandas as pd
import pytest

from scheduler.demo.simulator import (
    MONTHS,
    TARGET,
    TRUE_OUTCOME,
    TRUE_PROBABILITY,
    Economy,
    area_under_curve,
    best_possible_auc,
    month_columns,
    simulate_customers,
    simulated_portfolio,
    true_probability,
)
from scheduler.portfolio_files.reader import parse_portfolio


@pytest.fixture(scope="module")
def customers() -> pd.DataFrame:
    return simulate_customers(20_000, seed=11)


def test_the_same_seed_gives_the_same_book_and_another_seed_another(customers: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(customers, simulate_customers(20_000, seed=11))
    assert not customers["income"].equals(simulate_customers(20_000, seed=12)["income"])


def test_a_book_of_50000_is_drawn_within_two_seconds() -> None:
    started = time.perf_counter()
    simulate_customers(50_000)
    assert time.perf_counter() - started < 2


def test_between_5_and_8_percent_default(customers: pd.DataFrame) -> None:
    assert 0.05 < customers[TARGET].mean() < 0.08


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_best_possible_auc_lies_between_080_and_085(seed: int) -> None:
    assert 0.80 < best_possible_auc(simulate_customers(20_000, seed=seed)) < 0.85


def test_the_true_probability_is_calibrated(customers: pd.DataFrame) -> None:
    tenth = pd.qcut(customers[TRUE_PROBABILITY], 10, labels=False)
    by_tenth = customers.groupby(tenth)[[TRUE_PROBABILITY, TRUE_OUTCOME]].mean()
    error = np.sqrt(by_tenth[TRUE_PROBABILITY] * (1 - by_tenth[TRUE_PROBABILITY]) / 2000)
    assert ((by_tenth[TRUE_OUTCOME] - by_tenth[TRUE_PROBABILITY]).abs() < 4 * error).all()


def test_the_true_probability_follows_from_columns_of_the_portfolio_alone(customers: pd.DataFrame) -> None:
    inputs = list(parse_portfolio(simulated_portfolio(), "simulated").input_columns)
    np.testing.assert_array_equal(true_probability(customers[inputs]), customers[TRUE_PROBABILITY])


def test_the_portfolio_fits_the_frame_and_leaves_out_what_only_the_simulator_knows(customers: pd.DataFrame) -> None:
    definition = parse_portfolio(simulated_portfolio(), "simulated")
    assert (definition.name, definition.key, definition.target) == ("simulated_book", "customer_id", TARGET)
    named = {definition.key, definition.target, *definition.input_columns}
    assert set(customers.columns) - named == {TRUE_OUTCOME, TRUE_PROBABILITY}
    assert {len(history.columns) for history in definition.histories} == {MONTHS}


def test_recent_behaviour_tells_more_than_old_behaviour(customers: pd.DataFrame) -> None:
    outcomes = customers[TRUE_OUTCOME].to_numpy()
    old, recent = (area_under_curve(outcomes, customers[f"days_past_due_{month}"].to_numpy()) for month in ("01", "12"))
    assert recent > old + 0.02


def test_facts_are_plausible(customers: pd.DataFrame) -> None:
    assert customers["age"].between(18, 90).all()
    assert 0.04 < customers["income"].isna().mean() < 0.08
    assert (customers[month_columns("balance")].le(customers["credit_limit"] + 0.01, axis="index")).all(axis=None)
    assert 0.001 < (customers["region"] == "islands").mean() < 0.006


def test_the_asked_share_of_targets_is_unknown_and_the_truth_is_kept() -> None:
    frame = simulate_customers(10_000, unlabelled_share=0.3)
    assert abs(frame[TARGET].isna().mean() - 0.3) < 0.02
    assert frame[TRUE_OUTCOME].notna().all()


def test_keys_may_be_text_and_are_in_order() -> None:
    keys = simulate_customers(3, text_keys=True)["customer_id"]
    assert keys.tolist() == ["C000001", "C000002", "C000003"]


def test_stress_worsens_behaviour_and_defaults(customers: pd.DataFrame) -> None:
    stressed = simulate_customers(20_000, seed=11, economy=Economy(stress=0.5))
    assert stressed["balance_12"].mean() > customers["balance_12"].mean()
    assert stressed[TARGET].mean() > customers[TARGET].mean() + 0.01


def test_a_shift_of_the_odds_leaves_the_inputs_as_they_are(customers: pd.DataFrame) -> None:
    shifted = simulate_customers(20_000, seed=11, economy=Economy(odds_shift=0.7))
    truths = [TARGET, TRUE_OUTCOME, TRUE_PROBABILITY]
    pd.testing.assert_frame_equal(shifted.drop(columns=truths), customers.drop(columns=truths))
    assert shifted[TARGET].mean() > customers[TARGET].mean() + 0.02


def test_a_younger_book_is_younger(customers: pd.DataFrame) -> None:
    younger = simulate_customers(20_000, seed=11, economy=Economy(younger_years=8))
    assert customers["age"].mean() - younger["age"].mean() > 6


def test_broken_columns_arrive_empty_while_defaults_stay(customers: pd.DataFrame) -> None:
    broken = simulate_customers(20_000, seed=11, broken_columns=("income",))
    assert broken["income"].isna().all()
    pd.testing.assert_series_equal(broken[TARGET], customers[TARGET])


def test_the_area_under_the_curve_equals_the_count_of_ordered_pairs() -> None:
    random = np.random.default_rng(5)
    outcomes, scores = random.integers(0, 2, 200).astype(float), random.integers(0, 20, 200).astype(float)
    bad, good = scores[outcomes == 1][:, None], scores[outcomes == 0][None, :]
    assert area_under_curve(outcomes, scores) == pytest.approx(((bad > good) + 0.5 * (bad == good)).mean())
