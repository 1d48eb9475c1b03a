"""The three parts of the labelled records."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from transformer.records.splitting import Labelled, Parts, split_labelled

ROWS = 1000
RANDOM = np.random.default_rng(0)
KEYS = np.array([f"k{row}" for row in range(ROWS)], dtype=object)
TARGET = (RANDOM.random(ROWS) < 0.2).astype(float)


def split(order: np.ndarray | None = None, as_of: np.ndarray | None = None) -> Parts:
    rows = np.arange(ROWS) if order is None else order
    return split_labelled(Labelled(rows, TARGET[rows], KEYS[rows], as_of), valid_share=0.12, holdout_share=0.15)


def test_the_parts_are_disjoint_whole_and_of_the_wanted_sizes() -> None:
    parts = split()
    assert sorted(np.concatenate([parts.train, parts.valid, parts.holdout])) == list(range(ROWS))
    assert (len(parts.valid), len(parts.holdout)) == (120, 150)


def test_every_part_has_the_same_share_of_bad_outcomes() -> None:
    parts = split()
    for part in (parts.train, parts.valid, parts.holdout):
        assert abs(TARGET[part].mean() - TARGET.mean()) < 0.01


@given(st.integers(0, 2**32 - 1))
def test_a_record_stays_in_its_part_however_the_records_are_ordered(seed: int) -> None:
    shuffled = split(np.random.default_rng(seed).permutation(ROWS))
    assert set(shuffled.holdout) == set(split().holdout)
    assert set(shuffled.valid) == set(split().valid)


def test_with_dates_the_latest_are_held_out_and_no_date_is_on_both_sides() -> None:
    as_of = np.array([f"2026-{1 + row % 10:02d}" for row in range(ROWS)], dtype=object)
    parts = split(as_of=as_of)
    assert set(as_of[parts.holdout]) == {"2026-10"}
    assert "2026-10" not in set(as_of[parts.train]) | set(as_of[parts.valid])


def test_records_of_one_entity_are_on_one_side_and_stay_there() -> None:
    entity = np.array([f"customer {row % 200}" for row in range(ROWS)], dtype=object)
    rows, shares = np.arange(ROWS), {"valid_share": 0.12, "holdout_share": 0.15}
    parts = split_labelled(Labelled(rows, TARGET, KEYS, entity=entity), **shares)
    sides = [set(entity[part].tolist()) for part in (parts.train, parts.valid, parts.holdout)]
    assert sum(map(len, sides)) == 200
    assert [len(side) for side in sides] == [146, 24, 30]
    renamed = np.array([f"other {key}" for key in KEYS], dtype=object)
    again = split_labelled(Labelled(rows, TARGET, renamed, entity=entity), **shares)
    assert set(again.holdout) == set(parts.holdout)
