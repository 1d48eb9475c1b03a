"""Turns fields and months into tokens of width D.

Numbers are embedded piecewise-linearly (Gorishniy et al. 2022, arXiv 2203.05556): a position u on K bins becomes
clip(u - k, 0, 1) for k = 0 .. K - 1, and each bin adds its share of a learnt vector. A missing number adds a vector of
its own, never a mean.
"""

# Keras calls the shapes of `build` by the names of `call`'s arguments, so their number and names differ from the base
# class; and its stubs hold what an operation returns for possibly None.
# pyright: reportIncompatibleMethodOverride=false, reportOptionalOperand=false, reportOptionalSubscript=false

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("tidemark")
class NumberTokens(keras.layers.Layer):
    """One token per number: positions and missing flags (B, P) to (B, P, D)."""

    def __init__(self, bins: int, d_model: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bins, self.d_model = bins, d_model

    def build(self, positions_shape: Any, missing_shape: Any) -> None:
        """Make a vector per field and bin, per field for missing, and per field alone."""
        fields = positions_shape[-1]
        make = keras.initializers.RandomNormal(stddev=self.bins**-0.5)
        small = keras.initializers.RandomNormal(stddev=0.1)
        self.slopes = self.add_weight(name="slopes", shape=(fields, self.bins, self.d_model), initializer=make)
        self.absent = self.add_weight(name="absent", shape=(fields, self.d_model), initializer=small)
        self.bias = self.add_weight(name="bias", shape=(fields, self.d_model), initializer=small)

    def call(self, positions: Any, missing: Any) -> Any:
        """Embed each number by itself."""
        shares = bin_shares(positions, self.bins)  # (B, P, K)
        present = ops.einsum("bpk,pkd->bpd", shares, self.slopes)
        return present + missing[..., None] * self.absent + self.bias

    def compute_output_shape(self, positions_shape: Any, missing_shape: Any) -> Any:
        """(B, P, D)."""
        return (*positions_shape, self.d_model)

    def get_config(self) -> dict[str, Any]:
        """Everything the constructor needs."""
        return super().get_config() | {"bins": self.bins, "d_model": self.d_model}


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
    """One token per period: what happened in it, and when it was.

    Positions and missing flags (B, S, H) to (B, S, D): a linear map of all bins of all H histories, the same for every
    period, plus a learnt vector for the period.
    """

    def __init__(self, bins: int, d_model: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bins, self.d_model = bins, d_model

    def build(self, positions_shape: Any, missing_shape: Any) -> None:
        """Make the map and the vectors of the periods."""
        _, _, histories = positions_shape
        make = keras.initializers.RandomNormal(stddev=(self.bins * histories) ** -0.5)
        small = keras.initializers.RandomNormal(stddev=0.1)
        self.slopes = self.add_weight(name="slopes", shape=(histories, self.bins, self.d_model), initializer=make)
        self.absent = self.add_weight(name="absent", shape=(histories, self.d_model), initializer=small)

    def call(self, positions: Any, missing: Any) -> Any:
        """Embed each period by itself."""
        shares = bin_shares(positions, self.bins)  # (B, S, H, K)
        return ops.einsum("bshk,hkd->bsd", shares, self.slopes) + ops.einsum("bsh,hd->bsd", missing, self.absent)

    def compute_output_shape(self, positions_shape: Any, missing_shape: Any) -> Any:
        """(B, S, D)."""
        return (*positions_shape[:-1], self.d_model)

    def get_config(self) -> dict[str, Any]:
        """Everything the constructor needs."""
        return super().get_config() | {"bins": self.bins, "d_model": self.d_model}


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
class HeadMembers(keras.layers.Layer):
    """E small heads side by side: (B, D) to (B, E) logits. Their mean is steadier than one head of their joint size."""

    def __init__(self, members: int, hidden: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.members, self.hidden = members, hidden

    def build(self, input_shape: Any) -> None:
        """Make every member's two layers."""
        width = input_shape[-1]
        first = keras.initializers.RandomNormal(stddev=width**-0.5)
        second = keras.initializers.RandomNormal(stddev=0.5 * self.hidden**-0.5)
        self.inner = self.add_weight(name="inner", shape=(self.members, width, self.hidden), initializer=first)
        self.inner_bias = self.add_weight(name="inner_bias", shape=(self.members, self.hidden), initializer="zeros")
        self.outer = self.add_weight(name="outer", shape=(self.members, self.hidden), initializer=second)
        self.outer_bias = self.add_weight(name="outer_bias", shape=(self.members,), initializer="zeros")

    def call(self, x: Any) -> Any:
        """Give each member's logit."""
        hidden = keras.activations.gelu(ops.einsum("bd,edh->beh", x, self.inner) + self.inner_bias)
        return ops.einsum("beh,eh->be", hidden, self.outer) + self.outer_bias

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(B, E)."""
        return (input_shape[0], self.members)

    def get_config(self) -> dict[str, Any]:
        """Everything the constructor needs."""
        return super().get_config() | {"members": self.members, "hidden": self.hidden}


def bin_shares(positions: Any, bins: int) -> Any:
    """Return clip(u - k, 0, 1) for k = 0 .. bins - 1: (..., K)."""
    return ops.clip(positions[..., None] - ops.arange(bins, dtype=positions.dtype), 0.0, 1.0)
