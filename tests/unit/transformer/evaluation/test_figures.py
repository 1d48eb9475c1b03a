"""Points, bands, calibration and figures of merit against their definitions."""

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from transformer.bundles.calibration import Calibration
from transformer.evaluation.figures import calibration_line, evaluate, fit_line, ks_statistic
from transformer.scoring import points as points_module
from transformer.scoring.points import BANDS, ScoreScale
from transformer.training.calibration_fitting import calibrate, fit_platt

RANDOM = np.random.default_rng(5)
PROBABILITY = RANDOM.uniform(0.01, 0.99, 4000)
TARGET = (RANDOM.random(4000) < PROBABILITY).astype(float)


def test_the_examples_of_points_are_true() -> None:
    assert doctest.testmod(points_module, extraglobs={"np": np}).failed == 0


@given(st.floats(1e-6, 1 - 1e-6), st.floats(1e-6, 1 - 1e-6))
def test_a_higher_probability_never_has_more_points_nor_a_better_band(one: float, other: float) -> None:
    scale = ScoreScale()
    points = scale.points_of(np.array([min(one, other), max(one, other)]))
    bands = scale.band_of(points)
    assert points[0] >= points[1]
    assert BANDS.index(bands[0]) <= BANDS.index(bands[1])


def test_doubling_the_odds_adds_what_the_scale_says() -> None:
    scale = ScoreScale(points=500, odds=20, points_to_double=50)
    odds = np.array([20.0, 40.0, 80.0])
    assert scale.points_of(1 / (1 + odds)).tolist() == [500, 550, 600]


def test_ks_is_that_of_scipy() -> None:
    assert ks_statistic(TARGET, PROBABILITY) == pytest.approx(
        ks_2samp(PROBABILITY[TARGET == 1], PROBABILITY[TARGET == 0]).statistic
    )


def test_true_probabilities_are_calibrated() -> None:
    slope, intercept = calibration_line(TARGET, PROBABILITY)
    assert slope == pytest.approx(1.0, abs=0.1)
    assert intercept == pytest.approx(0.0, abs=0.1)


def test_one_class_alone_gives_the_figures_that_it_allows() -> None:
    figures = evaluate(np.zeros(5), np.full(5, 0.1))
    assert figures["brier"] == pytest.approx(0.01)
    assert "roc_auc" not in figures


def test_a_soft_outcome_counts_in_parts() -> None:
    log_odds = np.array([-1.0, 0.0, 2.0, 1.0])
    halves = fit_line(np.array([0.25, 0.5, 0.75, 0.5]), log_odds)
    whole = fit_line(np.array([0, 0, 0, 1, 0, 0, 1, 1, 0, 1, 1, 1, 0, 0, 1, 1.0]), np.repeat(log_odds, 4))
    assert halves == pytest.approx(whole, abs=1e-3)


def test_calibration_stays_finite_where_a_few_rows_are_parted_without_an_error() -> None:
    logits = np.array([-0.02, -0.01, 0.01, 0.02] * 5)
    found = calibrate(logits, (logits > 0).astype(float))
    assert 0 < found.slope < 1000
    assert 0.05 < found.probabilities(np.array([-0.01]))[0] < 0.4


def _drawn(slope: float, rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    logits = random.normal(-1, 1, rows)
    return logits, (random.random(rows) < 1 / (1 + np.exp(-slope * logits))).astype(float)


def test_calibration_finds_a_slope_that_many_rows_prove() -> None:
    logits, target = _drawn(0.5, 50_000, 1)
    assert calibrate(logits, target).slope == pytest.approx(0.5, abs=0.05)


def test_calibration_takes_a_few_rows_at_half_their_word() -> None:
    errors: list[tuple[float, float]] = []
    for seed in range(40):
        logits, target = _drawn(1.0, 300, seed)
        errors.append((calibrate(logits, target).slope - 1, fit_platt(logits, target).slope - 1))
    drawn, free = np.sqrt(np.mean(np.square(errors), axis=0))
    assert drawn < 0.6 * free


@pytest.mark.parametrize("rows", [20, 300, 5_000])
def test_the_mean_probability_is_that_of_the_outcomes(rows: int) -> None:
    logits, target = _drawn(0.7, rows, 3)
    found = calibrate(logits, target).probabilities(logits)
    softened = np.where(target == 1, (target.sum() + 1) / (target.sum() + 2), 1 / ((1 - target).sum() + 2))
    assert found.mean() == pytest.approx(softened.mean(), abs=1e-5)


def test_calibration_stays_finite_where_all_logits_are_equal() -> None:
    found = calibrate(np.zeros(10), np.array([1.0, *[0.0] * 9]))
    assert found.slope == 1.0
    assert np.isfinite(found.intercept)


def test_calibration_never_turns_the_order_round() -> None:
    assert calibrate(np.linspace(-2, 2, 100), (np.linspace(-2, 2, 100) < 0).astype(float)).slope == 1.0


def test_stored_probabilities_have_six_decimals_and_are_never_zero_or_one() -> None:
    stored = Calibration(1.0, 0.0).probabilities(np.array([-100.0, 100.0, 0.1]))
    assert stored.tolist() == [0.000001, 0.999999, 0.524979]
