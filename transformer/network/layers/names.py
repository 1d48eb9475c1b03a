"""Names as tokens, or as sums of vectors: Keras layers, their look-up over blocks, and the gradients behind them."""

# Keras calls the shapes of `build` by the names of `call`'s arguments, so their number and names differ from the base
# class; its stubs hold what an operation returns for possibly None; and Numba has no types.
# pyright: basic
# pyright: reportIncompatibleMethodOverride=false, reportOptionalOperand=false, reportCallIssue=false
# pyright: reportOptionalSubscript=false

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from transformer.arithmetic.kernels import compiled, prepare, turn_all
from transformer.arithmetic.simd import VECTOR, add_vector
from transformer.network.layers.form import Calls, Place, compiled_form
from transformer.network.layers.numbers import memberships


@keras.saving.register_keras_serializable("tidemark")
class NameTokens(keras.layers.Layer):
    """Tokens of names: ids (..., Q) to (..., G, D). `sizes` are the number of ids of each of the Q columns.

    With more than `tokens` names neighbours share a token, which is the sum of their vectors: G = min(Q, tokens).
    Without `tokens` each name has one.
    """

    def __init__(self, sizes: tuple[int, ...], d_model: int, *, tokens: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sizes, self.d_model, self.tokens = tuple(sizes), d_model, tokens
        self.count = min(len(self.sizes), tokens or len(self.sizes))
        self._offsets = [sum(self.sizes[:column]) for column in range(len(self.sizes))]

    def build(self, _ids_shape: Any) -> None:
        """Make one table for all columns."""
        make = keras.initializers.RandomNormal(stddev=0.3)
        self.table = self.add_weight(name="table", shape=(sum(self.sizes), self.d_model), initializer=make)

    def call(self, ids: Any) -> Any:
        """Look each id up, then add up those that share a token."""
        vectors = self.look_up(ids)
        if self.count == len(self.sizes):
            return vectors
        members = ops.cast(memberships(len(self.sizes), self.count), vectors.dtype)
        return ops.einsum("gq,...qd->...gd", members, vectors)

    def look_up(self, ids: Any) -> Any:
        """Look each id up in its own column's part of the table: (..., Q, D)."""
        return ops.take(self.table, ids + ops.convert_to_tensor(self._offsets, dtype="int32"), axis=0)

    def compute_output_shape(self, ids_shape: Any) -> Any:
        """(..., G, D)."""
        return (*ids_shape[:-1], self.count, self.d_model)

    def get_config(self) -> dict[str, Any]:
        """Everything the constructor needs."""
        own = {"sizes": self.sizes, "d_model": self.d_model}
        return super().get_config() | own | ({} if self.tokens is None else {"tokens": self.tokens})


@keras.saving.register_keras_serializable("tidemark")
class NameSums(NameTokens):
    """The sum of names' vectors: ids (B, Q) to (B, D), and (B, S, Q) to (B, S, D).

    With `flat` each of the S times Q places is a column of its own, and (B, S, Q) becomes (B, D).
    """

    def __init__(self, sizes: tuple[int, ...], d_model: int, *, flat: bool = False, **kwargs: Any) -> None:
        super().__init__(sizes, d_model, **kwargs)
        self.flat = flat

    def call(self, ids: Any) -> Any:
        """Look up and add up."""
        return ops.sum(self.look_up(ops.reshape(ids, (-1, len(self.sizes))) if self.flat else ids), axis=-2)

    def compute_output_shape(self, ids_shape: Any) -> Any:
        """(..., D)."""
        return (ids_shape[0], self.d_model) if self.flat else (*ids_shape[:-1], self.d_model)

    def get_config(self) -> dict[str, Any]:
        """Everything the constructor needs."""
        return super().get_config() | {"flat": self.flat}


@compiled_form(NameTokens, reads_columns=True)
def form_of_name_tokens(layer: Any, place: Place) -> Calls | None:
    """Each column has a token, or shares one with its neighbours."""
    columns = len(layer.sizes)
    return (
        _form(layer, place, np.arange(columns) * layer.count // columns)
        if place.inputs[0].shape[1] == columns
        else None
    )


@compiled_form(NameSums, reads_columns=True)
def form_of_name_sums(layer: Any, place: Place) -> Calls:
    """The columns of a period share its token."""
    columns, tokens = place.inputs[0].shape[1], place.output.shape[0]
    return _form(layer, place, np.arange(columns) * tokens // columns)


def _form(layer: Any, place: Place, tokens: NDArray[np.int64]) -> Calls:
    ids, columns = place.inputs[0], len(tokens)
    first = np.tile(np.cumsum([0, *layer.sizes[:-1]]), columns // len(layer.sizes)).astype(np.int64)
    forward = prepare(_look_up, ids, place.view(layer.table), first, tokens, place.output)
    if place.view_gradient is None:
        return Calls([forward])
    d_table = place.view_gradient(layer.table)
    return Calls([forward], [prepare(_look_up_back, ids, place.d_output, first, tokens, d_table)])


@compiled
def _look_up(ids, table, first, token, out):
    tokens, width, _ = out.shape
    whole = width - width % VECTOR
    sums = np.empty((VECTOR, tokens * width), np.float32)
    for start in range(0, ids.shape[0], VECTOR):
        sums[:] = 0
        for i in range(VECTOR):
            for column in range(ids.shape[1]):
                row, at = first[column] + ids[start + i, column], token[column] * width
                for d in range(0, whole, VECTOR):
                    add_vector(table, row, d, sums, i, at + d)
                for d in range(whole, width):
                    sums[i, at + d] += table[row, d]
        for t in range(tokens):
            turn_all(sums[:, t * width : (t + 1) * width], out[t, :, start : start + VECTOR])


@compiled
def _look_up_back(ids, d_out, first, token, d_table):
    tokens, width, _ = d_out.shape
    sums = np.empty((VECTOR, tokens * width), np.float32)
    for start in range(0, ids.shape[0], VECTOR):
        for t in range(tokens):
            turn_all(d_out[t, :, start : start + VECTOR], sums[:, t * width : (t + 1) * width])
        for i in range(VECTOR):
            for column in range(ids.shape[1]):
                row, at = first[column] + ids[start + i, column], token[column] * width
                for d in range(width):
                    d_table[row, d] += sums[i, at + d]
