"""A plan never judges a challenger by what it, or anything earlier than it, was learned from."""

import numpy as np
import pytest

from worker.learning.lesson_plan import first_date_of_latest, plan_training

DAYS = np.array([f"2026-01-{day:02d}" for day in range(1, 11)])


def plan_for(new_days: np.ndarray, old: int = 200):
    dates = np.concatenate([new_days, np.full(old, "")])
    is_new = np.arange(len(dates)) < len(new_days)
    order = np.random.default_rng(1).random(len(dates))
    return dates, plan_training(dates, is_new, ~is_new, order)


def test_the_judging_part_is_later_than_everything_trained_on() -> None:
    dates, plan = plan_for(np.repeat(DAYS, 20))
    assert plan.learned_date < plan.judging_date == "2026-01-08"
    assert min(dates[plan.stop].tolist()) > max(dates[plan.learn].tolist())
    assert min(dates[plan.judging].tolist()) > max(dates[plan.stop].tolist())


def test_no_record_has_two_parts_and_no_new_one_is_left_out() -> None:
    _, plan = plan_for(np.repeat(DAYS, 20))
    parts = (plan.learn, plan.stop, plan.judging, plan.replay, plan.old_judging)
    together = np.concatenate(parts)
    assert len(np.unique(together)) == len(together)
    assert sum(map(len, parts[:3])) == 200


def test_outcomes_of_one_date_are_judged_by_a_share_that_nothing_learns_from() -> None:
    _, plan = plan_for(np.repeat(DAYS[:1], 500))
    assert plan.is_random
    assert plan.judging_date == plan.learned_date == "2026-01-01"
    assert 150 < len(plan.judging) < 250
    assert min(len(plan.learn), len(plan.stop)) > 50
    assert not set(plan.judging) & {*plan.learn.tolist(), *plan.stop.tolist()}


def test_a_date_that_holds_nearly_all_new_outcomes_is_shared_between_learning_and_judging() -> None:
    _, plan = plan_for(np.concatenate([np.repeat(DAYS[:1], 20), np.repeat(DAYS[1:2], 480)]))
    assert plan.is_random
    assert len(plan.learn) + len(plan.stop) > 250


@pytest.mark.parametrize(("share", "first"), [(0.05, "2026-01-10"), (0.5, "2026-01-06"), (0.999, "2026-01-02")])
def test_the_latest_share_is_of_whole_dates_and_never_all_of_them(share: float, first: str) -> None:
    assert first_date_of_latest(np.repeat(DAYS, 3), share) == first
