"""Counts the records of a book per bin of every input column, on bins that are frozen with a model.

A numeric column has the bins missing, unseen (outside of what the model learnt from), and up to ten between the
reference's quantiles; a categorical one missing, unseen, the known names that are rare, and the frequent ones. Beside
them stand counts by which a broken column is told from one that moved (`column_signs`).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from transformer.bundles.column_signs import SIGNS, count_signs
from transformer.bundles.name_spellings import Spellings
from transformer.records.column_reading import Floats, RecordArrays
from transformer.records.features import FeatureTransform
from transformer.records.holders import blend_rare

QUANTILES = 10
FREQUENT_NAMES = 15
MISSING, UNSEEN = 0, 1  # the first bins of every column


@dataclass(frozen=True)
class NumericBins:
    """`edges` are the inner ones, right-closed; values below `lowest` or above `highest` are unseen."""

    edges: tuple[float, ...]
    lowest: float
    highest: float

    def count(self, values: Floats) -> NDArray[np.int64]:
        """Return the records per bin: missing, unseen, and one more bin than there are edges."""
        is_missing = np.isnan(values)
        is_unseen = (values < self.lowest) | (values > self.highest)
        known = values[~(is_missing | is_unseen)]
        bins = np.searchsorted(self.edges, known, side="left")
        return np.concatenate([[is_missing.sum(), is_unseen.sum()], np.bincount(bins, minlength=len(self.edges) + 1)])


@dataclass(frozen=True)
class NamedBins:
    """`frequent` names have bins of their own, the other `known` ones share one; any other name is unseen."""

    frequent: tuple[str, ...]
    known: tuple[str, ...]

    def count(self, names: NDArray[np.object_]) -> NDArray[np.int64]:
        """Return the records per bin: missing, unseen, rare, and the frequent names in their order."""
        index = pd.Index([*self.frequent, *self.known], dtype="object")
        places = index.get_indexer(pd.Index(names, dtype="object"))
        is_missing = pd.isna(names)
        is_rare = places >= len(self.frequent)
        own = np.bincount(places[(places >= 0) & ~is_rare], minlength=len(self.frequent))
        unseen = ((places < 0) & ~is_missing).sum()
        return np.concatenate([[is_missing.sum(), unseen, is_rare.sum()], own])


@dataclass(frozen=True)
class FieldBins:
    """The bins of every input column."""

    numeric: Mapping[str, NumericBins]
    named: Mapping[str, NamedBins]

    @classmethod
    def fit(cls, reference: RecordArrays, transform: FeatureTransform) -> Self:
        """Place bins at the reference's quantiles and most frequent names; the transform knows what was learnt."""
        learnt = transform.learnt_as
        numeric = {
            name: _fit_numbers(values, transform.edges[learnt[name]]) for name, values in reference.numeric.items()
        }
        named = {
            name: _fit_names(names, transform.categories[learnt[name]]) for name, names in reference.categorical.items()
        }
        return cls(numeric, named)

    def count(self, arrays: RecordArrays) -> dict[str, Any]:
        """Return the records per bin of every column, and the signs of faults under `SIGNS`, as JSON can hold them."""
        counts = {name: bins.count(arrays.numeric[name]) for name, bins in self.numeric.items()}
        counts |= {name: bins.count(arrays.categorical[name]) for name, bins in self.named.items()}
        signs = count_signs(arrays, self._trained, self._spellings)
        return {name: one.tolist() for name, one in counts.items()} | {SIGNS: signs}

    @cached_property
    def _trained(self) -> dict[str, tuple[float, float]]:
        return {name: (bins.lowest, bins.highest) for name, bins in self.numeric.items()}

    @cached_property
    def _spellings(self) -> dict[str, Spellings]:
        return {name: Spellings((*bins.frequent, *bins.known)) for name, bins in self.named.items()}

    def to_document(self) -> dict[str, Any]:
        """Return a JSON document that `from_document` reads back."""
        numeric = {name: asdict(one) for name, one in self.numeric.items()}
        return {"numeric": numeric, "named": {name: asdict(one) for name, one in self.named.items()}}

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """Read back what `to_document` wrote."""
        numeric = {
            name: NumericBins(tuple(one["edges"]), one["lowest"], one["highest"])
            for name, one in document["numeric"].items()
        }
        named = {
            name: NamedBins(tuple(one["frequent"]), tuple(one["known"])) for name, one in document["named"].items()
        }
        return cls(numeric, named)


def _fit_numbers(values: Floats, learnt: Floats) -> NumericBins:
    known = values[~np.isnan(values)]
    shares = np.linspace(0.0, 1.0, QUANTILES + 1)[1:-1]
    edges = np.unique(np.quantile(known, shares, method="inverted_cdf")) if known.size else np.empty(0)
    edges = np.unique(blend_rare(known, edges))
    return NumericBins(tuple(edges.tolist()), float(learnt[0]), float(learnt[-1]))


def _fit_names(names: NDArray[np.object_], learnt: tuple[str, ...]) -> NamedBins:
    counts = pd.Series(names, dtype="object").value_counts()
    frequent = [str(name) for name in counts.index if name in set(learnt)][:FREQUENT_NAMES]
    rest = sorted(set(learnt) - set(frequent))
    return NamedBins(tuple(frequent), tuple(rest))
