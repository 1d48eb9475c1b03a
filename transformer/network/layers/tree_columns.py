"""What trees ask about in a record: numbers with missing ones below or above all others, names, their combinations."""

# Keras' stubs hold what an operation returns for possibly None, and Numba has no types.
# pyright: basic
# pyright: reportOptionalOperand=false, reportOptionalSubscript=false, reportCallIssue=false

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from keras import ops
from numpy.typing import NDArray

from transformer.arithmetic.kernels import BLOCK_ROWS, compiled
from transformer.network.layers.form import Call, Place
from transformer.network.layers.name_combinations import (
    COARSE_FACTORS,
    FINE,
    FINE_FACTORS,
    SPREAD,
    describe_combinations,
)
from transformer.records.features import Inputs

Floats32 = NDArray[np.float32]

_NUMBERS = ("positions", "history_positions")
_KINDS = ("missing", "history_missing")
_NAMES = ("categories", "history_categories")
LOW, HIGH, ODDS, COUNT, TOGETHER = range(5)
(A, B, C), (D, E, F) = FINE_FACTORS, COARSE_FACTORS


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

    @property
    def behind(self) -> NDArray[np.int32]:
        """What the number of a field's slot is added to, for its place behind the field's names."""
        return np.array(self.name_sizes[: len(self.rare_sizes)], np.int32) - 1

    def ids(self, inputs: Inputs) -> NDArray[np.int32]:
        """Return the numbers of the names (N, Q) of N records, each within its own column."""
        ids = _join(inputs, _NAMES, len(next(iter(inputs.values())))).astype(np.int32)
        if self.rare_sizes:
            mine = ids[:, : len(self.rare_sizes)]
            mine[:] = np.where(inputs["rare"] > 0, inputs["rare"] + self.behind, mine)
        return ids

    def describe(self, inputs: Inputs, ranks: Floats32) -> Floats32:
        """Return what trees ask about in N records: (N, C)."""
        rows = len(next(iter(inputs.values())))
        numbers, kinds = (_join(inputs, names, rows) for names in (_NUMBERS, _KINDS))
        high = (numbers + kinds * (self.bins + 1)).astype(np.float32)
        return np.concatenate([numbers - kinds, high, ranks[self.ids(inputs) + self.first_names]], axis=1)

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "TreeInputs":
        """Read back what `asdict` gave."""
        rare = tuple(document.get("rare_sizes", ()))
        return cls(document["bins"], document["numbers"], tuple(document["name_sizes"]), rare)


def _join(inputs: Inputs, names: tuple[str, ...], rows: int) -> Floats32:
    parts = [inputs[name].reshape(rows, -1).astype(np.float32) for name in names if name in inputs]
    return np.concatenate(parts, axis=1) if parts else np.zeros((rows, 0), np.float32)


def describe_tensors(asked: TreeInputs, ranks: Any, inputs: dict[str, Any]) -> Any:
    """Return what trees ask about in a batch, (B, C): `TreeInputs.describe` for tensors."""
    parts: list[Any] = []
    if asked.numbers:
        numbers, kinds = _join_tensors(inputs, _NUMBERS), _join_tensors(inputs, _KINDS)
        parts += [numbers - kinds, numbers + kinds * float(asked.bins + 1)]
    if asked.name_sizes:
        parts.append(ops.take(ranks, id_tensors(asked, inputs) + asked.first_names))
    return ops.concatenate(parts, axis=1)


def id_tensors(asked: TreeInputs, inputs: dict[str, Any]) -> Any:
    """Return the numbers of the names in a batch, (B, Q): `TreeInputs.ids` for tensors."""
    ids = _join_tensors(inputs, _NAMES)
    if not asked.rare_sizes:
        return ids
    fields, rare = len(asked.rare_sizes), inputs["rare"]
    mine = ops.where(rare > 0, rare + asked.behind, ids[:, :fields])
    return ops.concatenate([mine, ids[:, fields:]], axis=1)


def _join_tensors(inputs: dict[str, Any], names: tuple[str, ...]) -> Any:
    parts = [inputs[name] for name in names if name in inputs]
    return ops.concatenate([ops.reshape(one, (-1, int(np.prod(one.shape[1:])))) for one in parts], axis=1)


@dataclass(frozen=True)
class NameTables:
    """What names count as: `odds` and `counts` of each name of all columns, and of R combinations of names.

    `together` (R, 4) are their columns, `together_odds` what their slots count as: see `name_combinations`.
    """

    odds: Floats32
    counts: Floats32
    together: Floats32
    together_odds: Floats32


