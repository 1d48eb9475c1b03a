"""The trigger asks for a fine-tuning only when there is something to learn and nothing speaks against it."""

from dataclasses import replace

import pytest

from db.portfolios.retraining_policy import RetrainingPolicy, WhenDrifted, WithoutOutcomes
from worker.monitoring.retraining_trigger import Answer, Situation, answer_drift, cool_down_nights

READY = Situation(
    is_held=False,
    is_in_flight=False,
    has_challenger=False,
    nights_since_last=None,
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


def test_every_failure_in_a_row_doubles_the_cool_down() -> None:
    assert [cool_down_nights(POLICY, failures) for failures in (0, 1, 2, 3, 4)] == [7, 7, 14, 28, 56]
