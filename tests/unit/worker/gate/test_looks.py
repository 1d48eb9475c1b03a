"""However often a challenger is looked at, a worse one passes as seldom as is permitted."""

import numpy as np
import pytest
from scipy.stats import norm

from worker.gate.looks import FIRST_SHARE, Look, always_valid_reach


def test_the_first_look_is_an_ordinary_one_sided_test_with_most_of_the_error() -> None:
    assert Look(is_first=True, bad=500, least_bad=100, error=0.05).reach == pytest.approx(norm.isf(0.05 * FIRST_SHARE))


def test_a_later_look_reaches_further_the_less_error_is_permitted() -> None:
    later = [Look(is_first=False, bad=500, least_bad=100, error=error).reach for error in (0.2, 0.05, 0.01)]
    assert later == sorted(later)
    assert later[0] > Look(is_first=True, bad=500, least_bad=100, error=0.2).reach


@pytest.mark.parametrize("error", [0.2, 0.05])
def test_a_walk_without_drift_leaves_the_interval_at_any_time_as_seldom_as_is_permitted(error: float) -> None:
    random = np.random.default_rng(1)
    nights = np.arange(1, 401)
    reach = np.array([always_valid_reach(number / 30, error) for number in nights])
    walks = random.standard_normal((4000, len(nights))).cumsum(axis=1) / np.sqrt(nights)
    left = float((walks > reach).any(axis=1).mean())
    assert 0.2 * error < left <= error
    naive = float((walks > norm.isf(error)).any(axis=1).mean())
    assert naive > 3 * error, "which the usual interval does far more often"
