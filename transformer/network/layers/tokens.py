"""What is done with whole tokens: vectors added, a token put first, streams added up, joined, and summarised.

What is joined is written in one piece from the first, so that joining costs nothing.
"""

# Keras calls the shapes of `build` by the names of `call`'s arguments, so their number and names differ from the base
# class; its stubs hold what an operation returns for possibly None; and Numba has no types.
# pyright: basic
# pyright: reportIncompatibleMethodOverride=false, reportOptionalOperand=false, reportCallIssue=false
# pyright: reportOptionalSubscript=false

from functools import partial
from typing import Any

import keras
import numpy as np
from keras import ops

from transformer.arithmetic.gradients import add_sums
from transformer.arithmetic.kernels import BLOCK_ROWS, Floats, compiled, prepare
from transformer.network.layers.form import TOKENS, WIDTH, Call, Calls, Place, View, compiled_form


def _listed(x: Any) -> list[Any]:
    """Some tensors, or their shapes: one alone is a list of one."""
    is_one_shape = isinstance(x, tuple) and not isinstance(x[0], tuple)
    return list(x) if isinstance(x, (list, tuple)) and not is_one_shape else [x]


@keras.saving.register_keras_serializable("tidemark")
class LearntVectors(keras.layers.Layer):
    """Adds up one or some (B, T, D), and a learnt vector to each of the T tokens: where in the sequence it stands."""

    def build(self, input_shape: Any) -> None:
        """Make a vector per place."""
        make = keras.initializers.RandomNormal(stddev=0.1)
        self.vectors = self.add_weight(name="vectors", shape=_listed(input_shape)[0][1:], initializer=make)

    def call(self, x: Any) -> Any:
        """Add them."""
        first, *others = _listed(x)
        return sum(others, first) + self.vectors

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the input."""
        return _listed(input_shape)[0]


@keras.saving.register_keras_serializable("tidemark")
class PooledToken(keras.layers.Layer):
    """Puts one learnt token before the tokens of one or some (B, T, D); attention gathers the record in it."""

    def build(self, input_shape: Any) -> None:
        """Make the token."""
        make = keras.initializers.RandomNormal(stddev=0.3)
        self.token = self.add_weight(name="token", shape=(1, 1, _listed(input_shape)[0][-1]), initializer=make)

    def call(self, x: Any) -> Any:
        """Put it first."""
        parts = _listed(x)
        return ops.concatenate([ops.zeros_like(parts[0][:, :1]) + self.token, *parts], axis=1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """One token more."""
        (batch, _, width), tokens = _listed(input_shape)[0], sum(shape[1] for shape in _listed(input_shape))
        return (batch, tokens + 1, width)


@keras.saving.register_keras_serializable("tidemark")
class BlankToken(keras.layers.Layer):
    """A token of zeros (B, 1, D) for a record that has no fields: the pooled token is all there is to encode."""

    def __init__(self, d_model: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.d_model = d_model

    def call(self, x: Any) -> Any:
        """Take the number of records from the input."""
        return ops.zeros((ops.shape(x)[0], 1, self.d_model), self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(B, 1, D)."""
        return (input_shape[0], 1, self.d_model)

    def get_config(self) -> dict[str, Any]:
        """Everything the constructor needs."""
        return super().get_config() | {"d_model": self.d_model}


