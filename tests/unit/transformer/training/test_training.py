"""Training: it learns, it is reproducible, it leaves out what it may not see."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.unit.transformer.books import SCHEMA, make_book
from transformer.bundles.trained_model import TrainedModel
from transformer.errors import TrainingDataError
from transformer.fitting.options import FittingOptions
from transformer.records.labelled_book import Book
from transformer.records.record_store import FileStore, RecordWriter
from transformer.training.model_training import TrainingOptions, train_model

QUICK = TrainingOptions(epochs=2)


def book(rows: int = 400, seed: int = 1) -> Book:
    return Book.of(*make_book(rows, seed))


@pytest.fixture(scope="module")
def told() -> list[tuple[str, int]]:
    """Stages and epochs as they were told while `usual` was trained."""
    return []


@pytest.fixture(scope="module")
def usual(told: list[tuple[str, int]]) -> TrainedModel:
    """What others are held against: trained once, on the usual book."""
    return train_model(book(), SCHEMA, options=QUICK, on_epoch=lambda one: told.append((one.stage, one.epoch)))


def test_it_learns(trained: TrainedModel) -> None:
    assert trained.metrics["roc_auc"] > 0.75
    assert trained.metrics["log_loss"] < 0.6
    assert set(trained.metrics) >= {"roc_auc", "pr_auc", "ks", "brier", "log_loss", "accuracy"}


def test_the_same_records_and_seed_give_the_same_weights(usual: TrainedModel) -> None:
    one, other = usual, train_model(book(), SCHEMA, options=QUICK)
    for mine, theirs in zip(one.network.get_weights(), other.network.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert one.calibration == other.calibration


def test_a_book_in_a_file_gives_the_same_weights_and_report_as_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transformer.records.record_store.CHUNK_ROWS", 150)
    frame, target, keys = make_book(400)
    writer = RecordWriter(tmp_path, most_bytes=1000)
    for start in range(0, 400, 130):
        writer.append(frame.iloc[start : start + 130].reset_index(drop=True))
    stored = Book(writer.close(), target, keys)
    assert isinstance(stored.records, FileStore)
    one, other = (train_model(each, SCHEMA, options=QUICK) for each in (book(), stored))
    for mine, theirs in zip(one.network.get_weights(), other.network.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert one.preparation == other.preparation
    np.testing.assert_array_equal(one.reference_probabilities, other.reference_probabilities)


def test_another_seed_gives_other_weights(usual: TrainedModel) -> None:
    other = train_model(book(), SCHEMA, options=replace(QUICK, seed=QUICK.seed + 1))
    assert (usual.network.get_weights()[0] != other.network.get_weights()[0]).any()


def test_records_without_outcome_and_unreadable_ones_are_left_out_and_counted() -> None:
    frame, target, keys = make_book(400)
    target[:100] = np.nan
    frame = frame.astype("object")
    frame.loc[100:109, "amount"] = "?"
    counts = train_model(Book.of(frame, target, keys), SCHEMA, options=QUICK).counts
    assert (counts["rows"], counts["labelled"], counts["left_out_problems"]) == (400, 290, 10)
    assert counts["train"] + counts["valid"] + counts["holdout"] == 290


def test_the_held_out_part_is_not_learnt_from(usual: TrainedModel) -> None:
    frame, target, keys = make_book(400)
    is_held_out = np.isin(keys, usual.holdout_keys)
    changed = np.where(is_held_out, 1.0 - target, target)
    frame.loc[is_held_out, "amount"] = 1e9
    # Both classes' numbers must stay, or the split by class would choose other records.
    again = train_model(Book.of(frame, np.where(is_held_out, target, changed), keys), SCHEMA, options=QUICK)
    for mine, theirs in zip(usual.network.get_weights(), again.network.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(("rows", "bad"), [(30, 15), (200, 3), (200, 200)])
def test_too_little_to_learn_from_is_said_with_the_numbers(rows: int, bad: int) -> None:
    frame, _, keys = make_book(rows)
    target = np.array([1.0] * bad + [0.0] * (rows - bad))
    with pytest.raises(TrainingDataError, match=f"got {rows} with {bad} bad and {rows - bad} good"):
        train_model(Book.of(frame, target, keys), SCHEMA, options=QUICK)


@pytest.mark.usefixtures("usual")
def test_every_epoch_is_told(told: list[tuple[str, int]]) -> None:
    folds = [epoch for stage, epoch in told if stage == "cross-validation"]
    assert sorted(folds) == sorted([1, 2] * (len(folds) // 2))  # two folds run side by side
    assert told[len(folds) :] == [("refitting", epoch) for epoch in range(1, len(told) - len(folds) + 1)]
    assert 0 < len(folds) < len(told)


@pytest.mark.parametrize("rows", [10, 50, 1000, 20_000, 1_000_000])
def test_every_size_of_book_gets_steps_enough(rows: int) -> None:
    options = FittingOptions.for_rows(rows, epochs=None, seed=1)
    steps = options.epochs * -(-rows // options.batch_rows)
    assert steps >= 300
    assert options.patience < options.epochs
