"""The trigger asks for a fine-tuning only when there is something to learn and nothing speaks against it."""

from dataclasses import replace

import pytest

from db.portfolios.retraining_policy import RetrainingPolicy, WhenDrifted, WithoutOutcomes
from db.schema.states import Verdict
from worker.gate.outcome_deviation import Deviation
from worker.gate.retraining_rules import (
    Answer,
    Situation,
    answer_drift,
    count_in_month,
    is_calm,
    is_due_for_refresh,
)

READY = Situation(
    is_held=False,
    is_in_flight=False,
    has_challenger=False,
    nights_since_last=None,
    nights_since_training=None,
    days_since_last=0,
    failures=0,
    fine_tunings_this_month=0,
    new_bad_outcomes=300,
)
POLICY = RetrainingPolicy()


def test_a_drifted_night_with_enough_new_outcomes_asks_for_a_fine_tuning() -> None:
    assert answer_drift(READY, POLICY)[0] is Answer.FINE_TUNE


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"is_held": True}, "on hold"),
        ({"is_in_flight": True}, "already running"),
        ({"has_challenger": True}, "challenger"),
        ({"nights_since_last": 6}, "6 of 7"),
        ({"nights_since_last": 13, "failures": 2}, "13 of 14"),
        ({"fine_tunings_this_month": 4}, "limit"),
        ({"new_bad_outcomes": 299}, "299"),
    ],
)
def test_anything_that_speaks_against_it_makes_it_an_alert(change: dict[str, object], said: str) -> None:
    answer, why = answer_drift(replace(READY, **change), POLICY)  # type: ignore[arg-type]
    assert answer is Answer.ALERT
    assert said in why


def test_a_portfolio_may_ask_for_alerts_alone() -> None:
    assert answer_drift(READY, RetrainingPolicy(when_drifted=WhenDrifted.ALERT))[0] is Answer.ALERT


def test_without_outcomes_the_policy_may_ask_for_pretraining() -> None:
    policy = RetrainingPolicy(without_outcomes=WithoutOutcomes.PRETRAIN)
    assert answer_drift(replace(READY, new_bad_outcomes=0), policy)[0] is Answer.PRETRAIN


def test_every_failure_in_a_row_doubles_the_cool_down_until_it_is_four_times_as_long() -> None:
    assert [POLICY.cool_down(failures) for failures in (0, 1, 2, 3, 4, 20)] == [7, 7, 14, 28, 28, 28]


def test_the_cool_down_of_a_monthly_book_passes_by_its_calendar() -> None:
    assert answer_drift(replace(READY, nights_since_last=1, days_since_last=30), POLICY)[0] is Answer.FINE_TUNE


@pytest.mark.parametrize(("failures", "least"), [(0, 0), (1, 2), (2, 4), (9, 4)])
def test_alarms_that_no_training_cures_wait_for_nights_of_the_new_model_also_in_a_monthly_book(
    failures: int, least: int
) -> None:
    monthly = replace(READY, nights_since_last=9, days_since_last=270, failures=failures)
    assert answer_drift(replace(monthly, nights_since_training=least), POLICY)[0] is Answer.FINE_TUNE
    if least:
        answer, why = answer_drift(replace(monthly, nights_since_training=least - 1), POLICY)
        assert answer is Answer.ALERT
        assert f"{least - 1} of {least} nights since the last training" in why


def test_without_a_cool_down_no_alarm_waits() -> None:
    assert RetrainingPolicy(cool_down_nights=0).nights_between(5) == 0
    assert RetrainingPolicy(cool_down_nights=1).nights_between(1) == 1


def test_a_refit_without_an_alarm_waits_until_the_last_trainings_model_was_tried() -> None:
    due = {"known": 1_000, "new": 1_000, "new_bad": 500}
    assert not is_due_for_refresh(POLICY, **due, nights_since_training=1)
    assert is_due_for_refresh(POLICY, **due, nights_since_training=2)


DIFFERS, MATCHES, UNKNOWN = Deviation(is_known=True, told="more are bad"), Deviation(is_known=True), Deviation()


@pytest.mark.parametrize(
    ("verdict", "deviation", "has_outcomes", "is_over", "is_quiet"),
    [
        (Verdict.WATCH, MATCHES, True, False, True),
        (Verdict.DRIFTED, MATCHES, True, True, False),
        (Verdict.STABLE, DIFFERS, True, True, False),
        (Verdict.STABLE, UNKNOWN, True, True, False),
        (Verdict.STABLE, UNKNOWN, False, True, True),
        (Verdict.STABLE, UNKNOWN, False, False, False),
        (Verdict.WATCH, UNKNOWN, False, True, False),
    ],
)
def test_alarms_are_over_when_outcomes_match_the_scores_or_without_outcomes_after_a_cool_down(
    verdict: Verdict, deviation: Deviation, *, has_outcomes: bool, is_over: bool, is_quiet: bool
) -> None:
    found = is_calm(verdict, deviation, has_outcomes=has_outcomes, is_cool_down_over=is_over)
    assert found is is_quiet


def test_trainings_of_the_last_thirty_days_are_counted() -> None:
    assert count_in_month([0, 29, 30, 31]) == 2


@pytest.mark.parametrize(("new", "new_bad", "is_due"), [(3000, 300, True), (2999, 300, False), (3000, 249, False)])
def test_a_refit_is_due_when_the_outcomes_have_grown_by_a_quarter(new: int, new_bad: int, *, is_due: bool) -> None:
    assert is_due_for_refresh(POLICY, known=12_000, new=new, new_bad=new_bad) is is_due
    assert not is_due_for_refresh(RetrainingPolicy(refresh=None), known=12_000, new=new, new_bad=new_bad)
