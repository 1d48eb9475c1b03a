"""Where training rows come from: arrays in memory here, a file for a book that does not fit (`spool`)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from transformer.features import Inputs

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
    """The network's inputs for N rows, their outcomes (N), 0.0 or 1.0, and what each row counts for (default 1)."""

    inputs: Inputs
    target: Floats
    weight: Floats | None = None

    @property
    def rows(self) -> int:
        """N."""
        return len(self.target)

    def take(self, rows: NDArray[Any]) -> "Examples":
        """Return some of the rows (indices or mask)."""
        weight = None if self.weight is None else self.weight[rows]
        return Examples({name: values[rows] for name, values in self.inputs.items()}, self.target[rows], weight)

    def batches(self, batch_rows: int, random: np.random.Generator) -> Iterator[Batch]:
        """Yield the rows in a random order."""
        order = random.permutation(self.rows)
        weight = np.ones(self.rows) if self.weight is None else self.weight
        for start in range(0, self.rows - batch_rows + 1, batch_rows):
            chosen = order[start : start + batch_rows]
            inputs = {name: values[chosen] for name, values in self.inputs.items()}
            yield Batch(inputs, self.target[chosen].astype(np.float32), weight[chosen].astype(np.float32))
