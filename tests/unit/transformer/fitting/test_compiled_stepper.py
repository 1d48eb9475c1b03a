"""The compiled training step: Keras' gradients, AdamW's steps, dropout by chance, the same bits with any threads."""

from itertools import pairwise
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.unit.transformer.books import SCHEMA
from tests.unit.transformer.network.test_compiled_network import SCHEMAS, network_of
from transformer.arithmetic.dropout import Dropout, drop
from transformer.arithmetic.gradients import add_outer
from transformer.arithmetic.kernels import BLOCK_PITCH, BLOCK_ROWS, gelu_slope, normal_share
from transformer.branches.branch_mixture import plant
from transformer.branches.tree_boosting import Booster
from transformer.fitting.compiled_stepper import CompiledStepper
from transformer.fitting.examples import Examples
from transformer.fitting.fitter import Fitter
from transformer.fitting.keras_stepper import Stepper
from transformer.fitting.options import FittingOptions, Hooks
from transformer.network.architecture import NetworkOptions, tree_inputs
from transformer.network.compiled_gradient import CompiledGradient
from transformer.records.features import Inputs
from transformer.records.schema import RecordSchema

PLAIN = {"rate": 0.0, "direct_rate": 0.0}
CASES = [(name, NetworkOptions()) for name in SCHEMAS] + [
    ("fields and histories", NetworkOptions(d_model=24, num_heads=8, dff=40, members=3, member_hidden=5)),
    ("fields and histories", NetworkOptions(blocks=3)),
    ("fields and histories", NetworkOptions(direct=0)),
    ("fields and histories", NetworkOptions(seeds=3)),
    ("fields alone", NetworkOptions(field_tokens=1)),
]


def options(**more: Any) -> FittingOptions:
    return FittingOptions(**({"batch_rows": 200, "epochs": 3, "seed": 5} | more))


def examples_of(inputs: Inputs) -> Examples:
    rows = len(next(iter(inputs.values())))
    random = np.random.default_rng(1)
    return Examples(inputs, (random.random(rows) < 0.4).astype(np.float64), random.uniform(0.5, 2.0, rows))


@pytest.mark.parametrize(("name", "sizes"), CASES)
def test_loss_and_gradients_are_those_of_keras(name: str, sizes: NetworkOptions) -> None:
    network, _, inputs = network_of(SCHEMAS[name], sizes)
    examples, gradient = examples_of(inputs), CompiledGradient(network, 2)
    weight, target = np.asarray(examples.weight, np.float32), examples.target.astype(np.float32)
    shares = weight / (examples.rows * gradient.members)
    loss, found = gradient.learn(inputs, target, shares, seed=0, is_dropping=False)
    variables = gradient.weights.variables
    with tf.GradientTape() as tape:
        logits = network(inputs, training=False)
        wanted = tf.broadcast_to(target[:, None], tf.shape(logits))
        expected = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(wanted, logits) * weight[:, None])
    gradients = tape.gradient(expected, [one.value for one in variables])
    assert loss == pytest.approx(float(expected), rel=1e-5)
    for variable, wanted in zip(variables, gradients, strict=True):
        mine = gradient.weights.part(found, variable)
        exact = np.zeros(mine.shape) if wanted is None else np.asarray(tf.convert_to_tensor(wanted))
        np.testing.assert_allclose(mine, exact, rtol=1e-3, atol=1e-4, err_msg=variable.path)


def test_its_steps_are_those_of_tensorflow() -> None:
    # Numbers alone: of names looked up TensorFlow takes the norm to clip by before it adds up those looked up twice.
    schema = RecordSchema(tuple(one for one in SCHEMA.fields if one.kind == "numeric"), SCHEMA.histories[:1])
    fitted = []
    for kind in (Stepper, CompiledStepper):
        network, transform, inputs = network_of(schema, NetworkOptions(**PLAIN))
        how = options(pull=0.1)
        stepper: Any = kind(network, how) if kind is Stepper else CompiledStepper.of(network, how, transform)
        stepper.begin(300)
        random = np.random.default_rng(2)
        losses = [stepper.run_epoch(examples_of(inputs), random, 3, lambda: None) for _ in range(3)]
        looked = stepper.look(inputs, lambda: None)
        stepper.put(stepper.averaged_weights())
        fitted.append((losses, looked, np.concatenate([one.ravel() for one in network.get_weights()])))
    np.testing.assert_allclose(fitted[0][0], fitted[1][0], rtol=1e-4)
    np.testing.assert_allclose(fitted[0][1], fitted[1][1], atol=2e-3)
    np.testing.assert_allclose(fitted[0][2], fitted[1][2], atol=2e-3)


