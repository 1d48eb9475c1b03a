"""The gate promotes only on proven evidence; with too little of it, it does not decide."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score

from db.portfolios.retraining_policy import GatePolicy
from transformer.evaluation.paired_differences import compare_auc, compare_brier, compare_calibration
from transformer.scoring.points import ScoreScale
from worker.gate.candidate_judgement import judge_candidate
from worker.gate.judgement import Evidence, Outcome, Scored, judge_challenger

POLICY = GatePolicy()


def scored(seed: int = 1, rows: int = 6000, *, champion_noise: float = 0.7, challenger_noise: float = 0.4) -> Scored:
    """Records whose challenger knows more of the truth than the champion, both calibrated about right."""
    random = np.random.default_rng(seed)
    truth = random.normal(-2.0, 1.2, rows)
    target = (random.random(rows) < expit(truth)).astype(float)
    sides = []
    for noise in (champion_noise, challenger_noise):
        blurred = -2.0 + (truth + random.normal(0, noise, rows) + 2.0) * 1.2**2 / (1.2**2 + noise**2)
        sides.append(expit(blurred))
    return from_probabilities(target, *sides)


def from_probabilities(target: Any, champion: Any, challenger: Any) -> Scored:
    scale = ScoreScale()
    return Scored(target, champion, challenger, scale.points_of(champion), scale.points_of(challenger))


GOOD = Evidence(
    judging=scored(),
    old=scored(2),
    learned_date="2026-01-01",
    judging_date="2026-01-02",
    calibration_slope=1.0,
    canary_mismatches=0,
    relative_speed=1.0,
)


def swapped(one: Scored) -> Scored:
    return Scored(one.target, one.challenger, one.champion, one.challenger_points, one.champion_points)


def test_a_challenger_that_is_proven_better_is_promoted() -> None:
    assert judge_challenger(GOOD, POLICY).outcome is Outcome.PROMOTE


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"judging_date": "2026-01-01"}, "not later"),
        ({"judging": GOOD.judging.part(np.arange(200))}, "100 of each"),
        ({"shadow_nights_wanted": 3, "shadow_nights": 2}, "2 of 3 nights"),
    ],
)
def test_too_little_evidence_is_no_decision(change: dict[str, Any], said: str) -> None:
    judgement = judge_challenger(replace(GOOD, **change), POLICY)
    assert judgement.outcome is Outcome.UNDECIDED
    assert not judgement.promoted
    assert said in judgement.reason


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"judging": swapped(GOOD.judging)}, "ROC AUC"),
        (
            {"judging": from_probabilities(GOOD.judging.target, GOOD.judging.champion, GOOD.judging.champion)},
            "none of ROC AUC",
        ),
        ({"calibration_slope": 0.89}, "0.890"),
        ({"calibration_slope": 1.11}, "1.110"),
        ({"calibration_slope": None}, "unknown"),
        ({"old": swapped(scored(3, rows=30_000, champion_noise=1.5))}, "old population"),
        ({"canary_mismatches": 1}, "differ from the model in memory: 1"),
        ({"relative_speed": 0.4}, "speed 0.40"),
        ({"shadow_psi": 0.2, "shadow_nights": 3}, "shadow night"),
    ],
)
def test_every_bound_alone_is_enough_to_refuse(change: dict[str, Any], said: str) -> None:
    judgement = judge_challenger(replace(GOOD, **change), POLICY)
    assert judgement.outcome is Outcome.REFUSE
    assert said in judgement.reason


def test_a_segment_that_is_proven_worse_refuses_and_a_small_one_does_not() -> None:
    worse = scored(4, rows=8000, champion_noise=0.2, challenger_noise=2.0)
    target = np.concatenate([GOOD.judging.target, worse.target])
    sides = [np.concatenate([getattr(GOOD.judging, side), getattr(worse, side)]) for side in ("champion", "challenger")]
    judging = from_probabilities(target, *sides)
    rows = np.arange(len(target)) >= len(GOOD.judging.target)
    lenient = GatePolicy(largest_auc_loss=0.02, largest_points_psi=10)
    large = judge_challenger(replace(GOOD, judging=judging, segments={"region=west": rows}), lenient)
    assert any(one["name"] == "segment region=west" and one["passed"] is False for one in large.figures["checks"])
    small = np.flatnonzero(rows)[:20]
    few = judge_challenger(replace(GOOD, segments={"region=west": np.isin(np.arange(6000), small)}), POLICY)
    assert few.outcome is Outcome.PROMOTE


def test_points_that_move_too_far_refuse() -> None:
    moved = expit(logit(GOOD.judging.challenger) + 1.0)
    judging = from_probabilities(GOOD.judging.target, GOOD.judging.champion, moved)
    assert "PSI" in judge_challenger(replace(GOOD, judging=judging), POLICY).reason


def test_records_that_swap_in_must_not_be_worse_than_those_that_swap_out() -> None:
    target = np.zeros(4000)
    target[:400] = 1
    champion, challenger = np.full(4000, 0.05), np.full(4000, 0.05)
    champion[:300], challenger[3000:3300] = 0.9, 0.9  # bad ones swap in, good ones swap out
    judging = from_probabilities(target, champion, challenger)
    judgement = judge_challenger(replace(GOOD, judging=judging, cut_off=450.0), POLICY)
    assert "300 records (300 bad) would be accepted instead" in judgement.reason


def test_a_held_portfolio_keeps_a_passed_challenger_waiting() -> None:
    assert judge_challenger(GOOD, POLICY, held=True).outcome is Outcome.UNDECIDED


def test_the_first_model_is_promoted_and_a_worse_one_is_not() -> None:
    assert judge_candidate({"roc_auc": 0.7}, None, least_auc=0.6).promoted
    assert judge_candidate({"roc_auc": 0.696}, {"roc_auc": 0.7}).promoted
    assert not judge_candidate({"roc_auc": 0.694}, {"roc_auc": 0.7}).promoted
    assert not judge_candidate({"roc_auc": 0.9}, None, held=True).promoted


def test_the_paired_interval_of_the_auc_holds_the_truth_as_often_as_it_says() -> None:
    truth = 0.0
    held = 0
    for seed in range(200):
        random = np.random.default_rng(seed)
        target = (random.random(400) < 0.3).astype(float)
        shared = target + random.normal(0, 1.5, 400)
        one = compare_auc(target, shared + random.normal(0, 1, 400), shared + random.normal(0, 1, 400), confidence=0.95)
        held += one.low <= truth <= one.high
    assert 180 <= held <= 199  # 190 expected


def test_the_areas_are_those_of_scikit_learn() -> None:
    judging = GOOD.judging
    found = compare_auc(judging.target, judging.champion, judging.challenger, confidence=0.95)
    assert found.champion == pytest.approx(roc_auc_score(judging.target, judging.champion), abs=1e-12)
    assert found.challenger == pytest.approx(roc_auc_score(judging.target, judging.challenger), abs=1e-12)


def test_equal_models_differ_by_nothing() -> None:
    judging = GOOD.judging
    for compared in (compare_auc, compare_brier, compare_calibration):
        one = compared(judging.target, judging.champion, judging.champion, confidence=0.95)
        assert (one.difference, one.low, one.high) == (0.0, 0.0, 0.0)
