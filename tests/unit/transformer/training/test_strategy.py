"""How outcomes are used: probe or whole network, pretraining, seeds, another version's network, the scorecard."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.transformer.books import SCHEMA, make_book
from transformer.branches.branch_mixture import Mixture, branches_of, mix
from transformer.branches.scorecard import Layout, describe, fit_scorecard
from transformer.bundles.trained_model import TrainedModel
from transformer.fitting.examples import Examples
from transformer.network.architecture import NetworkOptions, build_network
from transformer.network.keras_prediction import predict_logits
from transformer.records.column_reading import read_columns
from transformer.records.features import FeatureTransform
from transformer.records.labelled_book import Book
from transformer.training.fitting_strategy import FEW_LABELLED
from transformer.training.model_training import Start, TrainingOptions, train_model


def book_with_few_outcomes() -> Book:
    frame, target, keys = make_book(1600)
    return Book.of(frame, np.where(np.arange(1600) < 300, target, np.nan), keys)


def examples(rows: int) -> tuple[Examples, FeatureTransform]:
    frame, target, _ = make_book(rows)
    arrays, _ = read_columns(frame, SCHEMA)
    transform = FeatureTransform.fit(arrays, SCHEMA, np.arange(rows))
    return Examples(transform.transform(arrays), target, None), transform


@pytest.fixture(scope="module")
def pretrained() -> TrainedModel:
    """Most of its book has no outcome."""
    return train_model(book_with_few_outcomes(), SCHEMA, options=TrainingOptions(epochs=2))


def test_records_without_outcome_are_learnt_from_first(pretrained: TrainedModel) -> None:
    told = pretrained.strategy["pretraining"]
    assert told["done"]
    assert told["rows"] == 1600 - len(pretrained.holdout_keys)
    assert told["last_loss"] < told["first_loss"]


def test_the_whole_network_is_taken_only_where_it_beats_the_probe_by_an_error(pretrained: TrainedModel) -> None:
    compared, gain = pretrained.strategy["compared"], pretrained.strategy["whole_network_gains"]
    assert set(compared) == {"linear probe", "whole network"}
    assert gain["log_loss"] == pytest.approx(compared["linear probe"] - compared["whole network"])
    is_better = gain["log_loss"] > gain["error"] > 0
    assert pretrained.strategy["strategy"] == ("whole network" if is_better else "linear probe")
    mixture = pretrained.strategy["mixture"]
    assert sum(mixture.values()) == pytest.approx(1.0)


def test_without_pretraining_there_is_no_probe() -> None:
    options = TrainingOptions(epochs=1, pretraining=False)
    told = train_model(book_with_few_outcomes(), SCHEMA, options=options).strategy
    assert set(told["compared"]) == {"whole network"}
    assert told["pretraining"] == {"done": False, "why": "as asked"}


def test_a_book_with_many_outcomes_is_fitted_again_on_the_validation_rows_too() -> None:
    frame, target, keys = make_book(2 * FEW_LABELLED)
    model = train_model(Book.of(frame, target, keys), SCHEMA, options=TrainingOptions(epochs=2))
    assert model.strategy["strategy"] == "whole network"
    assert model.strategy["refitted"]["rows"] == model.counts["train"] + model.counts["valid"]


def test_seeds_are_further_heads_on_one_trunk() -> None:
    _, transform = examples(200)
    one, three = (build_network(transform, NetworkOptions(seeds=seeds)) for seeds in (1, 3))
    assert three.output_shape[-1] == 3 * one.output_shape[-1]
    assert three.count_params() < 3 * one.count_params()


def test_a_start_keeps_the_bins_and_sizes_of_the_network_it_starts_from(trained: TrainedModel) -> None:
    frame, target, keys = make_book(400, seed=9)
    frame["amount"] *= 50.0
    start = Start(trained.network, trained.transform, trained.network_options)
    again = train_model(Book.of(frame, target, keys), SCHEMA, start=start, options=TrainingOptions(epochs=1, seeds=4))
    np.testing.assert_array_equal(again.transform.edges["amount"], trained.transform.edges["amount"])
    bare = {"oblivious": 0, "combinations": 0}  # trees are fitted anew
    assert replace(again.network_options, **bare) == replace(trained.network_options, **bare)
    assert not again.strategy["pretraining"]["done"]


def test_the_scorecard_in_the_network_gives_the_scorecards_logits() -> None:
    labelled, transform = examples(500)
    layout = Layout.of(transform)
    design = describe(labelled.inputs, layout)
    card = fit_scorecard(design, labelled.target, None, 0.1)
    network = build_network(transform)
    mix(network, Mixture(0.0, 0.0, 1.0), card)
    np.testing.assert_allclose(predict_logits(network, labelled.inputs), card.logits(design), atol=2e-5)


def test_a_mixture_in_the_network_is_the_weighted_sum_of_its_ways() -> None:
    labelled, transform = examples(300)
    design = describe(labelled.inputs, Layout.of(transform))
    card = fit_scorecard(design, labelled.target, None, 0.1)
    network = build_network(transform)
    members = network.predict(labelled.inputs, verbose=0)
    half = members.shape[1] // 2
    branches = np.stack([members[:, :half].mean(axis=1), members[:, half:].mean(axis=1)], axis=1)
    mixture = Mixture(0.6, 0.2, 0.2)
    mix(network, mixture, card)
    expected = mixture.join(branches_of(branches, {"scorecard": card.logits(design)}))
    np.testing.assert_allclose(predict_logits(network, labelled.inputs), expected, atol=2e-5)


def test_class_weights_do_not_move_the_probabilities() -> None:
    frame, target, keys = make_book(1500)
    rare = np.where((target == 1) & (np.arange(1500) % 4 > 0), np.nan, target)
    model = train_model(Book.of(frame, rare, keys), SCHEMA, options=TrainingOptions(epochs=2, class_weights=True))
    share = np.nanmean(rare)
    assert model.reference_probabilities.mean() == pytest.approx(share, abs=0.05)


def test_a_part_of_a_book_keeps_what_belongs_to_its_records() -> None:
    frame, target, keys = make_book(50)
    entity = np.array([f"e{row}" for row in range(50)], dtype=object)
    part = Book.of(frame, target, keys, entity=entity).part(np.array([3, 7]))
    assert part.keys.tolist() == ["k3", "k7"]
    assert part.groups.tolist() == ["e3", "e7"]
    assert part.as_of is None
