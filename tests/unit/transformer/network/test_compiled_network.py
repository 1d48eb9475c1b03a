"""The compiled network says what the Keras network says, whatever its sizes, and each record by itself."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import keras
import numpy as np
import pytest
from scipy.special import erf, expit

from tests.unit.transformer.books import SCHEMA, make_book
from transformer.arithmetic.kernels import exponential, gelu
from transformer.network.architecture import NetworkOptions, build_network
from transformer.network.compiled_network import CompiledNetwork
from transformer.network.layers.form import FORMS, Calls
from transformer.network.layers.tokens import Summary
from transformer.records.column_reading import read_columns
from transformer.records.features import FeatureTransform, Inputs
from transformer.records.schema import Field, RecordSchema

FIELDS, HISTORIES = SCHEMA.fields, SCHEMA.histories
SCHEMAS = {
    "fields and histories": SCHEMA,
    "fields alone": RecordSchema(FIELDS),
    "numbers alone": RecordSchema(tuple(one for one in FIELDS if one.kind == "numeric")),
    "names alone": RecordSchema(tuple(one for one in FIELDS if one.kind == "categorical")),
    "histories alone": RecordSchema((), HISTORIES),
    "special codes": RecordSchema((Field("amount", "numeric", (-1.0, -2.0)), *FIELDS[1:]), HISTORIES),
}


def network_of(schema: RecordSchema, options: NetworkOptions) -> tuple[keras.Model, FeatureTransform, Inputs]:
    """A network with random weights, biases too, and inputs of 300 records, a fifth of them missing."""
    frame = make_book(300, seed=4)[0].astype("object")
    frame = frame.mask(np.random.default_rng(1).random(frame.shape) < 0.2)
    arrays = read_columns(frame, schema)[0]
    transform = FeatureTransform.fit(arrays, schema)
    keras.utils.set_random_seed(3)
    network = build_network(transform, options)
    random = np.random.default_rng(2)
    network.set_weights([one + random.normal(0, 0.2, one.shape) for one in network.get_weights()])
    return network, transform, transform.transform(arrays)


@pytest.mark.parametrize("name", SCHEMAS)
def test_it_agrees_with_keras_on_every_kind_of_record(name: str) -> None:
    network, transform, inputs = network_of(SCHEMAS[name], NetworkOptions())
    compiled = CompiledNetwork.of(network, transform)
    assert compiled.by_tensorflow == ()
    expected = np.asarray(network(inputs, training=False)).mean(axis=1)
    np.testing.assert_allclose(expit(compiled.run(inputs)[0]), expit(expected), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        NetworkOptions(d_model=16, num_heads=2, dff=24),
        NetworkOptions(d_model=24, num_heads=8, dff=40, members=3, member_hidden=5),
        NetworkOptions(blocks=3),
    ],
)
def test_it_agrees_with_keras_at_other_sizes(options: NetworkOptions) -> None:
    network, transform, inputs = network_of(SCHEMA, options)
    compiled = CompiledNetwork.of(network, transform)
    assert compiled.by_tensorflow == ()
    expected = np.asarray(network(inputs, training=False)).mean(axis=1)
    np.testing.assert_allclose(expit(compiled.run(inputs)[0]), expit(expected), rtol=0, atol=1e-5)


def test_it_gives_what_the_head_reads() -> None:
    network, transform, inputs = network_of(SCHEMA, NetworkOptions())
    compiled = CompiledNetwork.of(network, transform)
    assert compiled.by_tensorflow == ()
    inner = keras.Model(network.input, network.get_layer("head_norm").output)
    np.testing.assert_allclose(compiled.run(inputs)[1], np.asarray(inner(inputs, training=False)), rtol=1e-4, atol=5e-5)


@pytest.mark.parametrize("first", [0, 1, 5, 127, 128, 200])
def test_neighbours_and_place_change_no_bit(first: int) -> None:
    network, transform, inputs = network_of(SCHEMA, NetworkOptions())
    compiled = CompiledNetwork.of(network, transform)
    assert compiled.by_tensorflow == ()
    whole = compiled.run(inputs)[0]
    part = compiled.run({name: values[first:] for name, values in inputs.items()})[0]
    np.testing.assert_array_equal(part, whole[first:])


def test_a_network_that_says_something_else_is_left_to_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    network, transform, inputs = network_of(SCHEMA, NetworkOptions())
    wrong = replace(FORMS[Summary], make=lambda _layer, place: Calls([partial(place.output.fill, 1.0)]))
    monkeypatch.setitem(FORMS, Summary, wrong)
    compiled = CompiledNetwork.of(network, transform)
    assert set(compiled.by_tensorflow) == {layer.name for layer in network.layers} - {
        one.name for one in network.inputs
    }
    expected = np.asarray(network(inputs, training=False)).mean(axis=1)
    np.testing.assert_allclose(compiled.run(inputs)[0], expected, atol=1e-5)


def test_many_threads_may_score_at_once() -> None:
    network, transform, inputs = network_of(SCHEMA, NetworkOptions())
    compiled = CompiledNetwork.of(network, transform)
    alone = compiled.run(inputs)[0]
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: compiled.run(inputs)[0], range(12)):
            np.testing.assert_array_equal(found, alone)


def test_the_elementary_functions_are_as_exact_as_single_precision() -> None:
    x = np.linspace(-80, 5, 2001, dtype=np.float32)
    np.testing.assert_allclose([exponential(one) for one in x], np.exp(x.astype(np.float64)), rtol=5e-7)
    x = np.linspace(-9, 9, 2001, dtype=np.float32)
    exact = x.astype(np.float64) / 2 * (1 + erf(x.astype(np.float64) / np.sqrt(2)))
    np.testing.assert_allclose([gelu(one) for one in x], exact, atol=2e-6)
