"""Attention's mixing against a plain softmax, for numbers of tokens that fill its steps of four and that do not."""

import numpy as np
import pytest
from numpy.typing import NDArray

from transformer.arithmetic.dropout import Dropout
from transformer.arithmetic.kernels import BLOCK_PITCH, BLOCK_ROWS
from transformer.arithmetic.mixing import mix, mix_back

HEADS, WIDTH = 2, 6  # the width of a head is no multiple of four
NOTHING = Dropout.of(0.0, 0)

Floats = NDArray[np.float64]


def _draw(random: np.random.Generator, tokens: int) -> NDArray[np.float32]:
    return random.normal(size=(tokens, HEADS * WIDTH, BLOCK_PITCH)).astype(np.float32)


def _plain_mix(query: Floats, key: Floats, value: Floats, *, is_causal: bool) -> Floats:
    """What `mix` computes, of arrays (T, D, records) in 64 bits."""
    tokens, many = len(query), len(key)
    split = [one.reshape(len(one), HEADS, WIDTH, -1) for one in (query, key, value)]
    logits = np.einsum("thkr,mhkr->htmr", split[0], split[1]) / np.sqrt(WIDTH)
    if is_causal:
        logits = np.where(np.tri(tokens, many, dtype=bool)[None, :, :, None], logits, -np.inf)
    shares = np.exp(logits - logits.max(axis=2, keepdims=True))
    shares /= shares.sum(axis=2, keepdims=True)
    return np.einsum("htmr,mhkr->thkr", shares, split[2]).reshape(query.shape)


CASES = [(1, 1, False), (2, 5, False), (3, 2, False), (7, 9, False), (1, 1, True), (6, 6, True), (9, 9, True)]


@pytest.mark.parametrize(("tokens", "many", "is_causal"), CASES)
@pytest.mark.parametrize("is_kept", [True, False])
def test_tokens_are_mixed_by_the_softmax_of_what_they_have_in_common(
    tokens: int, many: int, *, is_causal: bool, is_kept: bool
) -> None:
    random = np.random.default_rng(5)
    query, key, value = _draw(random, tokens), _draw(random, many), _draw(random, many)
    shares = np.zeros((HEADS, tokens, many, BLOCK_PITCH) if is_kept else (1, 1, many, BLOCK_PITCH), np.float32)
    found = np.zeros_like(query)
    mix(query, key, value, HEADS, is_causal, NOTHING, np.uint32(1), shares, found)
    wide = (one[..., :BLOCK_ROWS].astype(np.float64) for one in (query, key, value))
    np.testing.assert_allclose(found[..., :BLOCK_ROWS], _plain_mix(*wide, is_causal=is_causal), atol=2e-5)


@pytest.mark.parametrize(("tokens", "many", "is_causal"), CASES)
def test_the_gradient_of_mixing_is_its_slope(tokens: int, many: int, *, is_causal: bool) -> None:
    random = np.random.default_rng(6)
    arrays = [_draw(random, tokens), _draw(random, many), _draw(random, many)]
    d_found, shares = _draw(random, tokens), np.zeros((HEADS, tokens, many, BLOCK_PITCH), np.float32)
    found, nothing = np.zeros_like(d_found), np.zeros((1, 0, BLOCK_PITCH), np.float32)
    mix(*arrays, HEADS, is_causal, NOTHING, np.uint32(1), shares, found)
    gradients = [np.zeros_like(one) for one in arrays]
    kept = (nothing, nothing[0], *arrays, shares, found)
    mix_back(d_found, kept, HEADS, is_causal, NOTHING, np.uint32(1), *gradients)
    wide = [one[..., :BLOCK_ROWS].astype(np.float64) for one in arrays]
    for which, gradient in enumerate(gradients):
        way, step = random.normal(size=wide[which].shape), 1e-5
        sides = [[*wide] for _ in range(2)]
        sides[0][which] = wide[which] + step * way
        sides[1][which] = wide[which] - step * way
        above, below = (_plain_mix(*one, is_causal=is_causal) for one in sides)
        expected = ((above - below) / (2 * step) * d_found[..., :BLOCK_ROWS]).sum(axis=(0, 1))
        np.testing.assert_allclose((gradient[..., :BLOCK_ROWS] * way).sum(axis=(0, 1)), expected, atol=2e-3, rtol=1e-3)
