"""A new champion that outcomes have proven is taken back by outcomes, not because the world moves."""

from dataclasses import replace

import pytest

from db.portfolios.retraining_policy import RetrainingPolicy
from worker.gate.probation import Probation, is_taken_back

POLICY = RetrainingPolicy()
UNPROVEN = Probation(has_previous=True, nights=1, days=0)
PROVEN = replace(UNPROVEN, is_proven=True, outcome_nights=1, outcome_days=30)


def test_a_drifted_first_night_takes_back_what_nobody_has_proven() -> None:
    assert is_taken_back(UNPROVEN, POLICY)
    assert is_taken_back(replace(UNPROVEN, outcome_nights=1, outcome_days=1, was_moving=True), POLICY)


def test_without_a_previous_champion_nothing_is_taken_back() -> None:
    assert not is_taken_back(replace(UNPROVEN, has_previous=False), POLICY)


def test_a_proven_champion_is_left_to_its_outcomes() -> None:
    assert not is_taken_back(PROVEN, POLICY)


@pytest.mark.parametrize(
    ("nights", "days", "is_back"), [(5, 150, False), (60, 30, False), (6, 31, True), (None, None, True)]
)
def test_outcomes_that_come_too_late_leave_the_decision_to_the_drifted_night(
    nights: int | None, days: int | None, *, is_back: bool
) -> None:
    """Five nights or thirty days, whichever are more, are soon enough."""
    late = replace(PROVEN, outcome_nights=nights, outcome_days=days)
    assert is_taken_back(late, POLICY) is is_back
    assert not is_taken_back(replace(late, was_moving=True), POLICY)


@pytest.mark.parametrize(("nights", "days", "is_back"), [(1, 90, True), (2, 31, False), (5, 30, True), (6, 6, False)])
def test_a_probation_ends_with_its_nights_or_a_month_but_never_before_the_first_night(
    nights: int, days: int, *, is_back: bool
) -> None:
    assert is_taken_back(replace(UNPROVEN, nights=nights, days=days), POLICY) is is_back
