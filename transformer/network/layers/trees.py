"""Boosted trees as a part of the network: sums of leaves that are found by comparisons alone.

A tree has up to 16 leaves, numbered from left to right, and up to 15 nodes. A node asks whether a number is above a
threshold; where it is, the leaves on the left of the node are struck off. The leaf of a record is the first that is
left, whatever the order of the nodes (QuickScorer; Lucchese et al. 2015, doi 10.1145/2766462.2767733), so that all
records take the same steps.
"""

# Keras calls the shapes of `build` by the names of `call`'s arguments, so their number and names differ from the base
# class; and its stubs hold what an operation returns for possibly None.
# pyright: basic
# pyright: reportIncompatibleMethodOverride=false, reportOptionalOperand=false, reportOptionalSubscript=false
# pyright: reportCallIssue=false

from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from transformer.arithmetic.kernels import BLOCK_PITCH, BLOCK_ROWS, compiled, prepare
from transformer.arithmetic.simd import VECTOR, add_leaves
from transformer.network.layers.form import Call, Calls, Place, compiled_form
from transformer.records.features import Inputs

LEAVES = 16
NODES = LEAVES - 1
ALL_LEAVES = (1 << LEAVES) - 1
NEVER = float(np.finfo(np.float32).max)  # a threshold that no number is above

Floats32 = NDArray[np.float32]


@dataclass(frozen=True)
class TreeInputs:
    """What a network's trees may ask about: P numbers, fields first, then month by month, and Q names in that order.

    A missing number of kind k (`FeatureTransform.transform`) stands below all that are there, at -k, or above all, at
    k * (bins + 1); each number can be asked about both ways. A name stands for its rank, in a table of all names.
    """

    bins: int
    numbers: int
    name_sizes: tuple[int, ...]

    @property
    def columns(self) -> int:
        """C, what can be asked about: every number with its missing values below, again with them above, every name."""
        return 2 * self.numbers + len(self.name_sizes)

    @property
    def names(self) -> int:
        """How many names of all columns have a rank."""
        return sum(self.name_sizes)

    @property
    def first_names(self) -> NDArray[np.int32]:
        """Where the ranks of each column of names begin."""
        return np.cumsum([0, *self.name_sizes])[:-1].astype(np.int32)

    def describe(self, inputs: Inputs, ranks: Floats32) -> Floats32:
        """Return what trees ask about in N records: (N, C)."""
        rows = len(next(iter(inputs.values())))
        numbers, kinds = (_join(inputs, names, rows) for names in (_NUMBERS, _KINDS))
        ids = _join(inputs, _NAMES, rows).astype(np.int32) + self.first_names
        high = (numbers + kinds * (self.bins + 1)).astype(np.float32)
        return np.concatenate([numbers - kinds, high, ranks[ids]], axis=1)


_NUMBERS = ("positions", "history_positions")
_KINDS = ("missing", "history_missing")
_NAMES = ("categories", "history_categories")


def _join(inputs: Inputs, names: tuple[str, ...], rows: int) -> Floats32:
    parts = [inputs[name].reshape(rows, -1).astype(np.float32) for name in names if name in inputs]
    return np.concatenate(parts, axis=1) if parts else np.zeros((rows, 0), np.float32)


@dataclass(frozen=True)
class Trees:
    """T trees: of each node its column, threshold and the leaves left above it, as bits (T, 15); leaves (T, 16).

    A node that asks nothing has the threshold `NEVER`. `ranks` are of all names; `intercept` is what is added to the
    sum of the leaves.
    """

    column: NDArray[np.int32]
    threshold: Floats32
    kept: NDArray[np.int32]
    leaf: Floats32
    ranks: Floats32
    intercept: float

    def __len__(self) -> int:
        return len(self.leaf)

    def take(self, count: int) -> "Trees":
        """Return the first so many trees."""
        parts = (one[:count] for one in (self.column, self.threshold, self.kept, self.leaf))
        return Trees(*parts, self.ranks, self.intercept)


