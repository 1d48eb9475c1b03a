"""Records are dealt into folds evenly, whole entities together, or by date with earlier stretches known alone."""

import numpy as np
import pytest

from transformer.records.learning_folds import LearningFolds
from transformer.records.splitting import Labelled

ROWS = 400


def labelled(**more: object) -> Labelled:
    target = (np.arange(ROWS) % 5 == 0).astype(np.float64)
    keys = np.array([f"k{row}" for row in range(ROWS)], dtype=object)
    return Labelled(np.arange(ROWS), target, keys, **more)  # type: ignore[arg-type]


def test_both_outcomes_are_dealt_evenly_and_by_the_key() -> None:
    book = labelled()
    folds = LearningFolds.deal(book)
    assert np.bincount(folds.ids[book.target == 1]).tolist() == [20] * 4
    assert np.bincount(folds.ids[book.target == 0]).tolist() == [80] * 4
    back = np.arange(ROWS)[::-1]
    turned = Labelled(book.rows, book.target[back], book.keys[back])
    np.testing.assert_array_equal(LearningFolds.deal(turned).ids, folds.ids[back])


def test_records_of_one_entity_are_in_one_fold() -> None:
    entity = np.array([f"e{row // 7}" for row in range(ROWS)], dtype=object)
    ids = LearningFolds.deal(labelled(entity=entity)).ids
    for one in np.unique(entity):
        assert len(np.unique(ids[entity == one])) == 1
    assert len(np.unique(ids)) == 4


def test_a_stretch_of_time_knows_earlier_ones_alone() -> None:
    dates = np.array([f"2026-{1 + row % 10:02d}-01" for row in range(ROWS)], dtype=object)
    folds = LearningFolds.deal(labelled(as_of=dates))
    assert folds.in_order
    pairs = folds.pairs()
    assert len(pairs) == 4  # the first of five stretches is learnt from alone
    for learn, look in pairs:
        assert dates[learn].max() < dates[look].min()


def test_without_dates_every_row_is_looked_at_once_by_who_has_not_learnt_from_it() -> None:
    pairs = LearningFolds.deal(labelled()).pairs()
    assert sorted(np.concatenate([look for _, look in pairs]).tolist()) == list(range(ROWS))
    assert all(not set(learn) & set(look) for learn, look in pairs)


@pytest.mark.parametrize("rows", [np.array([3, 9, 11]), np.arange(ROWS) % 3 == 0])
def test_some_of_the_records_keep_their_folds(rows: np.ndarray) -> None:
    folds = LearningFolds.deal(labelled())
    np.testing.assert_array_equal(folds.take(rows).ids, folds.ids[rows])
