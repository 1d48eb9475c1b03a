"""Finer edges are tried in middling books, and taken where records nearly repeat."""

import numpy as np
import pytest

from tests.unit.transformer.books import SCHEMA, make_book
from transformer.bundles.trained_model import TrainedModel
from transformer.fitting.options import EpochReport
from transformer.network.compiled_network import CompiledNetwork
from transformer.network.keras_prediction import predict_logits
from transformer.records.column_reading import read_columns
from transformer.records.features import BINS, FINE_BINS, FeatureTransform
from transformer.records.labelled_book import Book
from transformer.training.model_training import TrainingOptions, train_model

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]  # it trains on a whole book twice

CUSTOMERS, REPEATS = 610, 5  # as many as make a middling book


@pytest.fixture(scope="module")
def repeating() -> Book:
    """Each customer stands there five times, with nearly the same amount and one outcome, which is chance."""
    random = np.random.default_rng(2)
    frame, _, _ = make_book(CUSTOMERS)
    frame = frame.loc[np.repeat(np.arange(CUSTOMERS), REPEATS)].reset_index(drop=True)
    frame["amount"] *= random.normal(1.0, 0.001, len(frame))
    target = np.repeat((random.random(CUSTOMERS) < 0.4).astype(float), REPEATS)
    return Book.of(frame, target, np.array([f"k{row}" for row in range(len(frame))], dtype=object))


@pytest.fixture(scope="module")
def stages() -> list[str]:
    """The stages that were told while training, in order, each once."""
    return []


@pytest.fixture(scope="module")
def trained(repeating: Book, stages: list[str]) -> TrainedModel:
    """Trained with the schedules that such a book gets."""

    def listen(report: EpochReport) -> None:
        if report.stage not in stages:
            stages.append(report.stage)

    options = TrainingOptions(refit=False, holdout_share=0.05, trees=False)
    return train_model(repeating, SCHEMA, options=options, on_epoch=listen)


def test_whoever_looks_on_is_told_what_is_tried(trained: TrainedModel, stages: list[str]) -> None:
    assert stages == ["training", "training (finer edges)"]


def test_they_are_taken_where_records_nearly_repeat(trained: TrainedModel) -> None:
    told = trained.strategy["edges"]
    gain = told["finer_edges_gain"]
    assert gain["log_loss"] > gain["error"] > 0
    assert told["bins"] == trained.transform.bins == FINE_BINS
    assert max(len(edges) for edges in trained.transform.edges.values()) > BINS + 1


def test_the_compiled_network_knows_them(trained: TrainedModel, repeating: Book) -> None:
    compiled = CompiledNetwork.of(trained.network, trained.transform)
    assert compiled is not None
    arrays, _ = read_columns(repeating.records.take(np.arange(200)), SCHEMA)
    inputs = trained.transform.transform(arrays)
    np.testing.assert_allclose(compiled.run(inputs)[0], predict_logits(trained.network, inputs), rtol=0, atol=2e-5)


def test_the_transform_keeps_them(trained: TrainedModel) -> None:
    again = FeatureTransform.from_document(trained.transform.to_document())
    assert again.bins == FINE_BINS
    old = {name: value for name, value in trained.transform.to_document().items() if name != "bins"}
    assert FeatureTransform.from_document(old).bins == BINS


def test_they_are_not_tried_where_the_user_says_how_long_to_train(repeating: Book) -> None:
    told = train_model(repeating, SCHEMA, options=TrainingOptions(epochs=1, refit=False, trees=False)).strategy
    assert told["edges"] == {"bins": BINS}
