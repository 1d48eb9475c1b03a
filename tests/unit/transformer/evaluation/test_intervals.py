"""Intervals hold the truth as often as they say, and agree with slow plain ones."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from transformer.evaluation.figures import evaluate
from transformer.evaluation.intervals import FIGURES, compare_with_intervals, evaluate_with_intervals
from transformer.evaluation.segments import NOT_KNOWN, evaluate_segments


def draw(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    probability = np.round(random.beta(1, 4, rows), 3)
    return (random.random(rows) < probability).astype(float), np.clip(probability, 0.001, 0.999)


def test_every_figure_has_an_interval_around_it() -> None:
    target, probability = draw(800, 1)
    figures, plain = evaluate_with_intervals(target, probability), evaluate(target, probability)
    assert set(figures) == set(FIGURES)
    for name, figure in figures.items():
        assert figure.value == plain[name]
        assert figure.low < figure.value < figure.high, name


def test_intervals_of_calibrated_probabilities_hold_the_truth_about_as_often_as_they_say() -> None:
    truth = evaluate_with_intervals(*draw(200_000, 99))
    hits = dict.fromkeys(FIGURES, 0)
    for seed in range(30):
        for name, figure in evaluate_with_intervals(*draw(400, seed)).items():
            hits[name] += figure.low <= truth[name].value <= figure.high
    assert {name: count for name, count in hits.items() if count < 24} == {}


def test_bootstrapped_figures_of_all_records_are_those_of_scikit_learn() -> None:
    target, probability = draw(500, 3)
    figures = evaluate_with_intervals(target, probability)
    assert figures["pr_auc"].value == pytest.approx(average_precision_score(target, probability))
    middle = (figures["pr_auc"].low + figures["pr_auc"].high) / 2
    assert middle == pytest.approx(figures["pr_auc"].value)


def test_delong_agrees_with_a_bootstrap() -> None:
    target, probability = draw(600, 4)
    random = np.random.default_rng(5)
    draws = []
    for _ in range(400):
        rows = random.integers(0, 600, 600)
        draws.append(roc_auc_score(target[rows], probability[rows]))
    figure = evaluate_with_intervals(target, probability)["roc_auc"]
    assert (figure.high - figure.low) / 3.92 == pytest.approx(np.std(draws), rel=0.15)


def test_a_paired_interval_is_narrower_than_two_apart_and_holds_zero_for_equals() -> None:
    target, probability = draw(2000, 6)
    noise = np.random.default_rng(7).normal(0, 0.02, 2000)
    other = np.clip(probability + noise, 0.001, 0.999)
    paired = compare_with_intervals(target, probability, other)["roc_auc"]
    alone = evaluate_with_intervals(target, probability)["roc_auc"]
    assert paired.high - paired.low < 0.5 * (alone.high - alone.low)
    same = compare_with_intervals(target, probability, probability)
    assert all(one.value == one.low == one.high == 0 for one in same.values())


def test_a_worse_score_is_told_as_worse() -> None:
    target, probability = draw(3000, 8)
    worse = np.clip(probability + np.random.default_rng(9).normal(0, 0.3, 3000), 0.001, 0.999)
    found = compare_with_intervals(target, probability, worse)
    assert found["roc_auc"].high < 0 < found["brier"].low


def test_one_class_alone_gives_the_means_of_records() -> None:
    assert set(evaluate_with_intervals(np.zeros(50), np.full(50, 0.1))) == {"brier", "log_loss", "accuracy"}


def test_segments_hold_every_record_once_and_their_own_figures() -> None:
    target, probability = draw(1000, 10)
    random = np.random.default_rng(11)
    frame = pd.DataFrame({"region": random.choice(["north", "south", None], 1000), "income": random.normal(size=1000)})
    segments = evaluate_segments(frame, ("region", "income"), target, probability)
    for column in ("region", "income"):
        assert sum(one.rows for one in segments if one.column == column) == 1000
    assert [one.value for one in segments if one.column == "region"] == ["north", "south", NOT_KNOWN]
    assert sum(one.column == "income" for one in segments) == 4
    north = (frame["region"] == "north").to_numpy()
    assert segments[0].figures["roc_auc"].value == pytest.approx(roc_auc_score(target[north], probability[north]))


def test_a_segment_of_few_records_is_counted_without_figures() -> None:
    target, probability = draw(100, 12)
    frame = pd.DataFrame({"kind": ["rare"] * 25 + ["usual"] * 75})
    rare = evaluate_segments(frame, ("kind",), target, probability)[0]
    assert (rare.value, rare.rows, rare.figures) == ("rare", 25, {})


def test_a_segment_of_a_few_people_is_not_told() -> None:
    target, probability = draw(100, 12)
    frame = pd.DataFrame({"kind": ["one"] + ["two"] * 12 + ["usual"] * 87})
    result = evaluate_segments(frame, ("kind",), target, probability)
    assert [(one.value, one.rows) for one in result] == [("usual", 87)]
