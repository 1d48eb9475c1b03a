"""Reason codes: which values of a record pushed its score towards the bad event most.

The effect of a column is the smaller of two, both in calibrated log-odds and against the reference (see `masking`):
what masking the column alone changes, f(x) - f(x without c), and the column's Shapley value. So a reason is large only
where both are: what a record's other values would make up for is none, and masking a reason does change the score.
Computing them takes hundreds of predictions a record, so a small head learns both once, after the network, on records
to learn from (amortised, as in FastSHAP; Jethani et al. 2022, arXiv 2107.07436), and reads what the network already
knows of the record: reasons cost a few small matrix products on top of the score.

The head is bilinear: effect[c] = sum_r u[c, r] * v[c, r], where u is linear in how far the column's inputs are from
the reference's (so a column at its reference has no effect), and v, its sensitivity, is read off the whole record.
"""

# Keras calls the shapes of `build` by the names of `call`'s arguments, so their number and names differ from the base
# class; and its stubs hold what an operation returns for possibly None.
# pyright: reportIncompatibleMethodOverride=false, reportOptionalOperand=false, reportOptionalSubscript=false

import json
from dataclasses import asdict, dataclass
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from numpy.typing import NDArray

from transformer.reasons.masking import Flat, ReferenceKind, ReferenceRecord
from transformer.records.schema import RecordSchema

REASONS = 4
NO_REASON = -1
LEAST_EFFECT = 0.05  # log-odds: what moves the odds by less than a twentieth is no reason to tell
LEAST_SHARE = 0.25  # of a record's largest effect, in either direction, that its first reason must have
KINDS_OF_EFFECT = 2  # of masking alone, Shapley value

Floats32 = NDArray[np.float32]


def codes_of(schema: RecordSchema) -> tuple[str, ...]:
    """Return the code of every input column, in their order: a field's name, or HISTORY[COLUMN].

    >>> from transformer.records.schema import Field, History
    >>> codes_of(RecordSchema((Field("age", "numeric"),), (History("PAY", "numeric", ("PAY_2", "PAY_0")),)))
    ('age', 'PAY[PAY_2]', 'PAY[PAY_0]')
    """
    entries = tuple(f"{one.name}[{column}]" for one in schema.histories for column in one.columns)
    return tuple(one.name for one in schema.fields) + entries


@dataclass(frozen=True)
class Ladder:
    """How far each column's inputs are up: clip((x - lower) / width, 0, 1) on K steps for up to M inputs of C columns.

    `places` (C, M) are positions among the F flat inputs, `lower` and `width` (C, M, K); unused steps have a lower end
    that no input reaches. `reference` (C, M * K) is where the reference record stands.
    """

    places: NDArray[np.int32]
    lower: Floats32
    width: Floats32
    reference: Floats32

    def climb(self, flat: Flat) -> Floats32:
        """Return the steps of N flat records minus the reference's: (N, C, M * K)."""
        shares = np.clip((flat[:, self.places][..., None] - self.lower) / self.width, 0.0, 1.0)
        return (shares.reshape(len(flat), *self.reference.shape) - self.reference).astype(np.float32)


@dataclass(frozen=True)
class HeadSizes:
    """Rank R of each column's effect, width of the hidden layer that reads the record."""

    rank: int = 4
    hidden: int = 64


