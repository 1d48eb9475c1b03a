"""Boosted trees as a part of the network: sums of leaves that are found by comparisons alone.

A tree has up to 16 leaves, numbered from left to right, and up to 15 nodes. A node asks whether a number is above a
threshold; where it is, the leaves on the left of the node are struck off. The leaf of a record is the first that is
left, whatever the order of the nodes (QuickScorer; Lucchese et al. 2015, doi 10.1145/2766462.2767733), so that all
records take the same steps.
"""

# Keras calls the shapes of `build` by the names of `call`'s arguments, so their number and names differ from the base
# class; and its stubs hold what an operation returns for possibly None.
# pyright: reportIncompatibleMethodOverride=false, reportOptionalOperand=false, reportOptionalSubscript=false
# pyright: reportCallIssue=false

from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

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
    `name_sizes` are how many names each column has, `rare_sizes` how many slots of rare ones, which stand behind.
    """

    bins: int
    numbers: int
    name_sizes: tuple[int, ...]
    rare_sizes: tuple[int, ...] = ()

    @property
    def all_sizes(self) -> tuple[int, ...]:
        """How many names and slots each column of names has."""
        rare = self.rare_sizes + (0,) * (len(self.name_sizes) - len(self.rare_sizes))
        return tuple(names + slots for names, slots in zip(self.name_sizes, rare, strict=True))

    @property
    def columns(self) -> int:
        """C, what can be asked about: every number with its missing values below, again with them above, every name."""
        return 2 * self.numbers + len(self.name_sizes)

    @property
    def names(self) -> int:
        """How many names of all columns have a rank."""
        return sum(self.all_sizes)

    @property
    def first_names(self) -> NDArray[np.int32]:
        """Where the ranks of each column of names begin."""
        return np.cumsum([0, *self.all_sizes])[:-1].astype(np.int32)

    def ids(self, inputs: Inputs) -> NDArray[np.int32]:
        """Return the numbers of the names (N, Q) of N records, each within its own column."""
        ids = _join(inputs, _NAMES, len(next(iter(inputs.values())))).astype(np.int32)
        if self.rare_sizes:
            rare, fields = inputs["rare"], len(self.rare_sizes)
            behind = np.array(self.name_sizes[:fields], np.int32) - 1
            ids[:, :fields] = np.where(rare > 0, behind + rare, ids[:, :fields])
        return ids

    def describe(self, inputs: Inputs, ranks: Floats32) -> Floats32:
        """Return what trees ask about in N records: (N, C)."""
        rows = len(next(iter(inputs.values())))
        numbers, kinds = (_join(inputs, names, rows) for names in (_NUMBERS, _KINDS))
        ids = self.ids(inputs) + self.first_names
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
        values = describe_tensors(self.asked, self.ranks, inputs)  # (B, C)
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
        own = TreeInputs(asked["bins"], asked["numbers"], tuple(asked["name_sizes"]), tuple(asked["rare_sizes"]))
        return cls(own, config.pop("trees"), **{name: value for name, value in config.items() if name != "trainable"})


def describe_tensors(asked: TreeInputs, ranks: Any, inputs: dict[str, Any]) -> Any:
    """Return what trees ask about in a batch, (B, C): `TreeInputs.describe` for tensors."""

    def joined(names: tuple[str, ...]) -> Any:
        parts = [
            ops.reshape(inputs[name], (-1, int(np.prod(inputs[name].shape[1:])))) for name in names if name in inputs
        ]
        return ops.concatenate(parts, axis=1) if parts else None

    parts, numbers = [], joined(_NUMBERS)
    if numbers is not None:
        kinds = joined(_KINDS)
        parts += [numbers - kinds, numbers + kinds * float(asked.bins + 1)]
    if asked.name_sizes:
        parts.append(ops.take(ranks, id_tensors(asked, inputs) + asked.first_names))
    return ops.concatenate(parts, axis=1)


def id_tensors(asked: TreeInputs, inputs: dict[str, Any]) -> Any:
    """Return the numbers of the names in a batch, (B, Q): `TreeInputs.ids` for tensors."""
    parts = [ops.reshape(inputs[name], (-1, int(np.prod(inputs[name].shape[1:])))) for name in _NAMES if name in inputs]
    if asked.rare_sizes:
        behind = np.array(asked.name_sizes[: len(asked.rare_sizes)], np.int32) - 1
        parts[0] = ops.where(inputs["rare"] > 0, inputs["rare"] + behind, parts[0])
    return ops.concatenate(parts, axis=1)
