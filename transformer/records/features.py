"""From records to the network's inputs: places values on learnt edges, and numbers names.

One transform, fitted on training rows and stored with the model, serves training and scoring alike.
"""

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from transformer.records.binning import place
from transformer.records.column_reading import Floats, RecordArrays
from transformer.records.holders import LEAST_HOLDERS, blend_rare
from transformer.records.rare_names import fit_slots, slots_of
from transformer.records.schema import Field, History, RecordSchema

BINS, FINE_BINS = 16, 96  # per numeric field: half of the edges by rows, half by distinct values
MOST_NAMES = 256  # of a categorical field; the rarer ones are folded into "unknown" too
MISSING_ID, UNKNOWN_ID, FIRST_KNOWN_ID = 0, 1, 2

Inputs = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class FeatureTransform:
    """Where each value lies on edges that were learnt from training rows.

    `edges` holds for each numeric field or history K + 1 increasing numbers; a value becomes its position u in [0, K]:
    the number of the bin plus the share of the bin that lies below it; K is at most `bins`. `categories` holds the
    known names of each categorical field or history. `holders` is how many records at least share each edge and name;
    0 in bundles of older releases, which did not ask. `slots` says for each categorical field which slots of its rare
    names are used.
    """

    schema: RecordSchema
    edges: dict[str, Floats]
    categories: dict[str, tuple[str, ...]]
    bins: int = BINS
    holders: int = 0
    slots: dict[str, NDArray[np.bool_]] = field(default_factory=dict)

    def slots_of(self, one: Field | History) -> int:
        """Return how many slots of rare names a field uses."""
        return int(self.slots[one.name].sum()) if one.name in self.slots else 0

    @property
    def learnt_as(self) -> dict[str, str]:
        """The field or history under whose name each input column's edges or names were learnt."""
        learnt = {one.name: one.name for one in self.schema.fields}
        return learnt | {column: one.name for one in self.schema.histories for column in one.columns}

    @classmethod
    def fit(
        cls, arrays: RecordArrays, schema: RecordSchema, rows: NDArray[Any] | None = None, *, bins: int = BINS
    ) -> Self:
        """Learn edges and categories from the given rows (default: all)."""
        learnt = arrays if rows is None else arrays.take(rows)
        edges: dict[str, Floats] = {}
        categories: dict[str, tuple[str, ...]] = {}
        slots: dict[str, NDArray[np.bool_]] = {}
        for one in schema.fields:
            if one.kind == "numeric":
                edges[one.name] = fit_edges(learnt.numeric[one.name], bins)
                continue
            names = learnt.categorical[one.name]
            categories[one.name] = fit_categories(names)
            rare = names[~pd.isna(names) & ~pd.Series(names).isin(categories[one.name]).to_numpy()]
            slots[one.name] = fit_slots(rare, LEAST_HOLDERS)
        for history in schema.histories:
            if history.kind == "numeric":
                pooled = np.concatenate([learnt.numeric[name] for name in history.columns])
                edges[history.name] = fit_edges(pooled, bins, each=len(history.columns))
            else:
                categories[history.name] = fit_categories(*(learnt.categorical[name] for name in history.columns))
        used = {name: one for name, one in slots.items() if one.any()}
        return cls(schema, edges, categories, bins, LEAST_HOLDERS, used)

    def transform(self, arrays: RecordArrays) -> Inputs:
        """Return the network's inputs for N records; those that the schema has no column for are left out.

        positions, missing: float32 (N, P); categories: int32 (N, Q); rare: int32 (N, Q), slots of unknown names from
        1, where any are used; history_positions, history_missing: float32 (N, S, H); history_categories: int32
        (N, S, G). In `missing` 0 means there, 1 blank, 2 and up which of the field's codes.
        """
        inputs: Inputs = {}
        fields, histories = self.schema.fields, self.schema.histories
        numbers = [(one.name, one.name) for one in fields if one.kind == "numeric"]
        if numbers:
            inputs["positions"], inputs["missing"] = self._place(numbers, arrays)
        names = {
            one.name: self._number(one.name, arrays.categorical[one.name])
            for one in fields
            if one.kind == "categorical"
        }
        if names:
            inputs["categories"] = np.stack(list(names.values()), axis=1)
        if self.slots:
            inputs["rare"] = np.stack([self._slot(name, ids, arrays) for name, ids in names.items()], axis=1)
        pasts = [one for one in histories if one.kind == "numeric"]
        if pasts:
            columns = [(one.name, one.columns[step]) for step in range(self.schema.steps) for one in pasts]
            shape = (arrays.rows, self.schema.steps, len(pasts))
            positions, missing = self._place(columns, arrays)
            inputs["history_positions"], inputs["history_missing"] = positions.reshape(shape), missing.reshape(shape)
        named_pasts = [self._number_history(one, arrays) for one in histories if one.kind == "categorical"]
        if named_pasts:
            inputs["history_categories"] = np.stack(named_pasts, axis=2)
        return inputs

    def to_document(self) -> dict[str, Any]:
        """Return a JSON document that `from_document` reads back; Python writes every float exactly."""
        edges = {name: values.tolist() for name, values in self.edges.items()}
        categories = {name: list(names) for name, names in self.categories.items()}
        document = {"schema": self.schema.to_document(), "edges": edges, "categories": categories}
        slots = {name: one.astype(int).tolist() for name, one in self.slots.items()}
        return document | {"bins": self.bins, "holders": self.holders, "slots": slots}

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """Read back what `to_document` wrote."""
        edges = {name: np.array(values, dtype=np.float64) for name, values in document["edges"].items()}
        categories = {name: tuple(names) for name, names in document["categories"].items()}
        bins = document.get("bins", BINS)  # bundles of the first versions do not say it
        schema = RecordSchema.from_document(document["schema"])
        slots = {name: np.array(one, dtype=bool) for name, one in document.get("slots", {}).items()}
        return cls(schema, edges, categories, bins, document.get("holders", 0), slots)

    def _place(
        self, columns: list[tuple[str, str]], arrays: RecordArrays
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Positions and kinds of missing, (N, columns) each; of a column the name of its edges, and its own."""
        positions, missing = (np.empty((arrays.rows, len(columns)), np.float32) for _ in range(2))
        for number, (name, column) in enumerate(columns):
            values, kinds = arrays.numeric[column], arrays.kinds[column]
            place(values, kinds, self.edges[name], number, positions, missing)
        return positions, missing

    def _number(self, name: str, values: NDArray[np.object_]) -> NDArray[np.int32]:
        known = pd.Index(self.categories[name], dtype="object")
        ids = known.get_indexer(pd.Index(values, dtype="object"))
        numbered = np.where(ids < 0, UNKNOWN_ID, ids + FIRST_KNOWN_ID)
        return np.where(pd.isna(values), MISSING_ID, numbered).astype(np.int32)

    def _slot(self, name: str, ids: NDArray[np.int32], arrays: RecordArrays) -> NDArray[np.int32]:
        """Number the slots of names that are unknown, from 1; 0 is no slot."""
        found, used = np.zeros(len(ids), np.int32), self.slots.get(name)
        rare = np.flatnonzero(ids == UNKNOWN_ID)
        if used is not None and len(rare):
            numbers = np.where(used, np.cumsum(used), 0)
            found[rare] = numbers[slots_of(arrays.categorical[name][rare], len(used))]
        return found

    def _number_history(self, history: History, arrays: RecordArrays) -> NDArray[np.int32]:
        columns = [self._number(history.name, arrays.categorical[column]) for column in history.columns]
        return np.stack(columns, axis=1)


def fit_edges(values: Floats, bins: int = BINS, *, each: int = 1) -> Floats:
    """Return at most bins + 1 increasing edges: half at quantiles of the rows, half at quantiles of distinct values.

    Rows alone put every edge on the value that most records share; distinct values alone spend them on the tail. The
    shares of the two halves alternate, so that where all values are distinct no edge is spent twice. `each` is how many
    of the values belong to one record; no edge is the value of a few (see `holders`).
    """
    known = values[~np.isnan(values)]
    if known.size == 0:
        return np.array([0.0, 1.0])
    shares = np.linspace(0.0, 1.0, bins // 2 + 1)
    by_rows = np.quantile(known, shares, method="inverted_cdf")
    between = (shares[:-1] + shares[1:]) / 2
    by_values = np.quantile(np.unique(known), between, method="inverted_cdf")
    edges = np.unique(blend_rare(known, np.unique(np.concatenate([by_rows, by_values])), each=each))
    return edges if edges.size > 1 else np.array([edges[0] - 0.5, edges[0] + 0.5])


def fit_categories(*columns: NDArray[np.object_]) -> tuple[str, ...]:
    """Return the names that enough records hold to have an embedding of their own, sorted; at most `MOST_NAMES`.

    A record with the same name in several columns of a history holds it once.
    """
    ids, names = pd.factorize(np.concatenate(columns), use_na_sentinel=True)
    rows = np.tile(np.arange(len(columns[0])), len(columns))[ids >= 0]
    held = np.unique(rows * max(1, len(names)) + ids[ids >= 0]) % max(1, len(names))
    counts = np.bincount(held, minlength=len(names))
    commonest = np.argsort(-counts, kind="stable")[:MOST_NAMES]
    return tuple(sorted(str(names[one]) for one in commonest if counts[one] >= LEAST_HOLDERS))
