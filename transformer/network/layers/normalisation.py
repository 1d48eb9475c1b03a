"""The compiled form of Keras' layer norm, and the gradient behind it."""

# Numba and Keras have no types.
# pyright: basic
# pyright: reportCallIssue=false

from typing import Any, NamedTuple

import keras

from transformer.arithmetic.gradients import normalise_back
from transformer.arithmetic.kernels import EPSILON, Floats, compiled, normalise, prepare
from transformer.network.layers.form import Calls, Place, compiled_form


class NormKept(NamedTuple):
    """What a norm leaves behind."""

    hat: Floats
    inverse_deviation: Floats


@compiled_form(keras.layers.LayerNormalization)
def form_of_norm(layer: Any, place: Place) -> Calls | None:
    """Over the last axis, scaled and shifted, with our own epsilon."""
    tokens, width, _ = place.output.shape
    if (
        abs(layer.epsilon - EPSILON) > 1e-12
        or layer.gamma is None
        or layer.beta is None
        or layer.gamma.shape != (width,)
    ):
        return None
    kept_width = width if place.is_learning else 0
    kept = NormKept(place.keep(place.many(tokens), kept_width), place.keep(place.many(tokens)))
    weights = place.norm(layer, place.view)
    forward = prepare(_normalise_all, place.inputs[0], weights, kept, place.output)
    if place.view_gradient is None:
        return Calls([forward])
    gradients = place.norm(layer, place.view_gradient)
    return Calls([forward], [prepare(_normalise_all_back, place.d_output, kept, weights, gradients, place.d_inputs[0])])


@compiled
def _normalise_all(x, norm, kept, out):
    for t in range(x.shape[0]):
        at = t % kept.hat.shape[0]
        normalise(x[t], norm, kept.hat[at], kept.inverse_deviation[at], out[t])


@compiled
def _normalise_all_back(d_out, kept, norm, gradients, dx):
    for t in range(dx.shape[0]):
        normalise_back(d_out[t], kept.hat[t], kept.inverse_deviation[t], norm, gradients, dx[t])
