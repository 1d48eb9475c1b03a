"""Boosted trees in the network: the library's own logits, the same in Keras and compiled, and interactions found."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from tests.unit.transformer.books import SCHEMA, make_book
from transformer.branches.branch_mixture import copy_branches, plant
from transformer.branches.tree_boosting import Booster, choose_tree_rows, logits_of_trees, rank_names
from transformer.bundles.bundle import load_bundle, save_bundle
from transformer.compiled.network_scorer import CompiledNetwork
from transformer.compiled.tree_scorer import add_up
from transformer.fitting.examples import Examples
from transformer.network.architecture import NetworkOptions, build_network, tree_inputs
from transformer.network.keras_prediction import predict_logits
from transformer.network.tree_layer import LEAVES, NODES, TreeInputs, TreeSum
from transformer.records.column_reading import read_columns
from transformer.records.features import FeatureTransform
from transformer.records.labelled_book import Book
from transformer.training.model_training import TrainingOptions, train_model


def make_examples(rows: int, seed: int = 1) -> tuple[Examples, FeatureTransform]:
    """Records of the book, a tenth of their values missing, bad where amount and age cross."""
    frame, _, _ = make_book(rows, seed)
    random = np.random.default_rng(seed)
    frame = frame.astype("object").mask(random.random(frame.shape) < 0.1)
    arrays, _ = read_columns(frame, SCHEMA)
    transform = FeatureTransform.fit(arrays, SCHEMA)
    inputs = transform.transform(arrays)
    crosses = (inputs["positions"][:, 0] > 8) != (inputs["positions"][:, 1] > 8)
    target = (random.random(rows) < np.where(crosses, 0.8, 0.1)).astype(np.float64)
    return Examples(inputs, target), transform


@pytest.fixture(scope="module")
def examples() -> Examples:
    return make_examples(1500)[0]


@pytest.fixture(scope="module")
def transform() -> FeatureTransform:
    return make_examples(1500)[1]


@pytest.fixture(scope="module")
def booster(transform: FeatureTransform) -> Booster:
    return Booster(tree_inputs(transform), 3, lambda: None)


def test_the_leaves_add_up_to_the_librarys_own_logits(examples: Examples, booster: Booster) -> None:
    ranks = rank_names(booster.asked, examples)
    values = booster.asked.describe(examples.inputs, ranks)
    found = logits_of_trees(booster.fit(examples, 30), booster.asked, examples.inputs)
    model = HistGradientBoostingClassifier(
        max_iter=30, learning_rate=0.05, max_leaf_nodes=LEAVES, min_samples_leaf=20, l2_regularization=5.0,
        max_features=0.5, early_stopping=False, random_state=3,
    ).fit(values, examples.target)  # fmt: skip
    np.testing.assert_allclose(found, model.decision_function(values), atol=1e-5)


def test_a_leaf_is_found_as_by_walking_down_the_tree() -> None:
    random = np.random.default_rng(5)
    values = random.normal(size=(300, 4)).astype(np.float32)
    # ((a > 0) ? leaf 1 or 2 by b : leaf 0), nodes in any order
    column = np.zeros((1, NODES), np.int32)
    threshold, kept = np.full((1, NODES), np.inf, np.float32), np.full((1, NODES), (1 << LEAVES) - 1, np.int32)
    column[0, :2], threshold[0, :2] = (2, 0), (0.5, 0.0)
    kept[0, :2] = (1 << LEAVES) - 1 - 0b010, (1 << LEAVES) - 1 - 0b001
    leaf = np.arange(1, LEAVES + 1, dtype=np.float32)[None]
    found = np.zeros(300)
    add_up(values, column, threshold, kept, leaf, found)
    np.testing.assert_array_equal(found, np.where(values[:, 0] > 0, np.where(values[:, 2] > 0.5, 3, 2), 1))


def test_the_compiled_sum_is_the_plain_one_to_the_bit(examples: Examples, booster: Booster) -> None:
    trees = booster.fit(examples, 10)
    values = booster.asked.describe(examples.inputs, trees.ranks)
    parts = (trees.column, trees.threshold, trees.kept, trees.leaf)
    usual, plain = np.zeros(examples.rows), np.zeros(examples.rows)
    add_up(values, *parts, usual)
    for row in range(examples.rows):
        left = np.full(len(trees), (1 << LEAVES) - 1)
        for node in range(NODES):
            is_above = values[row, trees.column[:, node]] > trees.threshold[:, node]
            left &= np.where(is_above, trees.kept[:, node], (1 << LEAVES) - 1)
        places = [int(one & -one).bit_length() - 1 for one in left]
        plain[row] = sum((trees.leaf[tree, place] for tree, place in enumerate(places)), np.float32(0))
    np.testing.assert_array_equal(usual, plain)


def test_missing_values_can_go_either_way_and_codes_differ() -> None:
    asked = TreeInputs(16, 2, ())
    inputs = {"positions": np.array([[3.0, 0.0]]), "missing": np.array([[0.0, 2.0]])}
    np.testing.assert_array_equal(asked.describe(inputs, np.zeros(0, np.float32)), [[3, -2, 3, 34]])


@pytest.mark.parametrize("direct", [0, 64])
def test_planted_trees_count_for_their_share_in_keras_and_compiled(
    examples: Examples, transform: FeatureTransform, booster: Booster, direct: int
) -> None:
    options = NetworkOptions(direct=direct)
    keras.utils.set_random_seed(1)
    network, trees = build_network(transform, options), booster.fit(examples, 20)
    before = predict_logits(network, examples.inputs)
    planted, larger = plant(network, transform, options, trees, 0.3)
    assert larger == replace(options, trees=20)
    expected = before + 0.3 * logits_of_trees(trees, booster.asked, examples.inputs)
    np.testing.assert_allclose(predict_logits(planted, examples.inputs), expected, atol=2e-5)
    compiled = CompiledNetwork.of(planted, transform)
    assert compiled is not None
    whole = compiled.run(examples.inputs)[0]
    np.testing.assert_allclose(whole, expected, atol=2e-5)
    part = compiled.run({name: values[131:] for name, values in examples.inputs.items()})[0]
    np.testing.assert_array_equal(part, whole[131:])


def test_trees_find_what_sums_do_not(booster: Booster) -> None:
    learn, look = make_examples(3000)[0], make_examples(1500, seed=2)[0]
    grove = booster.choose(learn, look)
    assert 0 < len(grove.trees) <= 400
    assert roc_auc_score(look.target, grove.logits) > 0.8
    np.testing.assert_allclose(grove.logits, logits_of_trees(grove.trees, booster.asked, look.inputs), atol=1e-5)


def test_the_number_of_trees_is_the_one_with_the_least_loss(examples: Examples, booster: Booster) -> None:
    look = make_examples(500, seed=2)[0]
    grove, steps = booster.choose(examples, look), booster.logits_by_count(examples, look, 150)
    losses = [np.logaddexp(0, np.where(look.target == 1, -one, one)).mean() for one in steps]
    assert np.argmin(losses) + 1 == len(grove.trees)


def test_the_same_records_and_seed_give_the_same_trees(examples: Examples, booster: Booster) -> None:
    one, other = booster.fit(examples, 60), booster.fit(examples, 60)
    for mine, yours in zip(vars(one).values(), vars(other).values(), strict=True):
        np.testing.assert_array_equal(mine, yours)


def test_of_a_large_book_some_rows_are_fitted_on() -> None:
    narrow, wide = TreeInputs(16, 5, ()), TreeInputs(16, 1000, ())
    assert len(choose_tree_rows(1000, wide)) == 1000
    assert len(choose_tree_rows(1_000_000, narrow)) == 200_000
    assert len(choose_tree_rows(1_000_000, wide)) == 4000


def test_the_layer_comes_back_from_its_configuration() -> None:
    layer = TreeSum(TreeInputs(16, 3, (4, 5)), 7)
    again = TreeSum.from_config(layer.get_config())
    assert (again.asked, again.trees) == (layer.asked, layer.trees)
    assert not again.trainable


def test_a_model_with_trees_is_saved_and_loaded_as_it_is(tmp_path: Path) -> None:
    frame, _, keys = make_book(3000)
    crossing = ((frame["amount"] > 20) != (frame["age"] > 45)).to_numpy().astype(np.float64)
    model = train_model(Book.of(frame, crossing, keys), SCHEMA, options=TrainingOptions(epochs=1, finer_edges=False))
    assert model.network_options.trees > 0
    assert model.strategy["mixture"]["trees"] > 0.5
    loaded = load_bundle(str(tmp_path), save_bundle(model, str(tmp_path)))
    arrays, _ = read_columns(frame, SCHEMA)
    inputs = model.transform.transform(arrays)
    np.testing.assert_array_equal(predict_logits(loaded.network, inputs), predict_logits(model.network, inputs))


def test_without_trees_there_are_none() -> None:
    frame, target, keys = make_book(400)
    model = train_model(Book.of(frame, target, keys), SCHEMA, options=TrainingOptions(epochs=1, trees=False))
    assert model.network_options.trees == 0
    assert model.strategy["mixture"]["trees"] == 0
    assert "trees" not in model.strategy["validation"]


def test_training_again_begins_without_the_trees_and_the_scorecard(
    examples: Examples, transform: FeatureTransform, booster: Booster
) -> None:
    planted, _ = plant(build_network(transform), transform, NetworkOptions(), booster.fit(examples, 5), 0.5)
    card = planted.get_layer("card_numbers")
    card.set_weights([one + 1 for one in card.get_weights()])
    again = build_network(transform)
    copy_branches(planted, again, is_trained_again=True)
    assert not any(one.any() for one in again.get_layer("card_numbers").get_weights())
    np.testing.assert_array_equal(again.get_layer("head").get_weights()[0], planted.get_layer("head").get_weights()[0])
