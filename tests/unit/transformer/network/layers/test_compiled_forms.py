"""One battery over all layers: the compiled form says what Keras says, forward and back, each record by itself."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from transformer.arithmetic.kernels import BLOCK_ROWS
from transformer.network.compiled_gradient import WeightVector
from transformer.network.layers.blocks import DecoderLayer, TransformerLayer
from transformer.network.layers.form import FORMS
from transformer.network.layers.heads import DirectMembers, HeadMembers
from transformer.network.layers.logits import JoinedLogits
from transformer.network.layers.name_combinations import FINE
from transformer.network.layers.names import NameSums, NameTokens
from transformer.network.layers.numbers import DirectNumbers, MonthTokens, NumberTokens
from transformer.network.layers.oblivious_trees import ObliviousSum
from transformer.network.layers.tokens import BlankToken, Join, LearntVectors, PooledToken, Summary
from transformer.network.layers.tree_columns import TreeInputs
from transformer.network.layers.trees import TreeSum
from transformer.network.plan import Plan, Room, view_copies
from transformer.records.features import Inputs

STEM = "stem"


class Stem(keras.layers.Layer):
    """Puts a tensor before layers that read no columns; it has no compiled form, and a record's bits are its own."""

    def build(self, shape: Any) -> None:
        self.scale = self.add_weight(name="scale", shape=shape[1:], initializer="ones")

    def call(self, x: Any) -> Any:
        return x * self.scale


@dataclass(frozen=True)
class Case:
    """A layer, what it is given, and how it is called with that. Given shapes of floats a stem stands before it."""

    name: str
    make: Callable[[], keras.layers.Layer]
    given: dict[str, tuple[int, ...]]
    call: Callable[[Any, list[Any]], Any] = lambda layer, tensors: layer(*tensors)


def in_a_list(layer: Any, tensors: list[Any]) -> Any:
    return layer(tensors)