def describe(asked: TreeInputs, inputs: Inputs, names: NameTables) -> Floats32:
    """Return what oblivious trees ask about in N records: numbers, names' odds and counts, combinations (N, .)."""
    ids = asked.ids(inputs)
    counts = names.counts[ids + asked.first_names]
    together = describe_combinations(ids, names.together, names.together_odds)
    return np.concatenate([asked.describe(inputs, names.odds), counts, together], axis=1)


class Asked(NamedTuple):
    """The columns that some trees ask about: of each its branch, its place, and where its names begin.

    `odds` and `counts` are what names count as, `together` (R, 4) the columns of each combination of names,
    `together_odds` what its slots count as; `step` is by how much a kind of missing stands above all numbers that are
    there.
    """

    branch: NDArray[np.int64]
    place: NDArray[np.int64]
    first_name: NDArray[np.int64]
    odds: Floats32
    counts: Floats32
    together: NDArray[np.int64]
    together_odds: Floats32
    step: np.float32


def find_asked(asked: TreeInputs, column: Floats32, names: Sequence[Any]) -> tuple[Asked, NDArray[np.int32]]:
    """Return the columns that trees ask about, and `column` numbered among those."""
    odds, counts, together, together_odds = names
    used, renamed = np.unique(column.astype(np.int64), return_inverse=True)
    ends = np.array([asked.numbers, 2 * asked.numbers, asked.columns, asked.columns + len(asked.name_sizes)])
    branch = np.searchsorted(ends, used, side="right")
    place = used - np.array([0, *ends])[branch]
    is_name = (branch == ODDS) | (branch == COUNT)
    first_name = np.zeros(len(used), np.int64)
    first_name[is_name] = asked.first_names[place[is_name]]
    tables = (as_floats(odds), as_floats(counts), together.astype(np.int64), as_floats(together_odds))
    found = Asked(branch, place, first_name, *tables, np.float32(asked.bins + 1))
    return found, np.ascontiguousarray(renamed.reshape(column.shape), np.int32)


def as_floats(values: Any) -> Floats32:
    """Return an array of its own in one piece."""
    return np.ascontiguousarray(values, np.float32)


def joined_columns(asked: TreeInputs, place: Place) -> tuple[list[Call], tuple[Any, Any, Any]]:
    """Return calls that join the columns of a block as `TreeInputs` numbers them, and numbers, kinds and names."""
    given, rows = place.arguments[0], len(place.inputs[0])
    numbers, kinds = (np.zeros((rows, asked.numbers), np.float32) for _ in range(2))
    names = np.zeros((rows, len(asked.name_sizes)), np.int32)
    joins: list[Call] = [
        partial(np.concatenate, [given[name] for name in parts if name in given], axis=1, out=out)
        for parts, out in ((_NUMBERS, numbers), (_KINDS, kinds), (_NAMES, names))
        if out.shape[1]
    ]
    if asked.rare_sizes:
        mine, rare, behind = names[:, : len(asked.rare_sizes)], given["rare"], asked.behind
        joins.append(lambda: np.copyto(mine, rare + behind, where=rare > 0))
    return joins, (numbers, kinds, names)


@compiled
def describe_block(numbers, kinds, names, asked, x):
    """x[c] = what a block's records (rows, columns) have in each column that is asked about."""
    for c in range(asked.branch.shape[0]):
        p, branch, first = asked.place[c], asked.branch[c], asked.first_name[c]
        if branch == TOGETHER:
            columns, values = asked.together[p], asked.together_odds[p]
            for record in range(BLOCK_ROWS):
                a, b = np.int64(names[record, columns[0]]), np.int64(names[record, columns[1]])
                third = np.int64(names[record, columns[2]]) if columns[2] >= 0 else np.int64(0)
                fine = values[(A * a + B * b + C * third) % FINE]
                if np.isnan(fine):
                    fine = values[FINE + (D * a + E * b + F * third) % SPREAD % columns[3]]
                x[c, record] = fine
        elif branch == ODDS:
            for record in range(BLOCK_ROWS):
                x[c, record] = asked.odds[first + names[record, p]]
        elif branch == COUNT:
            for record in range(BLOCK_ROWS):
                x[c, record] = asked.counts[first + names[record, p]]
        elif branch == LOW:
            for record in range(BLOCK_ROWS):
                x[c, record] = numbers[record, p] - kinds[record, p]
        else:
            for record in range(BLOCK_ROWS):
                x[c, record] = numbers[record, p] + kinds[record, p] * asked.step
