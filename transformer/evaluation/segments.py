"""Figures by segment: the records that share a value of a column, or lie in the same quarter of its numbers."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from transformer.evaluation.intervals import Figure, evaluate_with_intervals
from transformer.records.holders import LEAST_HOLDERS, blend_rare

MOST_VALUES = 12  # of a column, each a segment of its own; of more, the commonest and all others
LEAST_ROWS = 30  # with fewer, no figures are computed
LEAST_OF_A_CLASS = 5
NOT_KNOWN = "not known"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Segment:
    """The records of a segment: how many, how many were bad, what was predicted; figures where there are enough."""

    column: str
    value: str
    rows: int
    bad_rate: float
    mean_probability: float
    figures: dict[str, Figure]


def evaluate_segments(
    frame: pd.DataFrame, columns: tuple[str, ...], target: Floats, probability: Floats
) -> list[Segment]:
    """Return the segments of each column in the order of their values. `frame` holds one row a record.

    A segment with fewer records than `LEAST_HOLDERS` is left out, because it would reveal the outcomes of a few people.
    """
    found: list[Segment] = []
    for column in columns:
        for value, chosen in _cut(frame[column]):
            known, probabilities = target[chosen], probability[chosen]
            if len(known) < LEAST_HOLDERS:
                continue
            enough = len(known) >= LEAST_ROWS and min(known.sum(), len(known) - known.sum()) >= LEAST_OF_A_CLASS
            figures = evaluate_with_intervals(known, probabilities) if enough else {}
            found.append(Segment(column, value, len(known), float(known.mean()), float(probabilities.mean()), figures))
    return found


def _cut(column: "pd.Series[Any]") -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield the name and the rows (N) of each segment."""
    numbers = pd.to_numeric(column, errors="coerce")
    is_numeric = bool(numbers.notna().sum() == column.notna().sum()) and numbers.nunique() > MOST_VALUES
    named = _name_quarters(numbers) if is_numeric else _name_values(column)
    for name in sorted(named.unique(), key=lambda one: (one == NOT_KNOWN, one)):
        yield name.partition(" ")[2] if is_numeric and name != NOT_KNOWN else name, (named == name).to_numpy()


def _name_quarters(numbers: "pd.Series[float]") -> "pd.Series[str]":
    quarters = numbers.quantile([0, 0.25, 0.5, 0.75, 1], interpolation="lower")
    edges: NDArray[np.float64] = np.unique(np.asarray(quarters.to_numpy(), dtype=np.float64))
    known: NDArray[np.float64] = np.asarray(numbers.dropna().to_numpy(), dtype=np.float64)
    edges = np.unique(blend_rare(known, edges))
    places = np.clip(np.searchsorted(edges, numbers.to_numpy(), side="left"), 1, max(1, len(edges) - 1))
    texts = [f"{place} {edges[place - 1]:g} to {edges[min(place, len(edges) - 1)]:g}" for place in places.tolist()]
    return pd.Series(texts, dtype="str").where(numbers.notna().to_numpy(), NOT_KNOWN)


def _name_values(column: "pd.Series[Any]") -> "pd.Series[str]":
    texts = column.map(lambda value: f"{value:g}" if isinstance(value, float) else str(value), na_action="ignore")
    texts = texts.astype("object").where(column.notna(), NOT_KNOWN).astype("str").reset_index(drop=True)
    counts = texts.value_counts()
    named = counts.index[:MOST_VALUES][counts.to_numpy()[:MOST_VALUES] >= LEAST_HOLDERS]
    return texts.where(texts.isin([*named, NOT_KNOWN]), "all others")
