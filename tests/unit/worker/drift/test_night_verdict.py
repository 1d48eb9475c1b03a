"""One night's verdict: a population shift is distinguished from a broken pipeline, and a declared effect from both."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from db.portfolios.definition import ScoreScale
from db.portfolios.monitoring_policy import CalendarEffect, MonitoringPolicy
from db.schema.states import Verdict
from transformer.scoring.points import BANDS
from worker.drift.band_migration import BANDS as MIGRATION_BANDS
from worker.drift.band_migration import describe_migration, stuart_maxwell
from worker.drift.night_verdict import NightEvidence, PreviousNight, Reference, examine_night
from worker.drift.sequential_rule import AlarmLimits, NightFigures

POLICY = MonitoringPolicy(calendar=(CalendarEffect("pay_day", days=(25,)),))
LIMITS = AlarmLimits(0.05, 0.1, 0.15, 0.158, 0.24, 0.36, 0, 0.9, 0.05, 5000, 3000)
FIELDS = {"age": [50, 0, 400, 450, 500, 600, 2000, 1000], "region": [0, 10, 90, 2000, 2000, 900]}


def points_of(mean: float, count: int, seed: int) -> dict[str, int]:
    values, counts = np.unique(np.random.default_rng(seed).normal(mean, 40, count).round(), return_counts=True)
    return {str(int(value)): int(number) for value, number in zip(values, counts, strict=True)}


def counts_of(mean: float = 600, count: int = 3000, seed: int = 2, **changes: Any) -> dict[str, Any]:
    return {"points": points_of(mean, count, seed), "unscorable": 5, "fields": FIELDS, "segments": {}} | changes


def evidence(counts: dict[str, Any], **changes: Any) -> NightEvidence:
    reference = Reference("training", counts_of(seed=1, count=5000))
    return replace(NightEvidence(7, counts, reference, ScoreScale(), LIMITS), **changes)


def verdict_of(counts: dict[str, Any], **changes: Any) -> tuple[Verdict, str]:
    found = examine_night(evidence(counts, **changes), POLICY)
    return found.verdict, "; ".join(found.figures["reasons"])


@pytest.mark.parametrize(
    ("mean", "verdict"), [(600, Verdict.STABLE), (588, Verdict.WATCH), (575, Verdict.DRIFTED), (640, Verdict.DRIFTED)]
)
def test_the_verdict_follows_the_size_of_the_shift(mean: float, verdict: Verdict) -> None:
    assert verdict_of(counts_of(mean))[0] is verdict


def test_a_small_shift_that_stays_raises_the_alarm_within_five_nights() -> None:
    history: list[NightFigures] = []
    verdicts: list[Verdict] = []
    for night in range(5):
        found = examine_night(evidence(counts_of(587, seed=10 + night), history=history, job_id=night), POLICY)
        assert found.series is not None
        history.append(found.series)
        verdicts.append(found.verdict)
    assert verdicts[0] is not Verdict.DRIFTED
    assert verdicts[-1] is Verdict.DRIFTED


def test_fewer_than_200_scores_are_insufficient_however_far_they_are() -> None:
    verdict, why = verdict_of(counts_of(500, count=150))
    assert verdict is Verdict.INSUFFICIENT
    assert "150 scores" in why


def test_no_scores_are_insufficient() -> None:
    assert verdict_of(counts_of(points={}))[0] is Verdict.INSUFFICIENT


CANARY = {"records": 100, "mismatches": 0, "largest_difference": 0.0}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"canary": CANARY | {"mismatches": 3, "largest_difference": 0.25}}, "3 of 100 canary records"),
        ({"fields": FIELDS | {"age": [5000, 0, 0, 0, 0, 0, 0, 0]}}, "age is missing in 100.0%"),
    ],
)
def test_a_broken_pipeline_is_told_whatever_the_scores_say(changes: dict[str, Any], expected: str) -> None:
    for mean in (600, 560):
        verdict, why = verdict_of(counts_of(mean, **changes))
        assert verdict is Verdict.BROKEN_PIPELINE
        assert expected in why


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"fields": FIELDS | {"age": [950, 0, 300, 350, 400, 400, 1500, 1100]}}, "age is missing in 19.0%"),
        ({"fields": FIELDS | {"age": [0, 0, 0, 0, 0, 5000, 0, 0]}}, "age holds one value or range in 100.0%"),
    ],
)
def test_a_suspicion_is_told_makes_a_quiet_night_one_to_watch_and_hides_no_drift(
    changes: dict[str, Any], expected: str
) -> None:
    for mean, verdict in ((600, Verdict.WATCH), (560, Verdict.DRIFTED)):
        found = examine_night(evidence(counts_of(mean, **changes)), POLICY)
        assert (found.verdict, found.faults) == (verdict, {})
        assert expected in found.figures["reasons"][0]
        assert found.figures["reasons"][0] in found.figures["suspicions"].values()


@pytest.mark.parametrize("share", [0.2, 0.5, 1.0])
def test_numbers_outside_the_trained_range_are_drift_whatever_their_share(share: float) -> None:
    outside = [50, round(4950 * share), *(round(one * (1 - share)) for one in FIELDS["age"][2:])]
    found = examine_night(evidence(counts_of(fields=FIELDS | {"age": outside})), POLICY)
    assert (found.verdict, found.faults) == (Verdict.WATCH, {})
    assert f"age is not seen in training in {share * 0.99:.1%}" in "; ".join(found.figures["reasons"])


def test_what_a_person_called_honest_is_not_held_against_a_later_night() -> None:
    gaps = counts_of(fields=FIELDS | {"age": [950, 0, 300, 350, 400, 400, 1500, 1100]})
    found = examine_night(evidence(gaps), POLICY)
    assert list(found.suspicions) == ["age: missing"]
    later = examine_night(evidence(gaps, settled=set(found.suspicions)), POLICY)
    assert (later.suspicions, later.figures["settled"]) == ({}, ["age: missing"])
    assert not any("missing" in reason for reason in later.figures["reasons"])
    broken = counts_of(canary=CANARY | {"mismatches": 1, "largest_difference": 0.1})
    assert examine_night(evidence(broken, settled={"canary"}), POLICY).verdict is Verdict.BROKEN_PIPELINE


def test_a_broken_night_is_not_added_up() -> None:
    broken = counts_of(560, canary=CANARY | {"mismatches": 1, "largest_difference": 1e-6})
    assert examine_night(evidence(broken), POLICY).series is None


def test_a_canary_may_differ_by_what_the_portfolio_allows() -> None:
    canary = CANARY | {"mismatches": 4, "largest_difference": 1e-6}
    lenient = replace(POLICY, canary_tolerance=2e-6)
    assert examine_night(evidence(counts_of(canary=canary)), POLICY).verdict is Verdict.BROKEN_PIPELINE
    assert examine_night(evidence(counts_of(canary=canary)), lenient).verdict is Verdict.STABLE


def test_a_column_that_moved_alone_is_watched() -> None:
    moved = counts_of(fields=FIELDS | {"age": [50, 0, 2000, 1000, 500, 600, 400, 450]})
    verdict, why = verdict_of(moved)
    assert verdict is Verdict.WATCH
    assert "the column age moved" in why


def test_a_segment_that_moved_alone_is_watched() -> None:
    before = {"sex": {"1": {"points": points_of(600, 900, 3)}, "2": {"points": points_of(600, 900, 4)}}}
    after = {"sex": {"1": {"points": points_of(600, 900, 5)}, "2": {"points": points_of(560, 900, 6)}}}
    reference = Reference("training", counts_of(seed=1, count=5000, segments=before))
    found = examine_night(evidence(counts_of(segments=after), reference=reference), POLICY)
    assert found.verdict is Verdict.WATCH
    assert found.figures["reasons"][0].startswith("the segment sex = 2 moved")
    assert found.figures["segments"]["sex"]["1"]["psi_corrected"] < 0.02


def test_a_declared_effect_is_not_added_up_and_never_an_alarm_at_first() -> None:
    found = examine_night(evidence(counts_of(560), effect="pay_day"), POLICY)
    assert (found.verdict, found.series) == (Verdict.WATCH, None)


def test_a_declared_effect_is_compared_with_the_last_night_of_its_kind() -> None:
    last = Reference("calendar", counts_of(560, seed=9), 3)
    assert verdict_of(counts_of(560), effect="pay_day", same_day=last)[0] is Verdict.STABLE
    verdict, why = verdict_of(counts_of(520), effect="pay_day", same_day=last)
    assert verdict is Verdict.DRIFTED
    assert "against the previous pay_day (job 3)" in why


def test_the_night_before_and_the_migration_between_bands_are_told() -> None:
    counts = counts_of(migration={"A": {"A": 90, "B": 10}, "B": {"B": 100}})
    found = examine_night(
        evidence(counts, previous=PreviousNight(6, counts_of(seed=8), has_same_model=True)), POLICY
    ).figures
    assert found["previous"]["job"] == 6
    assert found["previous"]["psi_corrected"] < 0.02
    migration = found["migration"]
    assert (migration["matched"], migration["mean_move"]) == (200, 0.05)
    assert migration["moved_share"] == pytest.approx(0.05)
    assert found["expected"]["bad_rate"] == pytest.approx(found["expected"]["reference_bad_rate"], rel=0.1)


def test_marginal_homogeneity_equals_stuarts_own_example() -> None:
    vision = np.array(
        [[1520, 266, 124, 66], [234, 1512, 432, 78], [117, 362, 1772, 205], [36, 82, 179, 492]], dtype=float
    )
    statistic, degrees = stuart_maxwell(vision)
    assert (statistic, degrees) == (pytest.approx(11.957, abs=0.001), 3)


def test_two_bands_make_the_test_mcnemars() -> None:
    statistic, degrees = stuart_maxwell(np.array([[50.0, 30.0], [10.0, 60.0]]))
    assert (statistic, degrees) == (pytest.approx((30 - 10) ** 2 / (30 + 10)), 1)


def test_records_that_all_stay_in_their_band_make_no_case() -> None:
    found = describe_migration({"C": {"C": 10}, "D": {"D": 5}})
    assert found is not None
    assert (found.moved_share, found.statistic, found.p_value) == (0.0, 0.0, 1.0)
    assert describe_migration({}) is None


def test_the_bands_are_those_of_the_scorecard() -> None:
    assert MIGRATION_BANDS == BANDS
