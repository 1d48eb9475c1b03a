"""A layer without a compiled form is computed by TensorFlow among layers that have one, in scoring and in training."""

from typing import Any

import keras
import numpy as np
import pytest

from tests.unit.transformer.books import SCHEMA
from tests.unit.transformer.network.test_compiled_network import network_of
from transformer.fitting.compiled_stepper import CompiledStepper
from transformer.fitting.options import FittingOptions
from transformer.network.architecture import NetworkOptions
from transformer.network.compiled_network import CompiledNetwork
from transformer.records.features import FeatureTransform, Inputs


class Squashed(keras.layers.Layer):
    """Has no compiled form."""

    def build(self, shape: Any) -> None:
        self.scale = self.add_weight(name="scale", shape=shape[-1:], initializer="ones")

    def call(self, x: Any) -> Any:
        return keras.ops.tanh(x * self.scale) + x


@pytest.fixture
def strange(monkeypatch: pytest.MonkeyPatch) -> tuple[keras.Model, FeatureTransform, Inputs]:
    """The default network with a layer between its encoder and its summary that nobody knows."""
    from transformer.network import architecture  # noqa: PLC0415 - to be changed for one test

    encode = architecture._encode_record
    monkeypatch.setattr(architecture, "_encode_record", lambda *given: Squashed(name="squashed")(encode(*given)))
    return network_of(SCHEMA, NetworkOptions(rate=0.0, direct_rate=0.0))


def test_only_the_unknown_layer_is_run_by_tensorflow(strange: tuple[keras.Model, FeatureTransform, Inputs]) -> None:
    network, transform, inputs = strange
    compiled = CompiledNetwork.of(network, transform)
    assert compiled.by_tensorflow == ("squashed",)
    expected = np.asarray(network(inputs, training=False)).mean(axis=1)
    np.testing.assert_allclose(compiled.run(inputs)[0], expected, atol=1e-4)


def test_a_record_keeps_its_bits_behind_an_unknown_layer(
    strange: tuple[keras.Model, FeatureTransform, Inputs],
) -> None:
    network, transform, inputs = strange
    compiled = CompiledNetwork.of(network, transform)
    whole = compiled.run(inputs)[0]
    part = compiled.run({name: values[37:] for name, values in inputs.items()})[0]
    np.testing.assert_array_equal(part, whole[37:])


def test_an_unknown_layer_is_trained_with_the_rest(strange: tuple[keras.Model, FeatureTransform, Inputs]) -> None:
    network, transform, _ = strange
    stepper = CompiledStepper.of(network, FittingOptions(batch_rows=200, epochs=3, seed=5), transform)
    assert stepper is not None, "its gradients are those of Keras"
    assert stepper.gradient.plan.by_tensorflow == {"squashed"}
