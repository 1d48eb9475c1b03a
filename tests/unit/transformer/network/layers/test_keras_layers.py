"""Every layer passes one battery; attention equals Keras' own; nothing sees what it may not see."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from transformer.layers import DecoderLayer, FeedForward, MultiHeadAttention, TransformerLayer, steady_softmax
from transformer.network.layers.heads import DirectMembers, HeadMembers
from transformer.network.layers.names import NameSums, NameTokens
from transformer.network.layers.numbers import DirectNumbers, MonthTokens, NumberTokens, memberships
from transformer.network.layers.tokens import BlankToken, LearntVectors, PooledToken, Summary

RANDOM = np.random.default_rng(3)


def numbers(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype("float32")


def flags(*shape: int) -> np.ndarray:
    return (RANDOM.random(shape) < 0.3).astype("float32")


@dataclass(frozen=True)
class Case:
    """A layer, what it is called with, and the shape that must come out."""

    layer: type[keras.layers.Layer]
    config: dict[str, Any]
    inputs: list[np.ndarray]
    output: tuple[int, ...]


CASES = [
    Case(MultiHeadAttention, {"d_model": 8, "num_heads": 2}, [numbers(3, 5, 8)], (3, 5, 8)),
    Case(MultiHeadAttention, {"d_model": 8, "num_heads": 4}, [numbers(3, 5, 8), numbers(3, 7, 8)], (3, 5, 8)),
    Case(FeedForward, {"d_model": 8, "dff": 12}, [numbers(3, 5, 8)], (3, 5, 8)),
    Case(TransformerLayer, {"d_model": 8, "num_heads": 2, "dff": 12, "rate": 0.0}, [numbers(3, 5, 8)], (3, 5, 8)),
    Case(
        DecoderLayer,
        {"d_model": 8, "num_heads": 2, "dff": 12, "rate": 0.0},
        [numbers(3, 5, 8), numbers(3, 7, 8)],
        (3, 5, 8),
    ),
    Case(NumberTokens, {"bins": 4, "d_model": 8}, [4 * np.abs(numbers(3, 6)), flags(3, 6)], (3, 6, 8)),
    Case(
        NumberTokens,
        {"bins": 4, "d_model": 8, "kinds": 3, "tokens": 4},
        [4 * np.abs(numbers(3, 6)), 3 * flags(3, 6)],
        (3, 4, 8),
    ),
    Case(DirectNumbers, {"bins": 4, "d_model": 8}, [4 * np.abs(numbers(3, 6)), flags(3, 6)], (3, 8)),
    Case(DirectNumbers, {"bins": 4, "d_model": 8, "kinds": 2}, [np.abs(numbers(3, 5, 2)), flags(3, 5, 2)], (3, 8)),
    Case(NameTokens, {"sizes": (3, 4), "d_model": 8}, [RANDOM.integers(0, 3, (3, 2)).astype("int32")], (3, 2, 8)),
    Case(MonthTokens, {"bins": 4, "d_model": 8}, [4 * np.abs(numbers(3, 5, 2)), flags(3, 5, 2)], (3, 5, 8)),
    Case(NameSums, {"sizes": (3, 4), "d_model": 8}, [RANDOM.integers(0, 3, (3, 2)).astype("int32")], (3, 8)),
    Case(NameSums, {"sizes": (3, 4), "d_model": 8}, [RANDOM.integers(0, 3, (3, 5, 2)).astype("int32")], (3, 5, 8)),
    Case(
        NameSums,
        {"sizes": (3, 4) * 5, "d_model": 8, "flat": True},
        [RANDOM.integers(0, 3, (3, 5, 2)).astype("int32")],
        (3, 8),
    ),
    Case(BlankToken, {"d_model": 8}, [numbers(3, 5, 2)], (3, 1, 8)),
    Case(Summary, {"token": -1}, [numbers(3, 5, 8)], (3, 16)),
    Case(LearntVectors, {}, [numbers(3, 5, 8)], (3, 5, 8)),
    Case(PooledToken, {}, [numbers(3, 5, 8)], (3, 6, 8)),
    Case(DirectMembers, {"members": 3, "rate": 0.0}, [numbers(3, 8)], (3, 3)),
    Case(HeadMembers, {"members": 3, "hidden": 4}, [numbers(3, 8)], (3, 3)),
]
every_layer = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.layer.__name__}-{len(case.inputs)}")


def built(case: Case, **more: Any) -> keras.layers.Layer:
    keras.utils.set_random_seed(1)
    layer = case.layer(**case.config, **more)
    layer(*case.inputs)
    return layer


@every_layer
def test_a_layer_maps_shapes_as_it_says(case: Case) -> None:
    layer = built(case)
    assert tuple(layer(*case.inputs).shape) == case.output
    assert tuple(layer.compute_output_shape(*(one.shape for one in case.inputs))) == case.output


@every_layer
def test_a_layer_comes_back_from_its_configuration(case: Case) -> None:
    layer = built(case)
    twin = case.layer.from_config(layer.get_config())
    twin(*case.inputs)
    twin.set_weights(layer.get_weights())
    np.testing.assert_array_equal(twin(*case.inputs), layer(*case.inputs))


@every_layer
def test_a_training_step_reaches_every_weight(case: Case) -> None:
    layer = built(case)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(*case.inputs, training=True) * numbers(*case.output))
    gradients = tape.gradient(loss, [weight.value for weight in layer.trainable_weights])
    assert all(gradient is not None for gradient in gradients)


@every_layer
def test_compiled_equals_eager(case: Case) -> None:
    layer = built(case)
    compiled = tf.function(layer)
    np.testing.assert_allclose(compiled(*case.inputs), layer(*case.inputs), rtol=1e-5, atol=1e-6)


@every_layer
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_a_layer_works_in_half_precision(case: Case, policy: str) -> None:
    whole, half = built(case), built(case, dtype=policy)
    half.set_weights(whole.get_weights())
    assert half(*case.inputs).dtype == policy.removeprefix("mixed_")
    np.testing.assert_allclose(tf.cast(half(*case.inputs), "float32"), whole(*case.inputs), atol=0.15, rtol=0.1)


@pytest.mark.parametrize("context_length", [None, 7])
def test_attention_equals_that_of_keras_with_the_same_weights(context_length: int | None) -> None:
    x = numbers(4, 5, 32)
    context = x if context_length is None else numbers(4, context_length, 32)
    ours, theirs = MultiHeadAttention(32, 4), keras.layers.MultiHeadAttention(num_heads=4, key_dim=8)
    expected_shape = theirs(x, context).shape
    ours(x, context)
    ours.set_weights(
        [value.reshape(mine.shape) for value, mine in zip(theirs.get_weights(), ours.weights, strict=True)]
    )
    assert ours(x, context).shape == expected_shape
    np.testing.assert_allclose(ours(x, context), theirs(x, context), atol=1e-5)


def test_causal_and_masked_attention_equal_those_of_keras() -> None:
    x = numbers(4, 6, 32)
    mask = np.ones((4, 6), dtype=bool)
    mask[:, 4:] = False
    ours, theirs = MultiHeadAttention(32, 4), keras.layers.MultiHeadAttention(num_heads=4, key_dim=8)
    theirs(x, x)
    ours(x)
    ours.set_weights(
        [value.reshape(mine.shape) for value, mine in zip(theirs.get_weights(), ours.weights, strict=True)]
    )
    np.testing.assert_allclose(ours(x, causal=True), theirs(x, x, use_causal_mask=True), atol=1e-5)
    np.testing.assert_allclose(ours(x, mask=mask), theirs(x, x, attention_mask=mask[:, None, :]), atol=1e-5)


def test_softmax_is_that_of_the_textbook_and_does_not_depend_on_the_place_in_the_batch() -> None:
    batch = np.repeat(numbers(1, 21), 64, axis=0)
    weights = steady_softmax(tf.constant(batch)).numpy()
    np.testing.assert_allclose(weights, tf.nn.softmax(batch), atol=1e-6)
    np.testing.assert_array_equal(weights, np.repeat(weights[:1], 64, axis=0))


def test_each_number_belongs_to_one_token_and_neighbours_share() -> None:
    shared = memberships(23, 12)
    assert (shared.sum(axis=0) == 1).all()
    assert set(shared.sum(axis=1)) == {1, 2}
    assert (np.diff(shared.argmax(axis=0)) >= 0).all()
    np.testing.assert_array_equal(memberships(5, 5), np.eye(5))


def test_every_kind_of_missing_has_a_vector_of_its_own() -> None:
    layer = NumberTokens(bins=4, d_model=8, kinds=3)
    tokens = layer(np.zeros((4, 1), "float32"), np.array([[0], [1], [2], [3]], "float32")).numpy()[:, 0]
    assert len(np.unique(tokens.round(6), axis=0)) == 4


def test_the_width_must_be_a_multiple_of_the_heads() -> None:
    with pytest.raises(ValueError, match=r"d_model \(30\) must be a multiple of num_heads \(4\)"):
        MultiHeadAttention(30, 4)


def test_the_transformer_layer_stands_alone_with_the_sizes_of_the_paper() -> None:
    layer = TransformerLayer(d_model=512, num_heads=8, dff=2048, rate=0.1)
    x = numbers(2, 5, 512)
    assert tuple(layer(x, training=True).shape) == (2, 5, 512)
    assert not np.allclose(layer(x, training=True), layer(x, training=True)), "dropout is at work in training"
    np.testing.assert_array_equal(layer(x), layer(x))


def test_a_hidden_token_changes_nothing() -> None:
    layer = TransformerLayer(d_model=8, num_heads=2, dff=12, rate=0.0)
    x, mask = numbers(3, 5, 8), np.array([[True, True, True, False, True]] * 3)
    other = x.copy()
    other[:, 3] = 100.0
    seen = [0, 1, 2, 4]
    before, after = layer(x, mask=mask).numpy(), layer(other, mask=mask).numpy()
    np.testing.assert_allclose(before[:, seen], after[:, seen], atol=1e-6)


def test_a_period_never_sees_a_later_one_but_sees_every_earlier_one() -> None:
    layer = DecoderLayer(d_model=8, num_heads=2, dff=12, rate=0.0)
    x, context = numbers(3, 6, 8), numbers(3, 4, 8)
    for period in range(6):
        other = x.copy()
        other[:, period] = numbers(3, 8)
        change = np.abs(layer(other, context).numpy() - layer(x, context).numpy()).max(axis=(0, 2))
        assert (change[:period] == 0).all()
        assert (change[period:] > 1e-6).all()


def test_a_period_sees_the_whole_record() -> None:
    layer = DecoderLayer(d_model=8, num_heads=2, dff=12, rate=0.0)
    x, context = numbers(3, 6, 8), numbers(3, 4, 8)
    for token in range(4):
        other = context.copy()
        other[:, token] = numbers(3, 8)
        assert (np.abs(layer(x, other).numpy() - layer(x, context).numpy()).max(axis=(0, 2)) > 1e-6).all()
