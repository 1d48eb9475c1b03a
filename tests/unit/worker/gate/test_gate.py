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
from worker.gate.exam import Evidence, Scored, Slopes
from worker.gate.judgement import MOST_LOOKS, Outcome, judge_challenger

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
    slopes=Slopes(champion=1.0, challenger=1.0, error=0.01),
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
        ({"slopes": Slopes(1.0, 0.85, 0.01)}, "0.850"),
        ({"slopes": Slopes(1.0, 1.15, 0.01)}, "1.150"),
        ({"slopes": None}, "unknown"),
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


@pytest.mark.parametrize("slopes", [Slopes(1.0, 0.85, 0.05), Slopes(0.6, 0.8, 0.01)])
def test_a_slope_that_may_lie_within_the_limits_or_is_nearer_to_one_than_the_champions_does_not_refuse(
    slopes: Slopes,
) -> None:
    assert judge_challenger(replace(GOOD, slopes=slopes), POLICY).outcome is Outcome.PROMOTE


def test_a_refit_may_have_another_slope_only_if_its_brier_score_is_proven_better() -> None:
    """Where the world has just changed, it has hardly seen what it is judged by."""
    far = replace(GOOD, slopes=Slopes(1.0, 1.5, 0.01), is_refit=True)
    assert judge_challenger(far, POLICY).outcome is Outcome.PROMOTE
    unproven = replace(far, judging=scored(champion_noise=0.42, challenger_noise=0.4))
    judgement = judge_challenger(unproven, POLICY)
    assert judgement.outcome is Outcome.REFUSE
    assert "calibration slope 1.500" in judgement.reason


def equal_models(seed: int = 1, rows: int = 6000) -> Scored:
    """Both models know as much of the truth, each with a noise of its own."""
    return scored(seed, rows, champion_noise=0.4, challenger_noise=0.4)


def test_a_challenger_without_proof_stays_in_the_race_until_it_was_looked_at_often_enough() -> None:
    same = from_probabilities(GOOD.judging.target, GOOD.judging.champion, GOOD.judging.champion)
    judgement = judge_challenger(replace(GOOD, judging=same), POLICY)
    assert judgement.outcome is Outcome.UNDECIDED
    assert "stays in the race: neither ROC AUC nor Brier score is proven better" in judgement.reason
    last = judge_challenger(replace(GOOD, judging=same, looks=MOST_LOOKS - 1), POLICY)
    assert last.outcome is Outcome.REFUSE


def test_a_refit_that_is_a_little_better_is_promoted_and_another_challenger_as_good_is_not() -> None:
    little = scored(5, 30_000, champion_noise=0.45, challenger_noise=0.44)
    assert judge_challenger(replace(GOOD, judging=little, is_refit=True), POLICY).outcome is Outcome.PROMOTE
    assert judge_challenger(replace(GOOD, judging=little), POLICY).outcome is Outcome.UNDECIDED


def test_a_refit_that_may_be_much_worse_for_all_that_is_known_is_not_promoted() -> None:
    few = equal_models(0, 900)
    judgement = judge_challenger(replace(GOOD, judging=few, is_refit=True), replace(POLICY, least_bad=50))
    assert judgement.outcome is Outcome.UNDECIDED
    assert "its interval must not reach below -0.005" in judgement.reason


def test_a_refit_is_not_judged_by_records_that_it_has_learned_from() -> None:
    worse = swapped(scored(3, rows=30_000, champion_noise=1.5))
    nobody = worse.part(np.zeros(0, dtype=int))
    judgement = judge_challenger(replace(GOOD, old=nobody, is_refit=True), POLICY)
    assert judgement.outcome is Outcome.PROMOTE
    assert any(one["name"] == "old_population" and one["passed"] is None for one in judgement.figures["checks"])


def test_records_drawn_from_the_newest_date_may_judge_though_others_of_it_were_learned_from() -> None:
    one_date = replace(GOOD, learned_date="2026-01-02", is_random_part=True)
    assert judge_challenger(one_date, POLICY).outcome is Outcome.PROMOTE


def test_whom_the_judgement_is_valid_for_is_said() -> None:
    said = judge_challenger(replace(GOOD, population="of the accepted alone"), POLICY).reason
    assert said.endswith("; of the accepted alone")


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


def test_points_that_move_far_pass_only_where_the_champions_are_proven_wrong() -> None:
    champion = expit(logit(GOOD.judging.challenger) + 1.0)
    earned = from_probabilities(GOOD.judging.target, champion, GOOD.judging.challenger)
    assert judge_challenger(replace(GOOD, judging=earned), POLICY).outcome is Outcome.PROMOTE
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
