"""Numbers as tokens, or as a linear map of all of them: Keras layers, tables over blocks, and gradients behind them.

Numbers are embedded piecewise-linearly (Gorishniy et al. 2022, arXiv 2203.05556): a position u on K bins becomes
clip(u - k, 0, 1) for k = 0 .. K - 1, and each bin adds its share of a learnt vector. A missing number adds a vector of
its own, never a mean; so does each special code. Kinds of missing: 0 the number is there, 1 blank, 2 and up the codes.

Compiled, a number is one row of a table and a share of the next instead of all bins times a matrix.
"""

# Keras calls the shapes of `build` by the names of `call`'s arguments, so their number and names differ from the base
# class; its stubs hold what an operation returns for possibly None; and Numba has no types.
# pyright: basic
# pyright: reportIncompatibleMethodOverride=false, reportOptionalOperand=false, reportCallIssue=false
# pyright: reportOptionalSubscript=false

import math
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from transformer.arithmetic.kernels import padded, prepare
from transformer.arithmetic.number_tables import NumberTable, NumberWeights, fill_table, look_up, look_up_back
from transformer.network.layers.form import Calls, Place, View, compiled_form


@keras.saving.register_keras_serializable("tidemark")
class NumberTokens(keras.layers.Layer):
    """Tokens of numbers: positions and kinds (B, P) to (B, G, D).

    With more than `tokens` numbers neighbours share a token, which is the sum of their vectors: G = min(P, tokens).
    Attention costs G squared, and columns that stand together mostly belong together.
    """

    def __init__(self, bins: int, d_model: int, kinds: int = 1, tokens: int = 12, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bins, self.d_model, self.kinds, self.tokens = bins, d_model, kinds, tokens

    def build(self, positions_shape: Any, missing_shape: Any) -> None:
        """Make a vector per field and bin, per field and kind of missing, and per field alone."""
        fields = positions_shape[-1]
        make = keras.initializers.RandomNormal(stddev=self.bins**-0.5)
        small = keras.initializers.RandomNormal(stddev=0.1)
        self.slopes = self.add_weight(name="slopes", shape=(fields, self.bins, self.d_model), initializer=make)
        self.absent = self.add_weight(name="absent", shape=(fields, self.kinds, self.d_model), initializer=small)
        self.bias = self.add_weight(name="bias", shape=(fields, self.d_model), initializer=small)
        self._membership = memberships(fields, min(fields, self.tokens))

    def call(self, positions: Any, missing: Any) -> Any:
        """Embed each number by itself, then add up those that share a token."""
        shares, kinds = bin_shares(positions, self.bins), kind_flags(missing, self.kinds)  # (B, P, K), (B, P, M)
        vectors = ops.einsum("bpk,pkd->bpd", shares, self.slopes) + ops.einsum("bpm,pmd->bpd", kinds, self.absent)
        vectors = vectors + self.bias
        if self._membership.shape[0] == self._membership.shape[1]:
            return vectors
        return ops.einsum("gp,bpd->bgd", ops.cast(self._membership, vectors.dtype), vectors)

    def compute_output_shape(self, positions_shape: Any, missing_shape: Any) -> Any:
        """(B, G, D)."""
        return (positions_shape[0], min(positions_shape[1], self.tokens), self.d_model)

    def get_config(self) -> dict[str, Any]:
        """Everything the constructor needs."""
        own = {"bins": self.bins, "d_model": self.d_model, "kinds": self.kinds, "tokens": self.tokens}
        return super().get_config() | own


def memberships(fields: int, tokens: int) -> NDArray[np.float32]:
    """Return (G, P) of 0 and 1: which of the P fields, cut into G runs of about equal length, share a token."""
    token_of = np.arange(fields) * tokens // fields
    return (token_of == np.arange(tokens)[:, None]).astype(np.float32)


@keras.saving.register_keras_serializable("tidemark")
class MonthTokens(keras.layers.Layer):
    """One token per period: what happened in it. Positions and kinds (B, S, H) to (B, S, D).

    A linear map of all bins and kinds of all H histories, the same for every period.
    """

    def __init__(self, bins: int, d_model: int, kinds: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bins, self.d_model, self.kinds = bins, d_model, kinds

    def build(self, positions_shape: Any, missing_shape: Any) -> None:
        """Make the map."""
        _, _, histories = positions_shape
        make = keras.initializers.RandomNormal(stddev=(self.bins * histories) ** -0.5)
        small = keras.initializers.RandomNormal(stddev=0.1)
        self.slopes = self.add_weight(name="slopes", shape=(histories, self.bins, self.d_model), initializer=make)
        self.absent = self.add_weight(name="absent", shape=(histories, self.kinds, self.d_model), initializer=small)

    def call(self, positions: Any, missing: Any) -> Any:
        """Embed each period by itself."""
        shares, kinds = bin_shares(positions, self.bins), kind_flags(missing, self.kinds)  # (B, S, H, K), (B, S, H, M)
        return ops.einsum("bshk,hkd->bsd", shares, self.slopes) + ops.einsum("bshm,hmd->bsd", kinds, self.absent)

    def compute_output_shape(self, positions_shape: Any, missing_shape: Any) -> Any:
        """(B, S, D)."""
        return (*positions_shape[:-1], self.d_model)

    def get_config(self) -> dict[str, Any]:
        """Everything the constructor needs."""
        return super().get_config() | {"bins": self.bins, "d_model": self.d_model, "kinds": self.kinds}


@keras.saving.register_keras_serializable("tidemark")
class DirectNumbers(keras.layers.Layer):
    """A linear map of all bins and kinds of N numbers, wherever they stand: (B, ..., N) twice to (B, D).

    The way past attention: sharp steps of single fields need not squeeze through tokens.
    """

    def __init__(self, bins: int, d_model: int, kinds: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bins, self.d_model, self.kinds = bins, d_model, kinds

    def build(self, positions_shape: Any, missing_shape: Any) -> None:
        """Make the map."""
        self._numbers = math.prod(positions_shape[1:])
        make = keras.initializers.RandomNormal(stddev=(8 / (self.bins * self._numbers)) ** 0.5)
        small = keras.initializers.RandomNormal(stddev=0.1)
        self.slopes = self.add_weight(name="slopes", shape=(self._numbers, self.bins, self.d_model), initializer=make)
        self.absent = self.add_weight(name="absent", shape=(self._numbers, self.kinds, self.d_model), initializer=small)

    def call(self, positions: Any, missing: Any) -> Any:
        """Map them."""
        shares = bin_shares(ops.reshape(positions, (-1, self._numbers)), self.bins)  # (B, N, K)
        kinds = kind_flags(ops.reshape(missing, (-1, self._numbers)), self.kinds)  # (B, N, M)
        shares = ops.reshape(shares, (-1, self._numbers * self.bins))
        kinds = ops.reshape(kinds, (-1, self._numbers * self.kinds))
        slopes = ops.reshape(self.slopes, (self._numbers * self.bins, self.d_model))
        absent = ops.reshape(self.absent, (self._numbers * self.kinds, self.d_model))
        return ops.matmul(shares, slopes) + ops.matmul(kinds, absent)

    def compute_output_shape(self, positions_shape: Any, missing_shape: Any) -> Any:
        """(B, D)."""
        return (positions_shape[0], self.d_model)

    def get_config(self) -> dict[str, Any]:
        """Everything the constructor needs."""
        return super().get_config() | {"bins": self.bins, "d_model": self.d_model, "kinds": self.kinds}


def bin_shares(positions: Any, bins: int) -> Any:
    """Return clip(u - k, 0, 1) for k = 0 .. bins - 1: (..., K)."""
    return ops.clip(positions[..., None] - ops.arange(bins, dtype=positions.dtype), 0.0, 1.0)


def kind_flags(missing: Any, kinds: int) -> Any:
    """Return 1.0 where a number is missing in the first, second, ... way, else 0.0: (..., M)."""
    return ops.cast(ops.equal(missing[..., None], ops.arange(1, kinds + 1, dtype=missing.dtype)), missing.dtype)


@compiled_form(NumberTokens, reads_columns=True)
def form_of_number_tokens(layer: Any, place: Place) -> Calls:
    """Neighbours share a token."""
    fields = layer.slopes.shape[0]
    tokens = np.arange(fields) * min(fields, layer.tokens) // fields
    return _form(layer, place, tokens, np.arange(fields))


@compiled_form(MonthTokens, reads_columns=True)
def form_of_month_tokens(layer: Any, place: Place) -> Calls:
    """All columns of a period share its token, and each the vectors of its history."""
    steps, histories = place.output.shape[0], layer.slopes.shape[0]
    return _form(layer, place, np.repeat(np.arange(steps), histories), np.tile(np.arange(histories), steps))


@compiled_form(DirectNumbers, reads_columns=True)
def form_of_direct_numbers(layer: Any, place: Place) -> Calls:
    """All columns share the one token."""
    numbers = layer.slopes.shape[0]
    return _form(layer, place, np.zeros(numbers, np.int64), np.arange(numbers))


def _form(layer: Any, place: Place, tokens: NDArray[np.int64], of: NDArray[np.int64]) -> Calls:
    def read(view: View) -> NumberWeights:
        slopes = view(layer.slopes)
        bias = view(layer.bias) if hasattr(layer, "bias") else np.zeros(slopes.shape[::2], np.float32)
        return NumberWeights(slopes, view(layer.absent), bias)

    weights = read(place.view)
    numbers, bins, width = weights.slopes.shape
    a_number, size = bins + weights.absent.shape[1], padded(width)
    rows, begin = (
        np.zeros((numbers * a_number, 2, size), np.float32),
        np.zeros(place.output.shape[0] * size, np.float32),
    )
    table = NumberTable(rows, begin, of * a_number, tokens * size, of)
    refresh = prepare(fill_table, weights, table)
    forward = prepare(look_up, *place.inputs, table, bins, place.output)
    if place.view_gradient is None:
        return Calls([forward], refresh=[refresh])
    slopes = table._replace(rows=np.zeros_like(rows), begin=np.zeros_like(begin))
    back = prepare(look_up_back, *place.inputs, place.d_output, slopes, read(place.view_gradient))
    return Calls([forward], [back], [refresh])
