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


def test_outcomes_of_one_date_leave_nothing_to_judge_by() -> None:
    _, plan = plan_for(np.repeat(DAYS[:1], 50))
    assert len(plan.judging) == 0
    assert min(len(plan.learn), len(plan.stop)) > 0


@pytest.mark.parametrize(("share", "first"), [(0.05, "2026-01-10"), (0.5, "2026-01-06"), (0.999, "2026-01-02")])
def test_the_latest_share_is_of_whole_dates_and_never_all_of_them(share: float, first: str) -> None:
    assert first_date_of_latest(np.repeat(DAYS, 3), share) == first