def test_the_number_of_threads_changes_no_bit() -> None:
    found = []
    for threads in (1, 3):
        network, transform, inputs = network_of(SCHEMA, NetworkOptions())
        stepper = CompiledStepper.of(network, options(batch_rows=300), transform)
        assert stepper is not None
        stepper.gradient.use_threads(threads)
        stepper.begin(300)
        stepper.run_epoch(examples_of(inputs), np.random.default_rng(2), 1, lambda: None)
        found.append(stepper.look(inputs, lambda: None))
    np.testing.assert_array_equal(found[0], found[1])


@pytest.mark.parametrize("name", SCHEMAS)
def test_without_attention_the_direct_branch_has_the_same_gradient(name: str) -> None:
    network, _, inputs = network_of(SCHEMAS[name], NetworkOptions())
    gradient = CompiledGradient(network, 2)
    target, weight = np.ones(300, np.float32), np.full(300, 1e-3, np.float32)
    whole = gradient.learn(inputs, target, weight, seed=3)[1].copy()
    alone = gradient.learn(inputs, target, weight, seed=3, is_whole=False)[1]
    for variable in gradient.weights.variables:
        mine = gradient.weights.part(alone, variable)
        expected = gradient.weights.part(whole, variable) if variable.path.startswith("direct") else np.zeros(())
        np.testing.assert_array_equal(mine, np.broadcast_to(expected, mine.shape), err_msg=variable.path)
    looks = [gradient.look(inputs, gradient.theta, is_whole=is_whole)[:, 1] for is_whole in (True, False)]
    np.testing.assert_array_equal(*looks)


def test_a_branch_that_has_stopped_stays_as_it_was() -> None:
    network, transform, inputs = network_of(SCHEMA, NetworkOptions())
    examples, hooks = examples_of(inputs), Hooks(lambda _report: None, lambda: None)
    fitter = Fitter(network, transform, options(epochs=6), hooks)
    fitted = fitter.fit(examples, examples, by_branch=True, stop_at=(2, 5), leaves=False)
    assert len(fitted.looks) == 5
    attention, direct = np.stack(fitted.looks, axis=2).transpose(1, 2, 0)
    np.testing.assert_array_equal(attention[1:], np.broadcast_to(attention[1], attention[1:].shape))
    assert all((one != other).any() for one, other in pairwise(direct))


def test_dropout_changes_with_the_seed_and_not_when_looking() -> None:
    network, _, inputs = network_of(SCHEMA, NetworkOptions())
    gradient = CompiledGradient(network, 2)
    target, weight = np.ones(300, np.float32), np.full(300, 1e-3, np.float32)
    losses = [gradient.learn(inputs, target, weight, seed=seed)[0] for seed in (1, 1, 2)]
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]
    looked = gradient.look(inputs, gradient.theta).mean(axis=1)
    np.testing.assert_allclose(looked, np.asarray(network(inputs, training=False)).mean(axis=1), atol=1e-4)


def test_each_step_drops_others() -> None:
    network, transform, inputs = network_of(SCHEMA, NetworkOptions())
    stepper = CompiledStepper.of(network, options(batch_rows=300, learning_rate=0.0, weight_decay=0.0), transform)
    assert stepper is not None
    stepper.begin(300)
    losses = [stepper.run_epoch(examples_of(inputs), np.random.default_rng(2), 9, lambda: None) for _ in range(2)]
    assert losses[0] != losses[1]


