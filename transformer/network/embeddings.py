"""Turns fields and months into tokens of width D.

Numbers are embedded piecewise-linearly (Gorishniy et al. 2022, arXiv 2203.05556): a position u on K bins becomes
clip(u - k, 0, 1) for k = 0 .. K - 1, and each bin adds its share of a learnt vector. A missing number adds a vector of
its own, never a mean; so does each special code. Kinds of missing: 0 the number is there, 1 blank, 2 and up the codes.
"""

# Keras calls the shapes of `build` by the names of `call`'s arguments, so their number and names differ from the base
# class; and its stubs hold what an operation returns for possibly None.
# pyright: reportIncompatibleMethodOverride=false, reportOptionalOperand=false, reportOptionalSubscript=false

import math
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray


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
class NameTokens(keras.layers.Layer):
    """One token per name: ids (..., Q) to (..., Q, D). `sizes` are the number of ids of each of the Q columns."""

    def __init__(self, sizes: tuple[int, ...], d_model: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sizes, self.d_model = tuple(sizes), d_model
        self._offsets = [sum(self.sizes[:column]) for column in range(len(self.sizes))]

    def build(self, _ids_shape: Any) -> None:
        """Make one table for all columns."""
        make = keras.initializers.RandomNormal(stddev=0.3)
        self.table = self.add_weight(name="table", shape=(sum(self.sizes), self.d_model), initializer=make)

    def call(self, ids: Any) -> Any:
        """Look each id up in its own column's part of the table."""
        return ops.take(self.table, ids + ops.convert_to_tensor(self._offsets, dtype="int32"), axis=0)

    def compute_output_shape(self, ids_shape: Any) -> Any:
        """(..., Q, D)."""
        return (*ids_shape, self.d_model)

    def get_config(self) -> dict[str, Any]:
        """Everything the constructor needs."""
        return super().get_config() | {"sizes": self.sizes, "d_model": self.d_model}


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


@keras.saving.register_keras_serializable("tidemark")
class LearntVectors(keras.layers.Layer):
    """Adds a learnt vector to each of the T tokens of (B, T, D): where in the sequence it stands."""

    def build(self, input_shape: Any) -> None:
        """Make a vector per place."""
        make = keras.initializers.RandomNormal(stddev=0.1)
        self.vectors = self.add_weight(name="vectors", shape=input_shape[1:], initializer=make)

    def call(self, x: Any) -> Any:
        """Add them."""
        return x + self.vectors

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the input."""
        return input_shape


@keras.saving.register_keras_serializable("tidemark")
class PooledToken(keras.layers.Layer):
    """Puts one learnt token before the T tokens of (B, T, D); attention gathers the record in it."""

    def build(self, input_shape: Any) -> None:
        """Make the token."""
        make = keras.initializers.RandomNormal(stddev=0.3)
        self.token = self.add_weight(name="token", shape=(1, 1, input_shape[-1]), initializer=make)

    def call(self, x: Any) -> Any:
        """Put it first."""
        return ops.concatenate([ops.zeros_like(x[:, :1]) + self.token, x], axis=1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """One token more."""
        batch, tokens, width = input_shape
        return (batch, tokens + 1, width)


@keras.saving.register_keras_serializable("tidemark")
class DirectMembers(keras.layers.Layer):
    """E hidden layers that share their weights but not their scales: (B, D) to (B, E) logits.

    relu(x * scale + shift) @ outer, one scale, shift and outer for each member (after TabM, Gorishniy et al. 2024,
    arXiv 2410.24210): an ensemble for the price of one map.
    """

    def __init__(self, members: int, rate: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.members, self.rate = members, rate
        self.dropout = keras.layers.Dropout(rate, dtype=self.dtype_policy)

    def build(self, input_shape: Any) -> None:
        """Make every member's scale, shift and outer layer."""
        shape = (self.members, input_shape[-1])
        around_one = keras.initializers.RandomNormal(mean=1.0, stddev=0.5)
        around_zero = keras.initializers.RandomNormal(stddev=0.3)
        small = keras.initializers.RandomNormal(stddev=0.5 * input_shape[-1] ** -0.5)
        self.scale = self.add_weight(name="scale", shape=shape, initializer=around_one)
        self.shift = self.add_weight(name="bias", shape=shape, initializer=around_zero)
        self.outer = self.add_weight(name="outer", shape=shape, initializer=small)

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Give each member's logit."""
        hidden = ops.relu(x[:, None] * self.scale + self.shift)  # (B, E, D)
        return ops.einsum("bed,ed->be", self.dropout(hidden, training=training), self.outer)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(B, E)."""
        return (input_shape[0], self.members)

    def get_config(self) -> dict[str, Any]:
        """Everything the constructor needs."""
        return super().get_config() | {"members": self.members, "rate": self.rate}


@keras.saving.register_keras_serializable("tidemark")
class HeadMembers(keras.layers.Layer):
    """E small heads side by side: (B, D) to (B, E) logits. Their mean is steadier than one head of their joint size.

    Beside its hidden layer each has a linear part; a linear probe is a head whose hidden part is zero.
    """

    def __init__(self, members: int, hidden: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.members, self.hidden = members, hidden

    def build(self, input_shape: Any) -> None:
        """Make every member's weights."""
        width = input_shape[-1]
        first = keras.initializers.RandomNormal(stddev=width**-0.5)
        second = keras.initializers.RandomNormal(stddev=0.5 * self.hidden**-0.5)
        self.inner = self.add_weight(name="inner", shape=(self.members, width, self.hidden), initializer=first)
        self.inner_bias = self.add_weight(name="inner_bias", shape=(self.members, self.hidden), initializer="zeros")
        self.outer = self.add_weight(name="outer", shape=(self.members, self.hidden), initializer=second)
        self.outer_bias = self.add_weight(name="outer_bias", shape=(self.members,), initializer="zeros")
        self.linear = self.add_weight(name="linear", shape=(width, self.members), initializer="zeros")

    def call(self, x: Any) -> Any:
        """Give each member's logit."""
        hidden = keras.activations.gelu(ops.einsum("bd,edh->beh", x, self.inner) + self.inner_bias)
        return ops.einsum("beh,eh->be", hidden, self.outer) + self.outer_bias + ops.matmul(x, self.linear)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(B, E)."""
        return (input_shape[0], self.members)

    def get_config(self) -> dict[str, Any]:
        """Everything the constructor needs."""
        return super().get_config() | {"members": self.members, "hidden": self.hidden}


def bin_shares(positions: Any, bins: int) -> Any:
    """Return clip(u - k, 0, 1) for k = 0 .. bins - 1: (..., K)."""
    return ops.clip(positions[..., None] - ops.arange(bins, dtype=positions.dtype), 0.0, 1.0)


def kind_flags(missing: Any, kinds: int) -> Any:
    """Return 1.0 where a number is missing in the first, second, ... way, else 0.0: (..., M)."""
    return ops.cast(ops.equal(missing[..., None], ops.arange(1, kinds + 1, dtype=missing.dtype)), missing.dtype)