@keras.saving.register_keras_serializable("tidemark")
class TreeSum(keras.layers.Layer):
    """The sum of T trees' leaves: the network's inputs to (B, 1). Never trained by steps; `set_trees` fills it.

    Its weights are numbers of 32 bits, whole ones too, all of which such numbers hold exactly.
    """

    def __init__(self, asked: TreeInputs, trees: int, **kwargs: Any) -> None:
        super().__init__(trainable=False, **kwargs)
        self.asked, self.trees = asked, trees

    def build(self, *_shapes: Any) -> None:
        """Make trees that ask nothing and add nothing."""
        node, zeros = (self.trees, NODES), keras.initializers.Zeros()
        never = keras.initializers.Constant(NEVER)
        self.column = self.add_weight(name="column", shape=node, initializer=zeros, trainable=False)
        self.threshold = self.add_weight(name="threshold", shape=node, initializer=never, trainable=False)
        self.kept = self.add_weight(name="kept", shape=node, initializer=zeros, trainable=False)
        self.leaf = self.add_weight(name="leaf", shape=(self.trees, LEAVES), initializer=zeros, trainable=False)
        self.ranks = self.add_weight(name="ranks", shape=(self.asked.names,), initializer=zeros, trainable=False)

    def call(self, inputs: dict[str, Any]) -> Any:
        """Strike off leaves node by node, and add up those that are left first."""
        values = self._describe(inputs)  # (B, C)
        left = ALL_LEAVES
        for node in range(NODES):
            asked = ops.take(values, ops.cast(self.column[:, node], "int32"), axis=1)  # (B, T)
            kept = ops.cast(self.kept[:, node], "int32")
            left = ops.bitwise_and(left, ops.where(asked > self.threshold[:, node], kept, ALL_LEAVES))
        first = ops.bitwise_and(left, -left)  # a power of two
        place = ops.cast(ops.round(ops.log2(ops.cast(first, "float32"))), "int32")
        flat = place + ops.arange(self.trees, dtype="int32") * LEAVES
        return ops.sum(ops.take(ops.reshape(self.leaf, (-1,)), flat), axis=1, keepdims=True)

    def compute_output_shape(self, shapes: dict[str, Any]) -> Any:
        """(B, 1)."""
        return (next(iter(shapes.values()))[0], 1)

    def set_trees(self, trees: Trees, share: float) -> None:
        """Take over the trees, which count for `share` in the logit."""
        parts = (trees.column, trees.threshold, trees.kept, share * trees.leaf, trees.ranks)
        self.set_weights([part.astype(np.float32) for part in parts])

    def get_config(self) -> dict[str, Any]:
        """Everything the constructor needs."""
        return super().get_config() | {"asked": asdict(self.asked), "trees": self.trees}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "TreeSum":
        """Make it from `get_config`'s answer."""
        asked = config.pop("asked")
        own = TreeInputs(asked["bins"], asked["numbers"], tuple(asked["name_sizes"]))
        return cls(own, config.pop("trees"), **{name: value for name, value in config.items() if name != "trainable"})

    def _describe(self, inputs: dict[str, Any]) -> Any:
        def joined(names: tuple[str, ...]) -> Any:
            parts = [
                ops.reshape(inputs[name], (-1, int(np.prod(inputs[name].shape[1:]))))
                for name in names
                if name in inputs
            ]
            return ops.concatenate(parts, axis=1) if parts else None

        parts, numbers, names = [], joined(_NUMBERS), joined(_NAMES)
        if numbers is not None:
            kinds = joined(_KINDS)
            parts += [numbers - kinds, numbers + kinds * float(self.asked.bins + 1)]
        if names is not None:
            parts.append(ops.take(self.ranks, names + self.asked.first_names))
        return ops.concatenate(parts, axis=1)


LOW, HIGH, NAME = 0, 1, 2


class TreeTables(NamedTuple):
    """Trees and what they ask about: of each used column its branch, its place among numbers or names, its ranks.

    `step` is by how much a kind of missing stands above all numbers that are there.
    """

    branch: NDArray[np.int64]
    place: NDArray[np.int64]
    first_name: NDArray[np.int64]
    ranks: Floats32
    step: np.float32
    column: NDArray[np.int32]
    threshold: Floats32
    kept: NDArray[np.int32]
    leaf: Floats32