@keras.saving.register_keras_serializable("tidemark")
class Summary(keras.layers.Layer):
    """Tokens (B, T, D) to (B, 2 D): one of them, and the mean of all."""

    def __init__(self, token: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.token = token

    def call(self, x: Any) -> Any:
        """Put them side by side."""
        return ops.concatenate([x[:, self.token], ops.mean(x, axis=1)], axis=-1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(B, 2 D)."""
        return (input_shape[0], 2 * input_shape[2])

    def get_config(self) -> dict[str, Any]:
        """Everything the constructor needs."""
        return super().get_config() | {"token": self.token}


@keras.saving.register_keras_serializable("tidemark")
class Join(keras.layers.Layer):
    """Some (B, D) side by side."""

    def call(self, parts: list[Any]) -> Any:
        """Join them."""
        return ops.concatenate(parts, axis=-1)

    def compute_output_shape(self, shapes: Any) -> Any:
        """(B, the sum of widths)."""
        return (shapes[0][0], sum(shape[-1] for shape in shapes))


@compiled_form(LearntVectors, in_place=True)
def form_of_learnt_vectors(layer: Any, place: Place) -> Calls:
    """The first input is added to in place."""

    def read(view: View) -> Floats:
        return view(layer.vectors).reshape(place.output.shape[:2])

    forward: list[Call] = [prepare(_add_vectors, read(place.view), place.output)]
    forward += [prepare(_add_all, one, place.output) for one in place.inputs[1:]]
    if place.view_gradient is None:
        return Calls(forward)
    back: list[Call] = [prepare(_add_all, place.d_output, one) for one in place.d_inputs[1:]]
    return Calls(forward, [*back, prepare(_add_vectors_back, place.d_output, read(place.view_gradient))])


@compiled_form(PooledToken, joins=TOKENS)
def form_of_pooled_token(layer: Any, place: Place) -> Calls:
    """The others stand where they belong."""

    def read(view: View) -> Floats:
        return view(layer.token).reshape(1, -1)

    forward = [prepare(_set_vectors, read(place.view), place.output)]
    if place.view_gradient is None:
        return Calls(forward)
    return Calls(forward, [prepare(_add_vectors_back, place.d_output[:1], read(place.view_gradient))])


@compiled_form(BlankToken, reads_columns=True)
def form_of_blank_token(_layer: Any, place: Place) -> Calls:
    """Clear it: a layer behind it may have worked in place."""
    return Calls([partial(place.output.fill, 0)])


@compiled_form(Join, joins=WIDTH)
def form_of_join(_layer: Any, _place: Place) -> Calls:
    """The parts stand where they belong."""
    return Calls([])


@compiled_form(Summary)
def form_of_summary(layer: Any, place: Place) -> Calls:
    """The mean is a sum in the order of the tokens."""
    token = layer.token % place.inputs[0].shape[0]
    forward = [prepare(_summarise, place.inputs[0], token, place.output)]
    back = [prepare(_summarise_back, place.d_inputs[0], token, place.d_output)] if place.is_learning else []
    return Calls(forward, back)


@compiled
def _set_vectors(vectors, out):
    for t in range(vectors.shape[0]):
        for d in range(vectors.shape[1]):
            for record in range(BLOCK_ROWS):
                out[t, d, record] = vectors[t, d]


@compiled
def _add_vectors(vectors, x):
    for t in range(x.shape[0]):
        for d in range(x.shape[1]):
            own = vectors[t, d]
            for record in range(BLOCK_ROWS):
                x[t, d, record] += own


@compiled
def _add_all(x, out):
    for t in range(x.shape[0]):
        for d in range(x.shape[1]):
            for record in range(BLOCK_ROWS):
                out[t, d, record] += x[t, d, record]


@compiled
def _add_vectors_back(d_out, gradients):
    for t in range(d_out.shape[0]):
        add_sums(d_out[t : t + 1], gradients[t])


@compiled
def _summarise(x, token, out):
    tokens, width, _ = x.shape
    one, mean = out[0, :width], out[0, width:]
    share = np.float32(1) / np.float32(tokens)
    for d in range(width):
        for record in range(BLOCK_ROWS):
            one[d, record] = x[token, d, record]
            mean[d, record] = x[0, d, record] * share
        for t in range(1, tokens):
            for record in range(BLOCK_ROWS):
                mean[d, record] += x[t, d, record] * share


@compiled
def _summarise_back(dx, token, d_out):
    tokens, width, _ = dx.shape
    one, mean = d_out[0, :width], d_out[0, width:]
    share = np.float32(1) / np.float32(tokens)
    for t in range(tokens):
        for d in range(width):
            for record in range(BLOCK_ROWS):
                dx[t, d, record] += mean[d, record] * share
    for d in range(width):
        for record in range(BLOCK_ROWS):
            dx[token, d, record] += one[d, record]
