"""Boosted trees in the network: the same in Keras, compiled, and walked one by one; interactions that are found."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tests.unit.transformer.books import SCHEMA, make_book
from transformer.branches.branch_mixture import copy_branches, plant
from transformer.branches.tree_boosting import MOST_TREES, Booster, choose_tree_rows, logits_of_trees
from transformer.branches.tree_growth import MOST_BINS, RIDGE, find_question, find_steps
from transformer.bundles.bundle import load_bundle, save_bundle
from transformer.fitting.examples import Examples
from transformer.network.architecture import NetworkOptions, build_network, tree_inputs
from transformer.network.compiled_network import CompiledNetwork
from transformer.network.keras_prediction import predict_logits
from transformer.network.layers.oblivious_trees import DEPTH, ObliviousSum
from transformer.network.layers.tree_columns import TreeInputs, describe
from transformer.network.layers.trees import ALL_LEAVES, LEAVES, NODES, TreeSum
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


def compiled_sum(layer: keras.layers.Layer, examples: Examples) -> np.ndarray:
    inputs = {name: keras.Input(one.shape[1:], name=name, dtype=one.dtype) for name, one in examples.inputs.items()}
    return CompiledNetwork(keras.Model(inputs, layer(inputs))).run(examples.inputs)[0]


def old_trees(asked: TreeInputs, count: int) -> TreeSum:
    """A layer of an older bundle, with trees of chance that ask about its columns."""
    layer, random = TreeSum(asked, count), np.random.default_rng(5)
    layer.build()
    column = random.integers(0, asked.columns, (count, NODES)).astype(np.float32)
    threshold = random.uniform(0, 16, (count, NODES)).astype(np.float32)
    kept = np.stack([[ALL_LEAVES & ~(1 << node) for node in range(NODES)] for _ in range(count)]).astype(np.float32)
    leaf = random.normal(size=(count, LEAVES)).astype(np.float32)
    layer.set_weights([column, threshold, kept, leaf, np.arange(asked.names, dtype=np.float32)])
    return layer


def test_trees_of_older_bundles_are_summed_as_by_striking_off_leaves(examples: Examples, booster: Booster) -> None:
    layer = old_trees(booster.asked, 7)
    column, threshold, kept, leaf, ranks = layer.get_weights()
    values, plain = booster.asked.describe(examples.inputs, ranks), np.zeros(examples.rows)
    for row in range(examples.rows):
        left = np.full(len(leaf), ALL_LEAVES)
        for node in range(NODES):
            is_above = values[row, column[:, node].astype(int)] > threshold[:, node]
            left &= np.where(is_above, kept[:, node].astype(int), ALL_LEAVES)
        places = [int(one & -one).bit_length() - 1 for one in left]
        plain[row] = sum((leaf[tree, place] for tree, place in enumerate(places)), np.float32(0))
    np.testing.assert_array_equal(compiled_sum(layer, examples), plain)
    np.testing.assert_allclose(np.asarray(layer(examples.inputs))[:, 0], plain, atol=1e-5)


def test_the_compiled_sum_is_the_plain_one_to_the_bit(examples: Examples, booster: Booster) -> None:
    trees = booster.fit(examples, 10)
    values = describe(booster.asked, examples.inputs, trees.names)
    plain = np.zeros(examples.rows)
    for row in range(examples.rows):
        total = np.float32(0)
        for tree in range(len(trees)):
            place = 0
            for level in range(DEPTH):
                is_above = values[row, trees.column[tree, level]] > trees.threshold[tree, level]
                place = 2 * place + int(is_above)
            total += trees.leaf[tree, place]
        plain[row] = total
    layer = ObliviousSum(booster.asked, len(trees), len(trees.names.together))
    layer.build()
    layer.set_trees(trees, 1.0)
    np.testing.assert_array_equal(compiled_sum(layer, examples), plain)
    np.testing.assert_allclose(np.asarray(layer(examples.inputs))[:, 0], plain, atol=1e-5)


def test_the_best_question_is_that_of_the_plain_search() -> None:
    """The cosine of leaf means and gradient, tried one by one."""
    random = np.random.default_rng(7)
    rows, columns, leaves = 400, 5, 4
    binned = random.integers(0, 9, (columns, rows)).astype(np.uint8)
    node, weight = random.integers(0, leaves, rows).astype(np.int32), random.uniform(0.5, 2, rows).astype(np.float32)
    gradient = (random.normal(size=rows) + 0.5 * (binned[3] > 4)).astype(np.float32)
    noise = np.zeros((columns, MOST_BINS), np.float32)
    gain, column, cut = find_question(binned, node, gradient, weight, leaves, noise, np.full(columns, 8))
    plain = {}
    for c in range(columns):
        for b in range(8):
            side = 2 * node + (binned[c] > b)
            sums, counts = np.bincount(side, gradient, 8), np.bincount(side, weight, 8)
            means = sums / (counts + RIDGE)
            plain[c, b] = (means * sums).sum() / np.sqrt((means**2 * counts).sum())
    best = max(plain, key=lambda one: plain[one])
    assert (column, cut) == best
    assert gain == pytest.approx(plain[best], rel=1e-4)


def test_a_leafs_step_is_the_ridge_estimate_of_its_records() -> None:
    random = np.random.default_rng(8)
    node, target = np.repeat([3, 40], 300).astype(np.int32), (random.random(600) < 0.2).astype(np.float64)
    logits, leaf = np.full(600, -1.0), np.zeros(64, np.float32)
    find_steps(node, target, np.ones(600, np.float32), logits, 0.5, leaf)
    for one in (3, 40):
        mine = target[node == one]
        step = leaf[one] / 0.5
        slope = (mine - 1 / (1 + np.exp(1.0 - step))).sum()
        assert slope == pytest.approx(0.0, abs=0.1)
    np.testing.assert_allclose(logits, -1.0 + leaf[node])
    assert not leaf[[0, 1, 63]].any()


def test_where_the_bad_event_is_rare_a_step_does_not_go_too_far() -> None:
    """A whole Newton step from a logit of -4 towards a share of a half would be +26."""
    target, logits = np.tile([0.0, 1.0], 100), np.full(200, -4.0)
    leaf = np.zeros(64, np.float32)
    find_steps(np.full(200, 5, np.int32), target, np.ones(200, np.float32), logits, 1.0, leaf)
    assert leaf[5] == pytest.approx(4.0, abs=0.1)


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
    assert larger == replace(options, oblivious=20, combinations=len(trees.names.together))
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
    assert 0 < len(grove.trees) <= MOST_TREES
    assert roc_auc_score(look.target, grove.logits) > 0.8
    np.testing.assert_allclose(grove.logits, logits_of_trees(grove.trees, booster.asked, look.inputs), atol=1e-5)


def test_the_number_of_trees_is_the_one_with_the_least_loss(examples: Examples, booster: Booster) -> None:
    look = make_examples(500, seed=2)[0]
    grove, trees = booster.choose(examples, look), booster.fit(examples, 360)
    losses = []
    for count in range(1, 361):
        logits = logits_of_trees(trees.take(count), booster.asked, look.inputs)
        losses.append(np.logaddexp(0, np.where(look.target == 1, -logits, logits)).mean())
    assert np.argmin(losses) + 1 == len(grove.trees)


def test_in_cross_validation_no_row_is_judged_by_trees_that_have_seen_it(examples: Examples, booster: Booster) -> None:
    """Outcomes that are chance cannot be found by trees that have not learnt them."""
    chance = replace(examples, target=(np.random.default_rng(4).random(examples.rows) < 0.5).astype(np.float64))
    logits, count = booster.cross_validate(chance, chance.folds.pairs())
    assert roc_auc_score(chance.target, logits) < 0.55
    logits, more = booster.cross_validate(examples, examples.folds.pairs())
    assert roc_auc_score(examples.target, logits) > 0.75
    assert count < more


def test_one_thread_and_two_give_the_same_trees(examples: Examples, booster: Booster, monkeypatch: Any) -> None:
    one = booster.fit(examples, 5)
    monkeypatch.setattr("transformer.branches.tree_boosting.WORTH_A_THREAD", 0)
    two = booster.fit(examples, 5)
    np.testing.assert_array_equal(one.leaf, two.leaf)
    np.testing.assert_array_equal(one.threshold, two.threshold)


def test_pairs_of_names_that_say_more_together_are_asked_about() -> None:
    """Bad where two names agree, whatever they are: neither says anything alone."""
    random, rows = np.random.default_rng(6), 6000
    ids = random.integers(2, 12, (rows, 3)).astype(np.int32)
    target = (random.random(rows) < np.where(ids[:, 0] % 2 == ids[:, 2] % 2, 0.7, 0.1)).astype(np.float64)
    learn, look = (Examples({"categories": ids[part]}, target[part]) for part in (slice(4000), slice(4000, None)))
    asked = TreeInputs(16, 0, (12, 12, 12))
    trees = Booster(asked, 1, lambda: None).fit(learn, 40)
    assert trees.names.together[:, :3].astype(int).tolist() == [[0, 2, -1]]
    assert roc_auc_score(look.target, logits_of_trees(trees, asked, look.inputs)) > 0.75


def test_a_third_name_is_added_to_a_pair_where_it_says_more() -> None:
    """Where two names agree it depends on a third one, elsewhere on nothing."""
    random, rows = np.random.default_rng(6), 8000
    ids = random.integers(2, 6, (rows, 4)).astype(np.int32)
    agrees = ids[:, 0] % 2 == ids[:, 3] % 2
    target = (random.random(rows) < np.where(agrees, 0.1 + 0.7 * (ids[:, 1] % 2), 0.4)).astype(np.float64)
    asked = TreeInputs(16, 0, (6, 6, 6, 6))
    trees = Booster(asked, 1, lambda: None).fit(Examples({"categories": ids}, target), 1)
    together = trees.names.together.astype(int)
    assert [0, 1, 3] in together[:, :3].tolist()
    slots = trees.names.together_odds[together[:, :3].tolist().index([0, 1, 3])]
    assert (np.isfinite(slots[:8191]).sum(), float(np.nanmax(slots)) > 1.0) == (64, True)


def test_the_same_records_and_seed_give_the_same_trees(examples: Examples, booster: Booster) -> None:
    one, other = booster.fit(examples, 60), booster.fit(examples, 60)
    for mine, yours in ((one, other), (one.names, other.names)):
        for name, value in vars(mine).items():
            if name != "names":
                np.testing.assert_array_equal(value, getattr(yours, name))


def test_of_a_large_book_some_rows_are_fitted_on() -> None:
    narrow, wide = TreeInputs(16, 5, ()), TreeInputs(16, 1000, ())
    assert len(choose_tree_rows(1000, wide)) == 1000
    assert len(choose_tree_rows(1_000_000, narrow)) == 400_000
    assert len(choose_tree_rows(1_000_000, wide)) == 20_000


@pytest.mark.parametrize("kind", [TreeSum, ObliviousSum])
def test_the_layer_comes_back_from_its_configuration(kind: type[TreeSum | ObliviousSum]) -> None:
    layer = kind(TreeInputs(16, 3, (4, 5), (2, 0)), 7)
    again = kind.from_config(layer.get_config())
    assert (again.asked, again.trees) == (layer.asked, layer.trees)
    assert not again.trainable


def test_a_model_with_trees_is_saved_and_loaded_as_it_is(tmp_path: Path) -> None:
    frame, _, keys = make_book(3000)
    crossing = ((frame["amount"] > 20) != (frame["age"] > 45)).to_numpy().astype(np.float64)
    model = train_model(Book.of(frame, crossing, keys), SCHEMA, options=TrainingOptions(epochs=1, finer_edges=False))
    assert model.network_options.oblivious > 0
    assert model.strategy["mixture"]["trees"] > 0.5
    loaded = load_bundle(str(tmp_path), save_bundle(model, str(tmp_path)))
    arrays, _ = read_columns(frame, SCHEMA)
    inputs = model.transform.transform(arrays)
    np.testing.assert_array_equal(predict_logits(loaded.network, inputs), predict_logits(model.network, inputs))


def test_without_trees_there_are_none() -> None:
    frame, target, keys = make_book(400)
    model = train_model(Book.of(frame, target, keys), SCHEMA, options=TrainingOptions(epochs=1, trees=False))
    assert model.network_options.oblivious == 0
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
