"""When outcomes differ from what scores had said, by enough and surely enough."""

import pytest

from worker.gate.outcome_deviation import LEAST_EXPECTED, Level, newest_level, tell_difference


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
