"""Oblivious trees as a part of the network: six comparisons find the leaf of a record in a table of 64.

Every level of such a tree asks all of its records the same question, so the answers are the bits of the leaf's number.
"""

# Keras calls the shapes of `build` by the names of `call`'s arguments, so their number and names differ from the base
# class; and its stubs hold what an operation returns for possibly None.
# pyright: basic
# pyright: reportIncompatibleMethodOverride=false, reportOptionalOperand=false, reportOptionalSubscript=false
# pyright: reportCallIssue=false, reportOperatorIssue=false

from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from transformer.arithmetic.kernels import BLOCK_PITCH, BLOCK_ROWS, compiled, prepare
from transformer.network.layers.form import Calls, Place, compiled_form
from transformer.network.layers.name_combinations import (
    FINE,
    MOST_COARSE,
    MOST_TOGETHER,
    describe_combination_tensors,
)
from transformer.network.layers.tree_columns import (
    Floats32,
    NameTables,
    TreeInputs,
    as_floats,
    describe_block,
    describe_tensors,
    find_asked,
    id_tensors,
    joined_columns,
)
from transformer.network.layers.trees import NEVER

DEPTH = 6
LEAVES = 1 << DEPTH


@dataclass(frozen=True)
class ObliviousTrees:
    """T trees: of each level its column and threshold (T, 6), what lies above it goes right; leaves (T, 64).

    The first level is the highest bit of the leaf's number. `names` are what names count as, and are asked about behind
    the numbers. `intercept` is added to the sum of the leaves.
    """

    column: NDArray[np.int32]
    threshold: Floats32
    leaf: Floats32
    names: NameTables
    intercept: float

    def __len__(self) -> int:
        return len(self.leaf)

    def take(self, count: int) -> "ObliviousTrees":
        """Return the first so many trees."""
        return replace(self, column=self.column[:count], threshold=self.threshold[:count], leaf=self.leaf[:count])


@keras.saving.register_keras_serializable("tidemark")
class ObliviousSum(keras.layers.Layer):
    """The sum of T trees' leaves: the network's inputs to (B, 1). Never trained by steps; `set_trees` fills it.

    Its weights are numbers of 32 bits, whole ones too, all of which such numbers hold exactly.
    """

    def __init__(self, asked: TreeInputs, trees: int, combinations: int = 0, **kwargs: Any) -> None:
        super().__init__(trainable=False, **kwargs)
        self.asked, self.trees, self.combinations = asked, trees, combinations

    def build(self, *_shapes: Any) -> None:
        """Make trees that ask nothing and add nothing."""
        level, zeros = (self.trees, DEPTH), keras.initializers.Zeros()
        never = keras.initializers.Constant(NEVER)
        self.column = self.add_weight(name="column", shape=level, initializer=zeros, trainable=False)
        self.threshold = self.add_weight(name="threshold", shape=level, initializer=never, trainable=False)
        self.leaf = self.add_weight(name="leaf", shape=(self.trees, LEAVES), initializer=zeros, trainable=False)
        names = (self.asked.names,)
        self.odds = self.add_weight(name="odds", shape=names, initializer=zeros, trainable=False)
        self.counts = self.add_weight(name="counts", shape=names, initializer=zeros, trainable=False)
        columns, slots = (self.combinations, MOST_TOGETHER + 1), (self.combinations, FINE + MOST_COARSE)
        ones = keras.initializers.Ones()
        self.together = self.add_weight(name="together", shape=columns, initializer=ones, trainable=False)
        self.together_odds = self.add_weight(name="together_odds", shape=slots, initializer=zeros, trainable=False)

    def call(self, inputs: dict[str, Any]) -> Any:
        """Ask level by level, and add up the leaves."""
        values = describe_tensors(self.asked, self.odds, inputs)  # (B, C)
        if self.asked.name_sizes:
            ids = id_tensors(self.asked, inputs)
            values = ops.concatenate([values, ops.take(self.counts, ids + self.asked.first_names)], axis=1)
            if self.combinations:
                together = describe_combination_tensors(ids, self.together, self.together_odds)
                values = ops.concatenate([values, together], axis=1)
        place = ops.arange(self.trees, dtype="int32") * LEAVES
        for level in range(DEPTH):
            asked = ops.take(values, ops.cast(self.column[:, level], "int32"), axis=1)  # (B, T)
            bit = LEAVES >> (level + 1)
            place = place + bit * ops.cast(asked > self.threshold[:, level], "int32")
        return ops.sum(ops.take(ops.reshape(self.leaf, (-1,)), place), axis=1, keepdims=True)

    def compute_output_shape(self, shapes: dict[str, Any]) -> Any:
        """(B, 1)."""
        return (next(iter(shapes.values()))[0], 1)

    def set_trees(self, trees: ObliviousTrees, share: float) -> None:
        """Take over the trees, which count for `share` in the logit."""
        names = trees.names
        tables = (names.odds, names.counts, names.together, names.together_odds)
        parts = (trees.column, trees.threshold, share * trees.leaf, *tables)
        self.set_weights([part.astype(np.float32) for part in parts])

    def get_config(self) -> dict[str, Any]:
        """Everything the constructor needs."""
        return super().get_config() | {
            "asked": asdict(self.asked),
            "trees": self.trees,
            "combinations": self.combinations,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "ObliviousSum":
        """Make it from `get_config`'s answer."""
        asked, trees = TreeInputs.from_document(config.pop("asked")), config.pop("trees")
        kept = {name: value for name, value in config.items() if name != "trainable"}
        return cls(asked, trees, **kept)


class ObliviousTables(NamedTuple):
    """Oblivious trees; columns are numbered among those that are asked about."""

    column: NDArray[np.int32]
    threshold: Floats32
    leaf: Floats32


@compiled_form(ObliviousSum, reads_columns=True)
def form_of_oblivious_trees(layer: Any, place: Place) -> Calls:
    """Join the columns, then add up. Trees are never trained by steps."""
    joins, columns = joined_columns(layer.asked, place)
    column, threshold, leaf, *names = [place.view(one) for one in layer.weights]
    asked, renamed = find_asked(layer.asked, column, names)
    tables = ObliviousTables(renamed, as_floats(threshold), as_floats(leaf))
    return Calls([*joins, prepare(_add_trees, *columns, asked, tables, place.output)])


@compiled
def _add_trees(numbers, kinds, names, asked, trees, out):
    x = np.zeros((asked.branch.shape[0], BLOCK_PITCH), np.float32)
    describe_block(numbers, kinds, names, asked, x)
    sums, place = out[0, 0], np.zeros(BLOCK_ROWS, np.int32)
    sums[:] = 0
    for tree in range(trees.leaf.shape[0]):
        place[:] = 0
        for level in range(DEPTH):
            row, limit = x[trees.column[tree, level]], trees.threshold[tree, level]
            for record in range(BLOCK_ROWS):
                place[record] = 2 * place[record] + np.int32(row[record] > limit)
        leaf = trees.leaf[tree]
        for record in range(BLOCK_ROWS):
            sums[record] += leaf[place[record]]