class ReasonHead(keras.layers.Layer):
    """Maps flat inputs (B, F) and the network's representation (B, W) to both effects (B, C, 2), in log-odds."""

    def __init__(self, ladder: Ladder, sizes: HeadSizes, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ladder, self.sizes = ladder, sizes

    def build(self, _flat_shape: Any, representation_shape: Any) -> None:
        """Make the weights: distances to u, record to hidden, hidden to v."""
        (columns, steps), sizes = self.ladder.reference.shape, self.sizes
        width = representation_shape[-1] + columns * steps
        self.distances = self._make("distances", (columns, steps, sizes.rank), 0.3)
        self.reading = self._make("reading", (width, sizes.hidden), width**-0.5)
        self.reading_bias = self._make("reading_bias", (sizes.hidden,), 0.0)
        many = KINDS_OF_EFFECT * columns * sizes.rank
        self.sensitivities = self._make("sensitivities", (sizes.hidden, many), 0.05)
        self.sensitivity_bias = self._make("sensitivity_bias", (many,), 0.3)

    def call(self, flat: Any, representation: Any) -> Any:
        """Return the effect of masking each column of each record alone, and its Shapley value."""
        (columns, steps), rank = self.ladder.reference.shape, self.sizes.rank
        values = ops.reshape(ops.take(flat, self.ladder.places.ravel(), axis=1), (-1, *self.ladder.places.shape, 1))
        shares = ops.clip((values - self.ladder.lower) / self.ladder.width, 0.0, 1.0)
        climbed = ops.reshape(shares, (-1, columns, steps)) - self.ladder.reference
        record = ops.concatenate([representation, ops.reshape(climbed, (-1, columns * steps))], axis=1)
        hidden = ops.gelu(ops.matmul(record, self.reading) + self.reading_bias)
        sensitivity = ops.matmul(hidden, self.sensitivities) + self.sensitivity_bias
        moved = ops.einsum("bck,ckr->bcr", climbed, self.distances)
        by_kind = ops.reshape(sensitivity, (-1, columns, KINDS_OF_EFFECT, rank))
        return ops.sum(moved[:, :, None] * by_kind, axis=-1)

    def _make(self, name: str, shape: tuple[int, ...], deviation: float) -> Any:
        return self.add_weight(name=name, shape=shape, initializer=keras.initializers.RandomNormal(stddev=deviation))


@dataclass(frozen=True)
class Explainer:
    """Everything that reasons need: codes, the reference, the head's weights, how well it agrees with exact effects.

    `importance` is the mean absolute Shapley value of each code over records to learn from, in log-odds; `agreement`
    the share of the exact effects' variance that the head explains on records that it did not learn from.
    """

    codes: tuple[str, ...]
    kind: ReferenceKind
    reference: ReferenceRecord
    ladder: Ladder
    sizes: HeadSizes
    weights: tuple[Floats32, ...]
    importance: tuple[float, ...]
    agreement: float

    def build_head(self, representation_width: int) -> ReasonHead:
        """Return the head with its weights."""
        head = ReasonHead(self.ladder, self.sizes, name="reasons")
        head.build((None, 0), (None, representation_width))
        head.set_weights(list(self.weights))
        return head

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return all arrays by name; `from_parts` reads them back."""
        named = {f"ladder.{name}": getattr(self.ladder, name) for name in ("places", "lower", "width", "reference")}
        return named | {f"weights.{number}": value for number, value in enumerate(self.weights)}

    def to_document(self) -> dict[str, Any]:
        """Return everything but the arrays as a JSON document."""
        return {
            "codes": list(self.codes),
            "kind": self.kind,
            "reference": self.reference,
            "sizes": asdict(self.sizes),
            "importance": list(self.importance),
            "agreement": self.agreement,
        }

    @classmethod
    def from_parts(cls, document: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Self:
        """Read back what `to_document` and `to_arrays` wrote."""
        ladder = Ladder(*(arrays[f"ladder.{name}"] for name in ("places", "lower", "width", "reference")))
        weights = tuple(arrays[f"weights.{number}"] for number in range(len(arrays) - 4))
        return cls(
            codes=tuple(document["codes"]),
            kind=document["kind"],
            reference=document["reference"],
            ladder=ladder,
            sizes=HeadSizes(**document["sizes"]),
            weights=weights,
            importance=tuple(document["importance"]),
            agreement=document["agreement"],
        )


def flatten_batch(batch: dict[str, Any]) -> Any:
    """Return a batch of the network's inputs side by side (B, F), in the order of their names."""
    parts = [
        ops.cast(ops.reshape(batch[name], (-1, int(np.prod(batch[name].shape[1:])))), "float32")
        for name in sorted(batch)
    ]
    return ops.concatenate(parts, axis=1)


def choose_reasons(effects: Any) -> Any:
    """Return the positions (B, 4) of the columns with the largest effects, given both kinds (B, C, 2).

    Strongest first, -1 where an effect is too small to tell. A record whose score is made by what speaks for it, the
    strongest push being small compared with it, has no reasons.
    """
    many = min(REASONS, effects.shape[1])
    largest = tf.reduce_max(tf.abs(effects[:, :, 0]), axis=1, keepdims=True)
    values, places = tf.math.top_k(tf.reduce_min(effects, axis=-1), many)
    is_told = ops.logical_and(values > LEAST_EFFECT, values[:, :1] > LEAST_SHARE * largest)
    codes = ops.where(is_told, ops.cast(places, "int32"), NO_REASON)
    return ops.pad(codes, [[0, 0], [0, REASONS - many]], constant_values=NO_REASON)


def as_json_texts(reasons: NDArray[np.int16], codes: tuple[str, ...]) -> NDArray[np.object_]:
    """Return each record's codes as a JSON array in a text, strongest first.

    >>> as_json_texts(np.array([[1, 0, -1, -1], [-1, -1, -1, -1]], dtype=np.int16), ("age", "PAY[PAY_0]")).tolist()
    ['["PAY[PAY_0]","age"]', '[]']
    """
    quoted = [json.dumps(code, ensure_ascii=False) for code in codes]
    first = np.array([f"[{text}" for text in quoted] + ["["], dtype=object)  # the last one stands for -1
    later = np.array([f",{text}" for text in quoted] + [""], dtype=object)
    texts = first[reasons[:, 0]]
    for place in range(1, reasons.shape[1]):
        texts = texts + later[reasons[:, place]]
    return np.asarray(texts + "]", dtype=object)
