"""What the loop does next, and when: a pure function of numbers."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from db.portfolios.retraining_policy import GatePolicy, RetrainingPolicy, WhenDrifted, WithoutOutcomes
from db.retraining.expected_dates import Arrival
from db.retraining.next_look import LoopState, NextKind, WaitingChallenger, next_look, tell_next
from worker.gate import retraining_rules

# A refit needs a quarter more outcomes, and 10 bad ones to be judged by.
POLICY = RetrainingPolicy(refresh=0.25, cool_down_nights=7, least_bad_outcomes=300, gate=GatePolicy(least_bad=4))
NO_REFRESH = replace(POLICY, refresh=None)
FIRST = date(2026, 11, 1)
NIGHTS = tuple(FIRST + timedelta(days=day) for day in range(10))  # one a day, until 10 November
# 30 outcomes a day, 3 of them bad, until 11 November.
ARRIVALS = tuple(Arrival(FIRST + timedelta(days=day), 30, 3) for day in range(11))
QUIET = LoopState("m1", learned_records=1_000, new_outcomes=130, new_bad=13, nights=NIGHTS, arrivals=ARRIVALS)


def test_growing_outcomes_lead_to_a_refresh_on_the_day_that_their_rate_gives() -> None:
    look = next_look(QUIET, POLICY)
    assert (look.kind, look.outcomes_needed, look.expected_date) == (NextKind.REFRESH, 120, date(2026, 11, 15))
    assert tell_next(look) == "Next look: after 120 more outcomes, expected 15 November 2026."
    assert "130 of 250 are new since 1,000 were learned from" in look.why


def test_outcomes_that_come_once_a_month_give_the_same_date_as_those_that_come_daily() -> None:
    monthly = (Arrival(date(2026, 9, 11), 5_000, 500), Arrival(date(2026, 11, 10), 1_800, 180))
    look = next_look(replace(QUIET, arrivals=monthly), POLICY)
    assert look.expected_date == date(2026, 11, 14)  # 1,800 in 60 days are 30 a day


def test_no_date_is_promised_before_the_first_outcome() -> None:
    look = next_look(replace(QUIET, arrivals=()), POLICY)
    assert (look.outcomes_needed, look.expected_date) == (120, None)
    assert tell_next(look) == "Next look: after 120 more outcomes, date unknown."


def test_one_date_of_outcomes_is_measured_from_the_first_night() -> None:
    look = next_look(replace(QUIET, arrivals=(Arrival(date(2026, 11, 11), 300, 30),)), POLICY)
    assert look.expected_date == date(2026, 11, 15)  # 300 in 10 days
    at_once = replace(QUIET, arrivals=(Arrival(FIRST, 300, 30),))
    assert next_look(at_once, POLICY).expected_date is None


def test_outcomes_that_are_overdue_are_not_expected_in_the_past() -> None:
    look = next_look(replace(QUIET, nights=(*NIGHTS, date(2026, 12, 24))), POLICY)
    assert look.expected_date == date(2026, 12, 24)


def test_enough_outcomes_are_looked_at_with_the_next_night() -> None:
    look = next_look(replace(QUIET, new_outcomes=250), POLICY)
    assert (look.kind, look.nights_needed, look.expected_date) == (NextKind.REFRESH, 1, date(2026, 11, 11))


def test_a_new_model_is_tried_before_growing_outcomes_bring_the_next_refit() -> None:
    look = next_look(replace(QUIET, new_outcomes=250, nights_since_training=0), POLICY)
    assert (look.kind, look.nights_needed, look.expected_date) == (NextKind.COOL_DOWN, 2, date(2026, 11, 12))
    assert "0 of 2 nights since the last training" in look.why
    tried = next_look(replace(QUIET, new_outcomes=250, nights_since_training=2), POLICY)
    assert tried.kind is NextKind.REFRESH


def test_an_alarm_that_follows_others_waits_for_nights_of_the_new_model() -> None:
    """The cool-down is over by the calendar of a monthly book."""
    alarms = replace(QUIET, failures=2, nights_since_last=3, days_since_last=90, nights_since_training=3)
    look = next_look(alarms, NO_REFRESH)
    assert (look.kind, look.nights_needed) == (NextKind.COOL_DOWN, 1)
    assert next_look(replace(alarms, nights_since_training=4), NO_REFRESH).kind is NextKind.ALARM


@pytest.mark.parametrize(("policy", "learned"), [(replace(POLICY, refresh=None), 1_000), (POLICY, None)])
def test_without_a_refresh_only_an_alarm_starts_a_training(policy: RetrainingPolicy, learned: int | None) -> None:
    look = next_look(replace(QUIET, learned_records=learned), policy)
    assert (look.kind, look.expected_date) == (NextKind.ALARM, None)
    assert tell_next(look) == "Next look: at the next alarm; no date is set."


def challenger(version: str = "m2", *, shadow_nights: int = 0, new_bad: int | None = None) -> WaitingChallenger:
    return WaitingChallenger(version, shadow_nights, is_judged=new_bad is not None, new_bad=new_bad or 0)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"champion": None, "running": "job 3 (train, running)"}, NextKind.NO_CHAMPION),
        ({"running": "job 3 (fine-tune, running)", "is_held": True}, NextKind.RUNNING),
        ({"is_held": True, "challengers": [challenger()]}, NextKind.HELD),
    ],
)
def test_what_stops_everything_is_named_first(changes: dict[str, object], kind: NextKind) -> None:
    look = next_look(replace(QUIET, **changes), POLICY)
    assert (look.kind, look.expected_date) == (kind, None)
    assert look.why in tell_next(look)


def test_a_challenger_waits_for_its_shadow_nights_before_it_waits_for_outcomes() -> None:
    waiting = replace(QUIET, challengers=[challenger(shadow_nights=2)])
    look = next_look(waiting, replace(NO_REFRESH, shadow_nights=5))
    assert (look.kind, look.nights_needed, look.expected_date) == (NextKind.SHADOW, 3, date(2026, 11, 13))


def test_a_challenger_that_was_judged_waits_for_bad_outcomes() -> None:
    waiting = replace(QUIET, challengers=[challenger(new_bad=70)])
    look = next_look(waiting, replace(NO_REFRESH, gate=GatePolicy(least_bad=100)))
    assert (look.bad_needed, look.outcomes_needed, look.expected_date) == (30, 300, date(2026, 11, 21))
    expected = "Next look: after 30 more bad outcomes, about 300 outcomes in all, expected 21 November 2026."
    assert tell_next(look) == expected


def test_a_challenger_that_was_never_judged_is_judged_after_the_next_night() -> None:
    assert next_look(replace(QUIET, challengers=[challenger()]), POLICY).nights_needed == 1


def test_of_several_looks_the_earliest_is_named_and_an_unknown_date_last() -> None:
    policy = replace(POLICY, gate=GatePolicy(least_bad=100))
    racing = replace(QUIET, new_bad=250, challengers=[challenger("m2", new_bad=40), challenger("m3", new_bad=94)])
    assert "m3" in next_look(racing, policy).why  # on 13 November; a refit on the 15th, m2 on 1 December
    assert next_look(replace(racing, challengers=racing.challengers[:1]), policy).kind is NextKind.REFRESH
    assert next_look(replace(racing, arrivals=()), policy).kind is NextKind.CHALLENGER


def test_a_refit_waits_for_the_bad_outcomes_that_judge_it() -> None:
    policy = replace(POLICY, gate=GatePolicy(least_bad=20))  # 50 bad ones
    look = next_look(replace(QUIET, new_outcomes=400, new_bad=20), policy)
    assert (look.bad_needed, look.outcomes_needed, look.expected_date) == (30, 300, date(2026, 11, 21))
    assert "20 of 50 bad outcomes that judge it are known" in look.why
    soon = next_look(replace(QUIET, new_bad=49), policy)
    assert (soon.bad_needed, soon.outcomes_needed) == (None, 120)  # the bad one comes before the 120


def test_a_drifted_night_waits_for_bad_outcomes_and_a_policy_of_alerts_does_not() -> None:
    drifted = replace(QUIET, is_drifted=True, drift_bad=270)
    look = next_look(drifted, NO_REFRESH)
    assert (look.kind, look.bad_needed, look.expected_date) == (NextKind.DRIFT, 30, date(2026, 11, 21))
    assert next_look(drifted, replace(NO_REFRESH, when_drifted=WhenDrifted.ALERT)).kind is NextKind.ALARM


def test_a_drifted_night_that_pretrains_waits_for_nothing() -> None:
    policy = replace(POLICY, without_outcomes=WithoutOutcomes.PRETRAIN)
    assert next_look(replace(QUIET, is_drifted=True), policy).kind is NextKind.REFRESH


def test_an_alarm_comes_earlier_only_if_it_may_train() -> None:
    alerts = replace(POLICY, when_drifted=WhenDrifted.ALERT, when_outcomes_differ=WhenDrifted.ALERT)
    held = replace(QUIET, is_held=True)
    found = [next_look(*given).can_come_earlier for given in ((QUIET, POLICY), (QUIET, alerts), (held, POLICY))]
    assert found == [True, False, False]
    assert "alerts only" in next_look(QUIET, replace(alerts, refresh=None)).why


def test_a_cool_down_holds_up_drift_and_no_refit() -> None:
    cooling = replace(QUIET, failures=1, nights_since_last=0)
    look = next_look(cooling, NO_REFRESH)
    assert (look.kind, look.nights_needed, look.expected_date) == (NextKind.COOL_DOWN, 7, date(2026, 11, 17))
    assert next_look(cooling, POLICY).kind is NextKind.REFRESH
    soon = replace(cooling, is_drifted=True, drift_bad=299)
    assert next_look(soon, NO_REFRESH).kind is NextKind.COOL_DOWN
    assert next_look(replace(soon, drift_bad=200), NO_REFRESH).kind is NextKind.DRIFT


def test_a_cool_down_ends_after_its_days_too() -> None:
    cooling = replace(QUIET, failures=1, nights_since_last=1, days_since_last=5)
    assert next_look(cooling, NO_REFRESH).expected_date == date(2026, 11, 12)
    assert next_look(replace(cooling, days_since_last=7), NO_REFRESH).kind is NextKind.ALARM


def test_the_monthly_cap_ends_when_enough_trainings_are_thirty_days_old() -> None:
    trained = [date(2026, 10, 1), *(date(2026, 11, day) for day in (1, 3, 5, 7, 9))]
    look = next_look(replace(QUIET, trained_on=trained), POLICY)
    assert (look.kind, look.expected_date) == (NextKind.MONTHLY_CAP, date(2026, 12, 3))
    assert next_look(replace(QUIET, trained_on=trained[:3]), POLICY).kind is NextKind.REFRESH
    never = next_look(QUIET, replace(POLICY, monthly_cap=0))
    assert (never.kind, never.expected_date) == (NextKind.MONTHLY_CAP, None)


@pytest.mark.parametrize(("new", "new_bad"), [(249, 10), (250, 9), (250, 10), (1_000, 0)])
def test_the_page_and_the_trigger_agree_when_a_refit_is_due(new: int, new_bad: int) -> None:
    look = next_look(replace(QUIET, new_outcomes=new, new_bad=new_bad), POLICY)
    is_due = retraining_rules.is_due_for_refresh(POLICY, known=1_000, new=new, new_bad=new_bad)
    assert (look.nights_needed == 1) == is_due