NUMBERS = {"positions": (6,), "missing": (6,)}
MONTHS = {"history_positions": (4, 3), "history_missing": (4, 3)}
NAMES = {"categories": (2,)}
PAST_NAMES = {"history_categories": (4, 2)}
SIZES = {"d_model": 12, "num_heads": 3, "dff": 10, "rate": 0.0}
CASES = [
    Case("tokens of numbers", lambda: NumberTokens(4, 12, 2), NUMBERS),
    Case("numbers that share tokens", lambda: NumberTokens(4, 32, 3, 4), NUMBERS),
    Case("tokens of months", lambda: MonthTokens(4, 12, 2), MONTHS),
    Case("a map of numbers", lambda: DirectNumbers(4, 20, 2), NUMBERS),
    Case("a map of months", lambda: DirectNumbers(4, 1, 2), MONTHS),
    Case("tokens of names", lambda: NameTokens((3, 4), 12), NAMES),
    Case("tokens that names share", lambda: NameTokens((3, 4, 3), 12, tokens=2), {"categories": (3,)}),
    Case("sums of names", lambda: NameSums((3, 4), 20), NAMES),
    Case("sums of a month's names", lambda: NameSums((3, 4), 16), PAST_NAMES),
    Case("sums of all months' names", lambda: NameSums((3, 4) * 4, 1, flat=True), PAST_NAMES),
    Case("a blank token", lambda: BlankToken(8), MONTHS, lambda layer, tensors: layer(tensors[0])),
    Case("trees", lambda: TreeSum(TreeInputs(4, 18, (3, 4)), 3), NUMBERS | MONTHS | NAMES),
    Case("oblivious trees", lambda: ObliviousSum(TreeInputs(4, 18, (3, 4)), 3), NUMBERS | MONTHS | NAMES),
    Case(
        "oblivious trees on combinations and rare names",
        lambda: ObliviousSum(TreeInputs(4, 0, (3, 4, 3), (2, 2, 2)), 40, 2),
        {"categories": (3,), "rare": (3,)},
    ),
    Case("vectors", LearntVectors, {"a": (5, 12)}),
    Case("vectors of one token", LearntVectors, {"a": (12,)}),
    Case("a sum and vectors", LearntVectors, {"a": (5, 12), "b": (5, 12), "c": (5, 12)}, in_a_list),
    Case("a pooled token", PooledToken, {"a": (5, 12)}),
    Case("a pooled token before two", PooledToken, {"a": (5, 12), "b": (2, 12)}, in_a_list),
    Case("an encoder", lambda: TransformerLayer(**SIZES), {"a": (5, 12)}),
    Case("a decoder", lambda: DecoderLayer(**SIZES), {"a": (4, 12), "b": (7, 12)}),
    Case("the first and the mean", lambda: Summary(0), {"a": (5, 12)}),
    Case("the last and the mean", lambda: Summary(-1), {"a": (5, 12)}),
    Case("a norm", lambda: keras.layers.LayerNormalization(epsilon=1e-6), {"a": (12,)}),
    Case("a norm of tokens", lambda: keras.layers.LayerNormalization(epsilon=1e-6), {"a": (5, 12)}),
    Case("a join", Join, {"a": (12,), "b": (7,)}, in_a_list),
    Case("members", lambda: HeadMembers(3, 5), {"a": (12,)}),
    Case("members of a part", lambda: HeadMembers(3, 5, 0.0, 7), {"a": (12,)}),
    Case("direct members", lambda: DirectMembers(3), {"a": (12,)}),
    Case("direct members of a part", lambda: DirectMembers(3, 0.0, 7), {"a": (12,)}),
    Case(
        "logits of two branches",
        JoinedLogits,
        {"a": (3,), "b": (4,), "c": (1,), "d": (1,)},
        lambda layer, tensors: layer(tensors[:2], tensors[2:]),
    ),
    Case("logits of one", JoinedLogits, {"a": (3,), "c": (1,)}, lambda layer, tensors: layer(tensors[:1], tensors[1:])),
]
every_layer = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def network_of(case: Case) -> keras.Model:
    keras.utils.set_random_seed(2)
    inputs = {
        name: keras.Input(shape, name=name, dtype="int32" if "categories" in name or name == "rare" else "float32")
        for name, shape in case.given.items()
    }
    tensors = list(inputs.values())
    if "a" in inputs:
        tensors = [Stem(name=f"{STEM}_{one.name}")(one) for one in tensors]
    layer = case.make()
    output = layer(inputs) if isinstance(layer, TreeSum | ObliviousSum) else case.call(layer, tensors)
    network = keras.Model(inputs, output)
    random = np.random.default_rng(1)
    if isinstance(layer, TreeSum):
        _grow(layer, random)
    elif isinstance(layer, ObliviousSum):
        _grow_oblivious(layer, random)
    else:
        network.set_weights([one + random.normal(0, 0.3, one.shape) for one in network.get_weights()])
    return network


def _grow(layer: Any, random: np.random.Generator) -> None:
    """Trees of one question each, which strikes off the first leaf or none."""
    weights = [np.zeros(one.shape, np.float32) for one in layer.weights]
    weights[0][:] = random.integers(0, layer.asked.columns, weights[0].shape)
    weights[1][:] = random.uniform(0, 3, weights[1].shape)
    weights[2][:] = 2**16 - 2
    weights[3][:] = random.normal(size=weights[3].shape)
    weights[4][:] = random.uniform(0, 4, weights[4].shape)
    layer.set_weights(weights)


def _grow_oblivious(layer: Any, random: np.random.Generator) -> None:
    """Trees of chance; some slots of combinations are shared by too few records."""
    weights = [random.uniform(0, 3, one.shape).astype(np.float32) for one in layer.weights]
    columns = layer.asked.columns + len(layer.asked.name_sizes) + layer.combinations
    weights[0][:] = random.integers(0, columns, weights[0].shape)
    together, odds = weights[5:]
    together[:] = np.array([[0, 1, -1, 7], [2, 0, 1, 90]])[: len(together)]
    odds[random.random(odds.shape) < 0.5] = np.nan
    odds[:, FINE:] = random.normal(size=odds[:, FINE:].shape)
    layer.set_weights(weights)