def lay_out(asked: TreeInputs, weights: list[NDArray[np.float32]]) -> TreeTables:
    """Return the tables of a `TreeSum`'s weights, with only those columns that a tree asks about."""
    column, threshold, kept, leaf, ranks = weights
    used, renamed = np.unique(column.astype(np.int64), return_inverse=True)
    numbers = asked.numbers
    branch = np.where(used < numbers, LOW, np.where(used < 2 * numbers, HIGH, NAME))
    place = np.where(branch == NAME, used - 2 * numbers, used % max(1, numbers))
    firsts = asked.first_names.astype(np.int64)
    first_name = np.array([firsts[p] if w == NAME else 0 for w, p in zip(branch, place, strict=True)], np.int64)
    return TreeTables(
        branch,
        place,
        first_name,
        np.ascontiguousarray(ranks, np.float32),
        np.float32(asked.bins + 1),
        np.ascontiguousarray(renamed.reshape(column.shape), np.int32),
        np.ascontiguousarray(threshold, np.float32),
        np.ascontiguousarray(kept.astype(np.int64), np.int32),
        np.ascontiguousarray(leaf, np.float32),
    )


@compiled_form(TreeSum, reads_columns=True)
def form_of_trees(layer: Any, place: Place) -> Calls:
    """Join the columns as `TreeInputs` numbers them, then add up. Trees are never trained by steps."""
    given, rows = place.arguments[0], len(place.inputs[0])
    numbers, kinds = (np.zeros((rows, layer.asked.numbers), np.float32) for _ in range(2))
    names = np.zeros((rows, len(layer.asked.name_sizes)), np.int32)
    joins: list[Call] = [
        partial(np.concatenate, [given[name] for name in parts if name in given], axis=1, out=out)
        for parts, out in ((_NUMBERS, numbers), (_KINDS, kinds), (_NAMES, names))
        if out.shape[1]
    ]
    tables = lay_out(layer.asked, [place.view(one) for one in layer.weights])
    return Calls([*joins, prepare(_add_trees, numbers, kinds, names, tables, place.output)])


@compiled
def _add_trees(numbers, kinds, names, tables, out):
    branch, place, first_name, ranks, step, column, threshold, kept, leaf = tables
    x = np.zeros((branch.shape[0], BLOCK_PITCH), np.float32)
    for c in range(branch.shape[0]):
        p = place[c]
        for record in range(BLOCK_ROWS):
            if branch[c] == NAME:
                x[c, record] = ranks[first_name[c] + names[record, p]]
            elif branch[c] == LOW:
                x[c, record] = numbers[record, p] - kinds[record, p]
            else:
                x[c, record] = numbers[record, p] + kinds[record, p] * step
    out[0, 0, :] = 0
    _add_block(x, column, threshold, kept, leaf, out[0, 0, :BLOCK_ROWS])


@compiled
def add_up(values, column, threshold, kept, leaf, logits):
    """logits[i] += the sum of the trees of record i, where values (N, C) are what they ask about."""
    x = np.zeros((values.shape[1], BLOCK_PITCH), np.float32)
    for start in range(0, logits.shape[0], BLOCK_ROWS):
        count = min(BLOCK_ROWS, logits.shape[0] - start)
        for c in range(values.shape[1]):
            for record in range(count):
                x[c, record] = values[start + record, c]
        _add_block(x, column, threshold, kept, leaf, logits[start : start + count])


@compiled
def _add_block(x, column, threshold, kept, leaf, logits):
    sums = np.zeros(BLOCK_ROWS, np.float32)
    for tree in range(leaf.shape[0]):
        for record in range(0, BLOCK_ROWS, VECTOR):
            add_leaves(x, column, threshold, kept, leaf, tree, record, sums)
    for record in range(logits.shape[0]):
        logits[record] += sums[record]