def test_each_layer_drops_at_its_own_rate() -> None:
    network, _, inputs = network_of(SCHEMA, NetworkOptions(**PLAIN))
    target, weight = np.ones(300, np.float32), np.full(300, 1e-3, np.float32)
    plain = CompiledGradient(network, 1)
    losses = [plain.learn(inputs, target, weight, seed=seed)[0] for seed in (1, 2)]
    assert losses[0] == losses[1], "nothing is dropped"
    network.get_layer("encoder_0").rate = 0.5
    dropping = CompiledGradient(network, 1)
    assert dropping.learn(inputs, target, weight, seed=1)[0] != losses[0]


def test_trees_and_scorecard_count_and_stay_as_they_are() -> None:
    network, transform, inputs = network_of(SCHEMA, NetworkOptions(**PLAIN))
    trees = Booster(tree_inputs(transform), 1, lambda: None).fit(examples_of(inputs), 5)
    planted, _ = plant(network, transform, NetworkOptions(**PLAIN), trees, 0.5)
    stepper = CompiledStepper.of(planted, options(), transform)
    assert stepper is not None
    stepper.begin(300)
    expected = np.asarray(planted(inputs, training=False)).mean(axis=1)
    np.testing.assert_allclose(stepper.look(inputs, lambda: None).mean(axis=1), expected, atol=1e-4)
    before = [planted.get_layer(name).get_weights() for name in ("trees", "card_numbers")]
    stepper.run_epoch(examples_of(inputs), np.random.default_rng(1), 1, lambda: None)
    stepper.put(stepper.averaged_weights())
    after = [planted.get_layer(name).get_weights() for name in ("trees", "card_numbers")]
    for one, other in zip([x for part in before for x in part], [x for part in after for x in part], strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_does_not_agree_is_left_to_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    network, transform, _ = network_of(SCHEMA, NetworkOptions())
    monkeypatch.setattr("transformer.fitting.compiled_stepper._TOLERANCE", -1.0)
    assert CompiledStepper.of(network, options(), transform) is None


def test_a_share_of_the_values_is_dropped_and_the_mean_kept() -> None:
    row, out = np.ones(BLOCK_PITCH, np.float32), np.zeros(BLOCK_PITCH, np.float32)
    kept = np.empty((2000, BLOCK_ROWS))
    for place in range(len(kept)):
        drop(row, Dropout.of(0.3, 2), np.uint32(5), place, out)
        kept[place] = out[:BLOCK_ROWS]
    assert kept.mean() == pytest.approx(1.0, abs=0.005)
    assert (kept == 0).mean() == pytest.approx(0.3, abs=0.004)
    records, places = np.corrcoef(kept.T), np.corrcoef(kept[:200])
    for found, count in ((records, 2000), (places, BLOCK_ROWS)):
        assert np.abs(found[~np.eye(len(found), dtype=bool)]).max() < 6 / count**0.5


@pytest.mark.parametrize("tokens", [3, 9])
@pytest.mark.parametrize("sizes", [(32, 96), (5, 7), (4, 3)])
def test_a_products_gradient_is_the_sum_of_outer_products(sizes: tuple[int, int], tokens: int) -> None:
    random = np.random.default_rng(3)
    x, y = (random.normal(size=(tokens, size, BLOCK_PITCH)).astype(np.float32) for size in sizes)
    out = random.normal(size=sizes).astype(np.float32)
    expected = out + np.einsum("til,tjl->ij", x[..., :BLOCK_ROWS].astype(np.float64), y[..., :BLOCK_ROWS])
    add_outer(x, y, out)
    np.testing.assert_allclose(out, expected, atol=2e-4)


def test_the_slope_of_gelu_is_its_derivative() -> None:
    x = np.linspace(-6, 6, 501)
    step = 1e-4
    gelu = lambda one: np.asarray(keras.activations.gelu(keras.ops.convert_to_tensor(one, "float64")))  # noqa: E731
    exact = (gelu(x + step) - gelu(x - step)) / (2 * step)
    found = [gelu_slope(np.float32(one), normal_share(np.float32(one))) for one in x]
    np.testing.assert_allclose(found, exact, atol=2e-6)
