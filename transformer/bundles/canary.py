"""The canary: made-up records frozen with a model, and their scores, which every process must reproduce exactly.

They belong to nobody: each value is drawn by itself from what the model's transform keeps, never from a record, and
each record has a number or a name that no book holds. A difference means that something between the records and the
scores is not what it was: reading, features, network, libraries or processor. It says nothing about the population,
which is the point of it. A release that computes the same sums in another order says so by another `ARITHMETIC`: the
models before it may differ by one in the last stored digit.
"""

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from transformer.records.features import FeatureTransform

_NOT_KNOWN_SHARE = 0.1
_NEW_NAME_SHARE = 0.05

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Canary:
    """Records by column, as JSON holds them, and the stored probability of each.

    `events` are made-up events and what is made of them (`transformer.events.event_canary`), None if none are read.
    """

    records: dict[str, list[Any]]
    probabilities: list[float]
    arithmetic: int
    source: str | None = None  # None in bundles of older releases, whose canaries are held-out records
    events: dict[str, Any] | None = None

    def frame(self) -> pd.DataFrame:
        """Return the records as a frame like those that are read from the source."""
        return frame_of(self.records)

    def to_document(self) -> dict[str, Any]:
        """Return a JSON document that `from_document` reads back."""
        document = asdict(self)
        if self.events is None:  # as before there were any: the bundle's version stays
            del document["events"]
        return document

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """Read back what `to_document` wrote."""
        own = document["records"], document["probabilities"], document.get("arithmetic", 1), document.get("source")
        return cls(*own, document.get("events"))


def frame_of(records: dict[str, list[Any]]) -> pd.DataFrame:
    """Return records by column as a frame like those that are read from the source."""
    return pd.DataFrame({name: pd.Series(values, dtype="object") for name, values in records.items()})


@dataclass(frozen=True)
class CanaryOutcome:
    """What became of the canary in one process."""

    records: int
    mismatches: int
    largest_difference: float

    def to_document(self) -> dict[str, Any]:
        """Return the outcome as a JSON document."""
        return asdict(self)


def draw_records(transform: FeatureTransform, count: int, *, seed: int) -> dict[str, list[Any]]:
    """Return so many made-up records by column. Columns are drawn independently.

    Numbers lie anywhere within a bin, so that none is one that a record holds; names are known ones, or new; some
    values are not known, or one of the column's codes for that. A record of which nothing would be new gets a new name.
    """
    random = np.random.default_rng(seed)
    schema, learnt = transform.schema, transform.learnt_as
    drawn: dict[str, list[Any]] = {}
    is_new = np.zeros(count, dtype=bool)
    for column, (kind, codes) in schema.readings.items():
        if kind == "numeric":
            values, own = _draw_numbers(transform.edges[learnt[column]], count, random)
        else:
            values, own = _draw_names(transform.categories[learnt[column]], count, random)
        is_unknown = random.random(count) < _NOT_KNOWN_SHARE
        blanks = [(None, *codes)[one] for one in random.integers(0, len(codes) + 1, count).tolist()]
        drawn[column] = [blanks[row] if is_unknown[row] else values[row] for row in range(count)]
        is_new |= own & ~is_unknown
    _make_new(drawn, transform, ~is_new, random)
    return drawn


def _draw_numbers(edges: Floats, count: int, random: np.random.Generator) -> tuple[list[Any], Flags]:
    bins = random.integers(0, len(edges) - 1, count)
    drawn = edges[bins] + random.random(count) * (edges[bins + 1] - edges[bins])
    return drawn.tolist(), np.ones(count, dtype=bool)


def _draw_names(names: tuple[str, ...], count: int, random: np.random.Generator) -> tuple[list[Any], Flags]:
    is_new = (random.random(count) < _NEW_NAME_SHARE) | (len(names) == 0)
    ids = random.integers(0, max(1, len(names)), count).tolist()
    return [_new_name(random) if is_new[row] else names[ids[row]] for row in range(count)], is_new


def _make_new(
    drawn: dict[str, list[Any]], transform: FeatureTransform, rows: Flags, random: np.random.Generator
) -> None:
    """Give each of these records, all of whose values others may hold, one that no book holds."""
    column = transform.schema.columns[0]
    edges = transform.edges.get(transform.learnt_as[column])
    for row in np.flatnonzero(rows).tolist():
        drawn[column][row] = _new_name(random) if edges is None else _draw_numbers(edges, 1, random)[0][0]


def _new_name(random: np.random.Generator) -> str:
    return f"nobody {random.integers(2**32):08x}"
