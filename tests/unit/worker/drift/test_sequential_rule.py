"""The sequential rule: what adds up to an alarm, and limits that follow from the portfolio's own quiet nights."""

import numpy as np
import pytest

from worker.drift.alarm_limits import LEAST_HISTORY, are_outdated, describe_history, set_limits
from worker.drift.sequential_rule import AlarmLimits, NightFigures, run_rule

LIMITS = AlarmLimits(0.05, 0.1, 0.15, 0.158, 0.24, 0.36, 0, 0.9, 0.05, 5000, 5000)


def nights(*figures: tuple[float, float]) -> list[NightFigures]:
    return [NightFigures(job_id, *one) for job_id, one in enumerate(figures, start=1)]


def test_a_large_shift_raises_the_alarm_on_the_first_night() -> None:
    state = run_rule(nights((0.0, 0.0), (0.25, 0.0)), LIMITS)
    assert (state.raised, state.new, state.since_job) == (True, True, 2)


@pytest.mark.parametrize("shift", [0.32, -0.32])
def test_a_shift_of_the_mean_adds_up_in_either_direction(shift: float) -> None:
    assert not run_rule(nights((0.0, shift)), LIMITS).raised
    assert run_rule(nights((0.0, shift), (0.0, shift)), LIMITS).raised


def test_a_difference_below_the_allowance_never_adds_up_however_certain_it_is() -> None:
    assert not run_rule(nights(*[(0.04, 0.15)] * 1000), LIMITS).raised


def test_an_alarm_lasts_while_the_shift_does_and_ends_soon_after() -> None:
    during = nights(*[(0.3, 0.5)] * 50)
    state = run_rule(during, LIMITS)
    assert (state.raised, state.new, state.since_job) == (True, False, 1)
    assert not run_rule([*during, *nights(*[(0.0, 0.0)] * 6)], LIMITS).raised


def test_without_nights_nothing_is_raised() -> None:
    assert not run_rule([], LIMITS).raised


def history(deviation: float, autocorrelation: float, count: int = 200, seed: int = 4) -> list[NightFigures]:
    random, shift, found = np.random.default_rng(seed), 0.0, []
    for job_id in range(count):
        shift = autocorrelation * shift + np.sqrt(1 - autocorrelation**2) * random.normal(0, deviation)
        found.append(NightFigures(job_id, 0.0, shift))
    return found


def limits(past: list[NightFigures], n_current: int = 20_000) -> AlarmLimits:
    return set_limits(past, n_reference=20_000, n_current=n_current, bins=11, watch_psi=0.1, quiet_years=3.0)


def test_restless_nights_of_the_past_make_the_limits_wider() -> None:
    quiet, restless = limits(history(0.02, 0.5)), limits(history(0.2, 0.9))
    assert quiet.shift_limit == pytest.approx(0.24)
    assert restless.shift_limit > 2 * quiet.shift_limit
    assert restless.psi_limit > quiet.psi_limit


def test_the_same_history_gives_the_same_limits() -> None:
    assert limits(history(0.1, 0.5)) == limits(history(0.1, 0.5))


@pytest.mark.parametrize("autocorrelation", [0.0, 0.5, 0.9])
def test_autocorrelation_and_deviation_are_estimated_at_the_careful_end(autocorrelation: float) -> None:
    shifts = [one.shift for one in history(0.1, autocorrelation, count=120)]
    found, deviation = describe_history(shifts, 1_000_000)
    assert autocorrelation - 0.05 <= found <= autocorrelation + 0.2
    assert 0.07 <= deviation <= 0.2


def test_a_short_history_is_taken_for_a_restless_one() -> None:
    assert describe_history([0.0] * (LEAST_HISTORY - 1), 20_000)[0] == 0.9


def test_limits_are_set_anew_when_the_history_has_doubled_or_the_book_changed() -> None:
    first = limits([])
    assert not are_outdated(first, nights=LEAST_HISTORY - 1, n_current=20_000)
    assert are_outdated(first, nights=LEAST_HISTORY, n_current=20_000)
    assert are_outdated(first, nights=1, n_current=50_000)
