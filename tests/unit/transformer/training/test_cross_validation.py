"""Folds: every record is scored once by a network that has not seen it, an entity or the future."""

import numpy as np

from tests.unit.transformer.books import SCHEMA, make_book
from transformer.records.labelled_book import Book
from transformer.training.cross_validation import NEVER, cross_validate, cut_book
from transformer.training.model_training import TrainingOptions


def test_every_record_is_in_one_fold_and_records_of_an_entity_are_in_the_same() -> None:
    frame, target, keys = make_book(300)
    entity = np.array([f"e{number % 40}" for number in range(300)], dtype=object)
    folds = cut_book(Book.of(frame, target, keys, entity=entity), 4)
    assert set(folds.ids.tolist()) == {0, 1, 2, 3}
    assert all(len(set(folds.ids[entity == one].tolist())) == 1 for one in set(entity.tolist()))
    plain = cut_book(Book.of(frame, target, keys), 4)
    assert min(np.bincount(plain.ids)) > 40


def test_by_time_a_fold_is_later_than_all_it_is_learnt_from() -> None:
    frame, target, keys = make_book(300)
    as_of = np.array([f"2024-{1 + number % 12:02d}-01" for number in range(300)], dtype=object)
    folds = cut_book(Book.of(frame, target, keys, as_of=as_of), 3)
    for fold in range(3):
        assert max(as_of[folds.ids < fold]) < min(as_of[folds.ids == fold])
    assert (folds.ids == NEVER).sum() > 0


def test_every_outcome_is_predicted_once() -> None:
    frame, target, keys = make_book(300)
    book = Book.of(frame, target, keys)
    found = cross_validate(book, SCHEMA, cut_book(book, 2), options=TrainingOptions(epochs=1), on_batch=lambda: None)
    assert sum(found["records"]) == 300
    auc = found["figures"]["roc_auc"]
    assert len(auc["values"]) == 2
    assert auc["low"] < auc["high"]
