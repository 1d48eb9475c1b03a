"""When outcomes differ from what scores had said, by enough and surely enough."""

import pytest

from worker.gate.outcome_deviation import (
    LEAST_EXPECTED,
    Level,
    find_deviation,
    newest_level,
    tell_difference,
    tell_order_loss,
)


@pytest.mark.parametrize(
    "level",
    [
        Level(0, 0, 0.0),
        Level(1_000, 29, 10.0),  # too few
        Level(100_000, 11_000, 10_000.0),  # sure, but small
        Level(1_000, 45, 36.0),  # large, but a chance matter
        Level(40, 40, 40.0),
    ],
)
def test_a_small_or_unsure_difference_is_none(level: Level) -> None:
    assert tell_difference(level) is None


@pytest.mark.parametrize("level", [Level(1_000, 90, 50.0), Level(1_000, 10, 50.0), Level(500, 30, 0.0)])
def test_a_large_and_sure_difference_is_told_with_its_numbers(level: Level) -> None:
    result = tell_difference(level)
    assert result is not None
    assert f"{level.bad} of {level.outcomes:,}" in result


def test_the_newest_nights_are_judged_alone_when_they_hold_enough() -> None:
    nights = [Level(500, int(LEAST_EXPECTED), 10.0), Level(500, 0, 400.0)]
    assert newest_level(nights) == nights[0]
    assert newest_level([Level(100, 5, 4.0), *nights]).outcomes == 600


def ordered(auc: float, *, bad: int = 100, error: float = 0.01, expected: float = 0.75) -> Level:
    return Level(1_000, bad, float(bad), auc, error, expected)


@pytest.mark.parametrize(
    "levels",
    [
        [ordered(0.71)],  # sure, but small: less than a fifth of the way to chance
        [ordered(0.68, error=0.03)],  # large, but a chance matter
        [ordered(0.5, bad=99)],  # too few
        [ordered(0.5, bad=9)] * 20,  # each night says nothing
        [Level(1_000, 100, 100.0)],
        [ordered(0.74, bad=100), ordered(0.5)],  # the newest nights are enough
    ],
)
def test_scores_that_still_order_the_outcomes_are_no_alarm(levels: list[Level]) -> None:
    assert tell_order_loss(levels) is None


def test_scores_that_order_the_outcomes_less_well_are_told_with_their_figures_though_the_level_is_right() -> None:
    levels = [ordered(0.66, bad=60), ordered(0.64, bad=60)]
    assert tell_difference(newest_level(levels)) is None
    found = find_deviation(levels)
    assert found.is_known
    assert found.told is not None
    assert "ROC AUC 0.650 instead of 0.750" in found.told


def test_without_enough_outcomes_nothing_is_known() -> None:
    assert not find_deviation([]).is_known
    assert not find_deviation([Level(1_000, 29, 10.0)]).is_known


def test_a_shift_by_a_fifth_is_found_in_many_small_nights_although_none_of_them_shows_it() -> None:
    small = [Level(500, 36, 30.0)] * 17
    assert tell_difference(newest_level(small)) is None
    assert find_deviation(small[:5]).told is None
    assert "612 of 8,500" in (find_deviation(small).told or "")


def test_a_tenth_is_no_reason_to_learn_again_however_sure_it_is() -> None:
    assert find_deviation([Level(100_000, 11_000, 10_000.0)]).told is None
