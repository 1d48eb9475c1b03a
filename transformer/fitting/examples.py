"""Where training rows come from: examples in memory, or rows of arrays that may be mapped from a file."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from transformer.records.features import Inputs
from transformer.records.learning_folds import LearningFolds
from transformer.records.name_statistics import Outcomes

Floats = NDArray[np.float64]


class Batch(NamedTuple):
    """B rows: the network's inputs, outcomes and weights (B)."""

    inputs: Inputs
    target: NDArray[np.float32]
    weight: NDArray[np.float32]


class RowSource(Protocol):
    """Rows to learn from, given in a new order at every call."""

    @property
    def rows(self) -> int:
        """How many there are."""
        ...

    def batches(self, batch_rows: int, random: np.random.Generator) -> Iterator[Batch]:
        """Yield every row once, in batches of exactly `batch_rows`; what does not fill one is left out."""
        ...


@dataclass(frozen=True)
class Examples:
    """The network's inputs for N rows, their outcomes (N), 0.0 or 1.0, and what each row counts for (default 1).

    `dealt` are the folds that the rows were dealt into; without them they are dealt evenly.
    """

    inputs: Inputs
    target: Floats
    weight: Floats | None = None
    dealt: LearningFolds | None = None

    @property
    def rows(self) -> int:
        """N."""
        return len(self.target)

    @property
    def folds(self) -> LearningFolds:
        """The folds that what is chosen is chosen by."""
        return self.dealt or LearningFolds.deal_evenly(self.target, np.random.default_rng(0).random(self.rows))

    @property
    def outcomes(self) -> Outcomes:
        """What names are judged by."""
        weight = np.ones(self.rows) if self.weight is None else self.weight
        return Outcomes(self.target, weight, self.folds)

    def take(self, rows: NDArray[Any]) -> "Examples":
        """Return some of the rows (indices or mask)."""
        weight = None if self.weight is None else self.weight[rows]
        dealt = None if self.dealt is None else self.dealt.take(rows)
        inputs = {name: values[rows] for name, values in self.inputs.items()}
        return Examples(inputs, self.target[rows], weight, dealt)

    def batches(self, batch_rows: int, random: np.random.Generator) -> Iterator[Batch]:
        """Yield the rows in a random order."""
        return _batches(self.inputs, np.arange(self.rows), self.target, self.weight, batch_rows, random)


@dataclass(frozen=True)
class StoredExamples:
    """N of the rows of arrays that hold more: only those of a batch are read. Else as `Examples`."""

    inputs: Inputs
    chosen: NDArray[np.int64]
    target: Floats
    weight: Floats | None = None

    @property
    def rows(self) -> int:
        """N."""
        return len(self.chosen)

    def batches(self, batch_rows: int, random: np.random.Generator) -> Iterator[Batch]:
        """Yield the rows in a random order."""
        return _batches(self.inputs, self.chosen, self.target, self.weight, batch_rows, random)


def _batches(
    inputs: Inputs,
    chosen: NDArray[np.int64],
    target: Floats,
    weight: Floats | None,
    batch_rows: int,
    random: np.random.Generator,
) -> Iterator[Batch]:
    order = random.permutation(len(chosen))
    weights = np.ones(len(chosen)) if weight is None else weight
    for start in range(0, len(chosen) - batch_rows + 1, batch_rows):
        mine = order[start : start + batch_rows]
        rows = chosen[mine]
        batch = {name: values[rows] for name, values in inputs.items()}
        yield Batch(batch, target[mine].astype(np.float32), weights[mine].astype(np.float32))
