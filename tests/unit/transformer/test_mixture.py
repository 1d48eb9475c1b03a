"""The mixture of the ways: sharp where rows tell them apart, the middle where they do not."""

import numpy as np
import pytest

from transformer.scorecard import Mixture, all_mixtures, choose_mixture


def outcomes(rows: int) -> tuple[np.random.Generator, "np.ndarray[tuple[int], np.dtype[np.float64]]"]:
    random = np.random.default_rng(1)
    return random, (random.random(rows) < 0.5).astype(np.float64)


def test_where_one_way_knows_it_alone_counts() -> None:
    random, target = outcomes(20_000)
    noise = random.normal(size=(20_000, 2))
    assert choose_mixture(noise, 4 * target - 2, target) == Mixture(0.0, 0.0, 1.0)


def test_ways_that_say_the_same_count_as_the_mean_of_all_mixtures() -> None:
    random, target = outcomes(100)
    same = random.normal(size=100)
    found = choose_mixture(np.stack([same, same], axis=1), same, target)
    assert (found.attention, found.direct, found.scorecard) == pytest.approx((1 / 3, 1 / 3, 1 / 3))


@pytest.mark.parametrize("ways", [1, 2])
def test_the_shares_add_up_to_one(ways: int) -> None:
    random, target = outcomes(300)
    found = choose_mixture(random.normal(size=(300, ways)), target + random.normal(size=300), target)
    assert found.attention + found.direct + found.scorecard == pytest.approx(1)
    assert all(one.direct == 0 for one in all_mixtures(1))
    assert found.direct == 0 or ways == 2
