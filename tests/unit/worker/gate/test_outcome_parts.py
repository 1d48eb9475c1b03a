"""A part of a night whose outcomes are wrong stands out; parts of a right night do so hardly ever."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from worker.gate.outcome_parts import (
    BACKWARDS,
    MISSING,
    TOO_BAD,
    TOO_GOOD,
    OddPart,
    Parts,
    find_odd_parts,
    parts_of_names,
    parts_of_numbers,
)

RECORDS = 4_000


def night(seed: int, *, rate: float = -2.2, spread: float = 1.0) -> tuple[np.ndarray, np.ndarray, dict[str, Parts]]:
    random = np.random.default_rng(seed)
    truth = expit(rate + random.normal(0, spread, RECORDS))
    regions = pd.Series(random.choice(["north", "south", "east", "west"], RECORDS))
    parts = {"region": parts_of_names(regions), "age": parts_of_numbers(random.normal(40, 10, RECORDS))}
    parts |= {f"field {one}": parts_of_numbers(random.normal(size=RECORDS)) for one in range(30)}
    return truth, (random.random(RECORDS) < truth).astype(float), parts


def test_right_nights_have_hardly_ever_a_part_that_stands_out() -> None:
    found = [find_odd_parts(*night(seed)) for seed in range(40)]
    assert sum(bool(one) for one in found) == 0


@pytest.mark.parametrize("odds", [1 / 3, 3.0])
def test_a_night_that_is_harder_or_easier_as_a_whole_has_no_odd_part(odds: float) -> None:
    for seed in range(10):
        truth, _, parts = night(seed)
        outcome = (np.random.default_rng(seed).random(RECORDS) < expit(logit(truth) + np.log(odds))).astype(float)
        assert find_odd_parts(truth, outcome, parts) == []


@pytest.mark.parametrize(("value", "how"), [(None, TOO_BAD), (1.0, TOO_BAD), (0.0, TOO_GOOD)])
def test_a_region_whose_outcomes_are_inverted_or_all_alike_stands_out(value: float | None, how: str) -> None:
    truth, outcome, parts = night(1)
    is_north = parts["region"].codes == list(parts["region"].names).index("north")
    outcome[is_north] = 1 - outcome[is_north] if value is None else value
    assert f"region north {how}" in [one.sign for one in find_odd_parts(truth, outcome, parts)]


def test_a_part_with_as_many_bad_as_good_is_found_by_its_order() -> None:
    truth, outcome, parts = night(2, rate=0.0)
    is_young = parts["age"].codes == 0
    outcome[is_young] = 1 - outcome[is_young]
    (found,) = [one for one in find_odd_parts(truth, outcome, parts) if one.sign.startswith("age")]
    assert (found.sign, found.how) == (f"age 0 {BACKWARDS}", BACKWARDS)
    assert "backwards" in found.told


def test_wrong_outcomes_that_no_field_names_are_found_among_the_safest_records() -> None:
    truth, outcome, _ = night(3, rate=-3.0, spread=1.2)
    is_wrong = np.random.default_rng(3).random(RECORDS) < 0.2
    outcome[is_wrong] = 1 - outcome[is_wrong]
    assert "score too_bad" in [one.sign for one in find_odd_parts(truth, outcome, {})]


def test_rare_names_are_one_part_and_missing_values_another() -> None:
    names = parts_of_names(pd.Series([*(["a"] * 5), None, *(f"rare {one}" for one in range(40))], dtype="object"))
    assert names.names[names.codes[0]] == "a"
    assert names.names[names.codes[-1]] == "others"
    numbers = parts_of_numbers(np.array([1.0, np.nan, 2.0, 3.0, 3.0]))
    assert numbers.names[numbers.codes[1]] == MISSING
    assert len(np.unique(numbers.codes)) == 4


def test_a_part_is_told_with_its_numbers() -> None:
    one = OddPart("region is north", TOO_BAD, "region north too_bad", 1_200, 300, 41.2)
    assert one.told == "where region is north, 300 of 1,200 outcomes are bad; expected were 41"
