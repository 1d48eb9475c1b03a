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
# pyright: reportCallIssue=false, reportOperatorIssue=false

from dataclasses import asdict
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from transformer.arithmetic.kernels import BLOCK_PITCH, BLOCK_ROWS, compiled, prepare
from transformer.arithmetic.simd import VECTOR, add_leaves
from transformer.network.layers.form import Calls, Place, compiled_form
from transformer.network.layers.tree_columns import (
    Floats32,
    TreeInputs,
    as_floats,
    describe_block,
    describe_tensors,
    find_asked,
    joined_columns,
)

LEAVES = 16
NODES = LEAVES - 1
ALL_LEAVES = (1 << LEAVES) - 1
NEVER = float(np.finfo(np.float32).max)  # a threshold that no number is above


@keras.saving.register_keras_serializable("tidemark")
class TreeSum(keras.layers.Layer):
    """The sum of T trees' leaves: the network's inputs to (B, 1). Of bundles of older releases.

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

    def get_config(self) -> dict[str, Any]:
        """Everything the constructor needs."""
        return super().get_config() | {"asked": asdict(self.asked), "trees": self.trees}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "TreeSum":
        """Make it from `get_config`'s answer."""
        asked, trees = TreeInputs.from_document(config.pop("asked")), config.pop("trees")
        kept = {name: value for name, value in config.items() if name != "trainable"}
        return cls(asked, trees, **kept)


class TreeTables(NamedTuple):
    """Trees of up to 16 leaves; columns are numbered among those that are asked about."""

    column: NDArray[np.int32]
    threshold: Floats32
    kept: NDArray[np.int32]
    leaf: Floats32


@compiled_form(TreeSum, reads_columns=True)
def form_of_trees(layer: Any, place: Place) -> Calls:
    """Join the columns, then add up. Trees are never trained by steps."""
    joins, columns = joined_columns(layer.asked, place)
    column, threshold, kept, leaf, ranks = [place.view(one) for one in layer.weights]
    asked, renamed = find_asked(layer.asked, column, (ranks, ranks[:0], np.zeros((0, 2)), np.zeros((0, 0))))
    bits = np.ascontiguousarray(kept.astype(np.int64), np.int32)
    tables = TreeTables(renamed, as_floats(threshold), bits, as_floats(leaf))
    return Calls([*joins, prepare(_add_trees, *columns, asked, tables, place.output)])


@compiled
def _add_trees(numbers, kinds, names, asked, trees, out):
    x = np.zeros((asked.branch.shape[0], BLOCK_PITCH), np.float32)
    describe_block(numbers, kinds, names, asked, x)
    sums = out[0, 0]
    sums[:] = 0
    for tree in range(trees.leaf.shape[0]):
        for record in range(0, BLOCK_ROWS, VECTOR):
            add_leaves(x, trees.column, trees.threshold, trees.kept, trees.leaf, tree, record, sums)
