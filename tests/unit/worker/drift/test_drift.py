"""Drift figures: exact where there is one truth, ours where there is none."""

import itertools

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from db.schema.states import Verdict
from worker.drift import (
    Distribution,
    Histogram,
    binned_counts,
    compare,
    expected_auc,
    expected_bad_rate,
    judge,
    merge,
    population_stability_index,
    reference_edges,
)


def _histogram(values: np.ndarray, unscorable: int = 0) -> Histogram:
    points, counts = np.unique(values, return_counts=True)
    return Histogram(dict(zip(points.tolist(), counts.tolist(), strict=True)), unscorable)


@pytest.fixture
def nights() -> tuple[np.ndarray, np.ndarray]:
    """A reference of 5,000 scores and a night of 3,000 that moved by 6 points."""
    random = np.random.default_rng(1)
    return random.normal(600, 40, 5000).round(), random.normal(594, 44, 3000).round()


def test_ks_and_wasserstein_equal_scipy(nights: tuple[np.ndarray, np.ndarray]) -> None:
    figures = compare(_histogram(nights[0]), _histogram(nights[1]))
    assert figures.ks == pytest.approx(stats.ks_2samp(*nights).statistic, abs=1e-12)
    assert figures.wasserstein == pytest.approx(stats.wasserstein_distance(*nights), abs=1e-9)


def test_the_same_scores_have_no_distance(nights: tuple[np.ndarray, np.ndarray]) -> None:
    figures = compare(_histogram(nights[0]), _histogram(nights[0]))
    assert (figures.psi, figures.ks, figures.wasserstein) == (0.0, 0.0, 0.0)
    assert figures.psi_corrected < 0


def test_psi_equals_the_formula_by_hand() -> None:
    expected, actual = np.array([10.0, 30.0]), np.array([20.0, 20.0])
    e, a = np.array([10.5, 30.5]) / 41, np.array([20.5, 20.5]) / 41
    assert population_stability_index(expected, actual) == pytest.approx(((a - e) * np.log(a / e)).sum())


def test_bins_are_right_closed_at_the_references_quantiles() -> None:
    values = np.arange(1, 98)
    reference = _histogram(values).distribution()
    edges = reference_edges(reference)
    assert edges.tolist() == np.quantile(values, np.linspace(0, 1, 11)[1:-1], method="inverted_cdf").tolist()
    assert edges.tolist() == [10, 20, 30, 39, 49, 59, 68, 78, 88]
    assert binned_counts(reference, edges).tolist() == [10, 10, 10, 9, 10, 10, 9, 10, 10, 9]


def test_scores_outside_the_reference_fall_into_the_outer_bins() -> None:
    edges = reference_edges(_histogram(np.arange(1, 101)).distribution())
    assert binned_counts(_histogram(np.array([-5, 500])).distribution(), edges).tolist() == [1, *[0] * 8, 1]


def test_ties_merge_the_bins_and_a_constant_reference_has_two() -> None:
    assert reference_edges(_histogram(np.array([5] * 95 + [6, 7, 8, 9, 10])).distribution()).tolist() == [5]
    assert reference_edges(_histogram(np.array([5] * 100)).distribution()).tolist() == [5]


def test_two_different_constants_are_as_far_apart_as_can_be() -> None:
    figures = compare(_histogram(np.full(500, 600)), _histogram(np.full(500, 610)))
    assert figures.psi > 10
    assert (figures.ks, figures.wasserstein, figures.jensen_shannon, figures.shift) == (1.0, 10.0, 1.0, None)


def test_the_interval_of_the_psi_holds_the_truth_about_19_times_in_20() -> None:
    random = np.random.default_rng(11)
    reference = _histogram(random.normal(600, 40, 200_000).round())
    truth = compare(reference, _histogram(random.normal(588, 40, 2_000_000).round())).psi_corrected
    nights = [compare(reference, _histogram(random.normal(588, 40, 800).round())).psi_interval for _ in range(200)]
    assert 0.9 <= np.mean([low <= truth <= high for low, high in nights]) <= 0.99


def test_the_interval_of_a_quiet_night_reaches_down_to_zero() -> None:
    random = np.random.default_rng(12)
    reference = _histogram(random.normal(600, 40, 20_000).round())
    quiet = [compare(reference, _histogram(random.normal(600, 40, 800).round())).psi_interval for _ in range(200)]
    assert np.mean([low == 0 for low, _ in quiet]) >= 0.93


def test_the_expected_auc_is_that_of_outcomes_drawn_from_the_probabilities() -> None:
    random = np.random.default_rng(13)
    probabilities = random.beta(2, 8, 300_000).round(3)
    outcomes = random.random(len(probabilities)) < probabilities
    night = Distribution.of_values(probabilities)
    assert expected_auc(night.values, night.counts) == pytest.approx(roc_auc_score(outcomes, probabilities), abs=0.005)
    assert expected_bad_rate(night.values, night.counts) == pytest.approx(probabilities.mean(), abs=1e-12)


def test_without_a_bad_event_that_is_possible_there_is_no_expected_auc() -> None:
    assert expected_auc(np.array([0.0]), np.array([10.0])) is None


def test_a_rise_of_unscorable_records_is_seen() -> None:
    scores = np.arange(500, 700).repeat(5)
    figures = compare(_histogram(scores, unscorable=50), _histogram(scores, unscorable=180))
    assert figures.psi > 0.08


def test_merging_does_not_depend_on_the_order() -> None:
    parts = [Histogram({1: 2, 2: 3}, 1), Histogram({2: 4}), Histogram({5: 1}, 2)]
    merged = {(tuple(sorted(one.points.items())), one.unscorable) for one in map(merge, itertools.permutations(parts))}
    assert merged == {(((1, 2), (2, 7), (5, 1)), 3)}


def test_a_histogram_comes_back_from_its_document() -> None:
    histogram = Histogram({600: 3, -1: 2}, 4)
    assert Histogram.from_document(histogram.to_document()) == histogram


@pytest.mark.parametrize(
    ("shift", "count", "verdict"),
    [
        (0, 5000, Verdict.STABLE),
        (16, 5000, Verdict.WATCH),
        (40, 5000, Verdict.DRIFTED),
        (40, 100, Verdict.INSUFFICIENT),
    ],
)
def test_the_verdict_follows_the_size_of_the_shift(shift: int, count: int, verdict: Verdict) -> None:
    random = np.random.default_rng(3)
    reference, night = random.normal(600, 40, 5000).round(), random.normal(600 - shift, 40, count).round()
    assert judge(compare(_histogram(reference), _histogram(night))) is verdict


def test_an_empty_histogram_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="at least one score"):
        compare(Histogram({}), Histogram({1: 1}))