def draw(case: Case, rows: int = BLOCK_ROWS) -> Inputs:
    random = np.random.default_rng(4)
    inputs: Inputs = {}
    for name, shape in case.given.items():
        size = (rows, *shape)
        if "categories" in name or name == "rare":
            inputs[name] = random.integers(0, 3, size).astype(np.int32)
        elif "missing" in name:
            inputs[name] = random.integers(0, 2, size).astype(np.float32)
        else:
            inputs[name] = (random.uniform(0, 4, size) if "positions" in name else random.normal(size=size)).astype(
                "f4"
            )
    for name in ("", "history_"):
        if f"{name}positions" in inputs:
            inputs[f"{name}positions"] *= inputs[f"{name}missing"] == 0
    return inputs


def flat(inputs: Inputs) -> Inputs:
    return {name: values.reshape(len(values), -1) for name, values in inputs.items()}


def run(room: Room, inputs: Inputs, rows: int = BLOCK_ROWS) -> np.ndarray:
    room.read(flat(inputs), 0, rows)
    room.forward()
    return np.moveaxis(room.output[..., :rows], -1, 0).copy()


def in_block(values: Any) -> np.ndarray:
    """(B, ..., D) as (B, T, D)."""
    array = np.asarray(values)
    return array.reshape(len(array), -1, array.shape[-1])


def test_the_battery_is_over_all_forms() -> None:
    assert {type(case.make()) for case in CASES} == set(FORMS)


@every_layer
def test_the_compiled_form_gives_what_keras_gives(case: Case) -> None:
    network, inputs = network_of(case), draw(case)
    plan = Plan(network)
    np.testing.assert_allclose(run(Room(plan, view_copies), inputs), in_block(network(inputs)), rtol=1e-5, atol=2e-5)
    assert all(name.startswith(STEM) for name in plan.by_tensorflow)


@every_layer
def test_gradients_are_those_of_keras(case: Case) -> None:
    network, inputs = network_of(case), draw(case)
    if not network.trainable_variables:
        return  # nothing to differentiate by, and no stem that would
    weights = WeightVector(network)
    theta, gradient = weights.read(), np.zeros(weights.size, np.float32)
    room = Room(Plan(network), weights.view(theta), weights.view(gradient))
    slopes = np.random.default_rng(3).normal(size=in_block(network(inputs)).shape).astype(np.float32)
    run(room, inputs)
    room.clear_gradients()
    room.d_output[..., :BLOCK_ROWS] = np.moveaxis(slopes, 0, -1)
    room.backward()
    with tf.GradientTape() as tape:
        output = network(inputs)
        loss = tf.reduce_sum(output * slopes.reshape(output.shape))
    values = [one.value for one in weights.variables]
    zero = tf.UnconnectedGradients.ZERO
    for one, wanted in zip(weights.variables, tape.gradient(loss, values, unconnected_gradients=zero), strict=True):
        exact = np.asarray(tf.convert_to_tensor(wanted))
        scale = max(1.0, float(np.abs(exact).max()))
        np.testing.assert_allclose(weights.part(gradient, one) / scale, exact / scale, atol=1e-4, err_msg=one.path)


@every_layer
def test_the_order_of_records_changes_no_bit(case: Case) -> None:
    room, inputs = Room(Plan(network_of(case)), view_copies), draw(case)
    order = np.random.default_rng(6).permutation(BLOCK_ROWS)
    shuffled = run(room, {name: values[order] for name, values in inputs.items()})
    np.testing.assert_array_equal(shuffled, run(room, inputs)[order])


@every_layer
@pytest.mark.parametrize("rows", [1, 17, 127])
def test_the_number_of_records_and_what_was_there_before_change_no_bit(case: Case, rows: int) -> None:
    plan, inputs = Plan(network_of(case)), draw(case)
    used, fresh = Room(plan, view_copies), Room(plan, view_copies)
    run(used, {name: values[::-1] for name, values in inputs.items()})
    np.testing.assert_array_equal(run(used, inputs, rows), run(fresh, inputs)[:rows])


@every_layer
def test_two_threads_give_the_bits_of_one(case: Case) -> None:
    plan, inputs = Plan(network_of(case)), draw(case)
    rooms = [Room(plan, view_copies) for _ in range(2)]
    alone = run(rooms[0], inputs)
    with ThreadPoolExecutor(2) as pool:
        for found in pool.map(lambda room: [run(room, inputs) for _ in range(20)], rooms):
            for one in found:
                np.testing.assert_array_equal(one, alone)
