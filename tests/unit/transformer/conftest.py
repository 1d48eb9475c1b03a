"""One small model that every test of this folder may read."""

import pytest

from tests.unit.transformer.books import SCHEMA, make_book
from transformer.bundles.trained_model import TrainedModel
from transformer.records.labelled_book import Book
from transformer.scoring.scorer import Scorer
from transformer.training.model_training import TrainingOptions, train_model


@pytest.fixture(scope="session")
def trained() -> TrainedModel:
    """A model of three epochs on 900 records."""
    frame, target, keys = make_book(900)
    return train_model(Book.of(frame, target, keys), SCHEMA, options=TrainingOptions(epochs=3))


@pytest.fixture(scope="session")
def scorer(trained: TrainedModel) -> Scorer:
    """The scorer of that model, in batches of 256 rows."""
    return Scorer(trained, "m1", batch_rows=256)
