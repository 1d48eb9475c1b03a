"""The mixture of the branches: sharp where rows tell them apart, the middle where they do not."""

import numpy as np
import pytest

from transformer.branches.branch_mixture import Mixture, all_shares, choose_mixture


def outcomes(rows: int) -> tuple[np.random.Generator, "np.ndarray[tuple[int], np.dtype[np.float64]]"]:
    random = np.random.default_rng(1)
    return random, (random.random(rows) < 0.5).astype(np.float64)


@pytest.mark.parametrize("knowing", ["attention", "direct", "scorecard", "trees"])
def test_where_one_way_knows_it_alone_counts(knowing: str) -> None:
    random, target = outcomes(20_000)
    branches = {name: random.normal(size=20_000) for name in ("attention", "direct", "scorecard", "trees")}
    branches[knowing] = 4 * target - 2
    expected = {name: float(name == knowing) for name in branches}
    assert choose_mixture(branches, target) == Mixture(**expected)


def test_ways_that_say_the_same_count_as_the_mean_of_all_mixtures() -> None:
    random, target = outcomes(100)
    same = random.normal(size=100)
    found = choose_mixture(dict.fromkeys(("attention", "direct", "scorecard", "trees"), same), target)
    assert (found.attention, found.direct, found.scorecard, found.trees) == pytest.approx((1 / 4,) * 4)


@pytest.mark.parametrize("names", [("attention",), ("attention", "scorecard"), ("attention", "scorecard", "trees")])
def test_the_shares_add_up_to_one_and_an_absent_way_has_none(names: tuple[str, ...]) -> None:
    random, target = outcomes(300)
    branches = {name: target + random.normal(size=300) for name in names}
    found = choose_mixture(branches, target)
    assert found.attention + found.scorecard + found.trees == pytest.approx(1)
    assert found.direct == 0
    np.testing.assert_allclose(found.join(branches), sum(getattr(found, name) * branches[name] for name in names))


@pytest.mark.parametrize(("branches", "count"), [(1, 1), (2, 6), (3, 21), (4, 56)])
def test_shares_are_tried_in_fifths_each_once(branches: int, count: int) -> None:
    shares = all_shares(branches)
    assert shares.shape == (count, branches)
    assert len(np.unique(shares, axis=0)) == count
    np.testing.assert_allclose(shares.sum(axis=1), 1)
