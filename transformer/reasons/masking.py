"""Masking: what a record would be without one of its values, said by a reference record.

To mask a column is to replace its value by the reference's value of that column; nothing else of the record changes.
The reference is a record of ordinary values: of each numeric column the median (or the mean of the records around it,
where few have it), of each categorical column the commonest name, "not known" where that is commoner or where few share
a name; of all records to learn from, or of the good ones alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from transformer.records.column_reading import RecordArrays, read_columns
from transformer.records.features import FeatureTransform, Inputs
from transformer.records.holders import blend_rare, least_holders
from transformer.records.schema import RecordSchema

ReferenceKind = Literal["population", "good"]
ReferenceRecord = dict[str, float | str | None]
Predict = Callable[[Inputs], NDArray[np.float64]]

_PROBED_VALUES = 64  # values of a column that are tried to find its places among the inputs

Flat = NDArray[np.float32]
Flags = NDArray[np.bool_]


def choose_reference(
    frame: pd.DataFrame, target: NDArray[np.float64], schema: RecordSchema, kind: ReferenceKind
) -> ReferenceRecord:
    """Return the ordinary value of each column among the records, or among those with outcome 0 (`good`).

    None stands for "not known", and is ordinary where at least half of a column's values are not known.
    """
    arrays, _ = read_columns(frame, schema)
    rows = np.flatnonzero(target == 0) if kind == "good" else np.arange(len(frame))
    chosen = arrays.take(rows)
    return {name: _ordinary_value(chosen, name, kind_of) for name, (kind_of, _codes) in schema.readings.items()}


def _ordinary_value(arrays: RecordArrays, name: str, kind: str) -> float | str | None:
    if kind == "categorical":
        counts = pd.Series(arrays.categorical[name], dtype="object").value_counts(dropna=False)
        commonest = min(counts.index[counts == counts.iloc[0]], key=str)
        is_nameless = pd.isna(commonest) or counts.iloc[0] < least_holders(arrays.rows)
        return None if is_nameless else str(commonest)
    values = arrays.numeric[name]
    known = values[~np.isnan(values)]
    if 2 * len(known) < len(values) or not len(known):
        return None
    return float(blend_rare(known, np.quantile(known, [0.5], method="inverted_cdf"))[0])


@dataclass(frozen=True)
class Masking:
    """Which of the network's F input numbers belong to which of the C columns, and what they are in the reference.

    `owner` (F) is the column's number, C for a number that no column changes.
    """

    columns: tuple[str, ...]
    shapes: dict[str, tuple[int, ...]]
    dtypes: dict[str, str]
    owner: NDArray[np.int32]
    reference: Flat

    @classmethod
    def find(cls, transform: FeatureTransform, reference: ReferenceRecord, frame: pd.DataFrame) -> Self:
        """Find the places of each column by trying values of it, taken from `frame`, in the reference record."""
        columns = transform.schema.columns
        tried = [_values_to_try(frame[name]) for name in columns]
        counts = [len(values) for values in tried]
        probes = pd.DataFrame({name: [reference[name]] * (1 + sum(counts)) for name in columns}, dtype="object")
        starts = 1 + np.concatenate([[0], np.cumsum(counts)])
        for number, (name, values) in enumerate(zip(columns, tried, strict=True)):
            probes.loc[starts[number] : starts[number + 1] - 1, name] = pd.Series(
                values, dtype="object", index=range(starts[number], starts[number + 1])
            )
        arrays, _ = read_columns(probes, transform.schema)
        inputs = transform.transform(arrays)
        flat = flatten(inputs)
        owner = np.full(flat.shape[1], len(columns), dtype=np.int32)
        for number, name in enumerate(columns):
            changed = (flat[starts[number] : starts[number + 1]] != flat[0]).any(axis=0)
            shared = changed & (owner != len(columns))
            if shared.any():
                other = columns[owner[shared][0]]
                raise ValueError(f"expected inputs of one column each, but {name} and {other} share one")
            owner[changed] = number
        shapes = {one: inputs[one].shape[1:] for one in sorted(inputs)}
        return cls(columns, shapes, {one: str(inputs[one].dtype) for one in sorted(inputs)}, owner, flat[0])

    def mask(self, flat: Flat, keep: Flags) -> Flat:
        """Return flat inputs (N, F) with the reference's numbers in the columns that `keep` (N, C) does not keep."""
        always = np.ones((len(keep), 1), dtype=bool)
        return np.where(np.concatenate([keep, always], axis=1)[:, self.owner], flat, self.reference)

    def unflatten(self, flat: Flat) -> Inputs:
        """Return the network's inputs again."""
        inputs: Inputs = {}
        start = 0
        for name, shape in self.shapes.items():
            size = int(np.prod(shape))
            inputs[name] = flat[:, start : start + size].reshape(-1, *shape).astype(self.dtypes[name])
            start += size
        return inputs


def flatten(inputs: Inputs) -> Flat:
    """Return all inputs of N records side by side (N, F), in the order of their names."""
    parts = [inputs[name].reshape(len(inputs[name]), -1).astype(np.float32) for name in sorted(inputs)]
    return np.concatenate(parts, axis=1)


def masking_effects(masking: Masking, flat: Flat, predict: Predict) -> NDArray[np.float64]:
    """Return f(x) - f(x with column c masked) for N records and C columns (N, C): exact, C + 1 predictions a record."""
    columns = len(masking.columns)
    whole = predict(masking.unflatten(flat))
    effects = np.empty((len(flat), columns))
    for number in range(columns):
        keep = np.ones((len(flat), columns), dtype=bool)
        keep[:, number] = False
        effects[:, number] = whole - predict(masking.unflatten(masking.mask(flat, keep)))
    return effects


def shapley_values(
    masking: Masking, flat: Flat, predict: Predict, *, permutations: int, random: np.random.Generator
) -> NDArray[np.float64]:
    """Return Shapley values (N, C) of f against the reference, by sampling orders of the columns.

    Each order is used forwards and backwards (antithetic sampling; Mitchell et al. 2022, arXiv 2104.12199), so a record
    costs 2 * permutations * (C + 1) predictions. Unbiased; exact as permutations grow. Each record's values sum to
    f(x) - f(reference).
    """
    rows, columns = len(flat), len(masking.columns)
    every, total = np.arange(rows), np.zeros((rows, columns))
    for _ in range(permutations):
        order = np.argsort(random.random((rows, columns)), axis=1)
        for one in (order, order[:, ::-1]):
            keep = np.zeros((rows, columns), dtype=bool)
            before = predict(masking.unflatten(masking.mask(flat, keep)))
            for step in range(columns):
                keep[every, one[:, step]] = True
                after = predict(masking.unflatten(masking.mask(flat, keep)))
                total[every, one[:, step]] += after - before
                before = after
    return total / (2 * permutations)


def _values_to_try(column: "pd.Series[Any]") -> list[Any]:
    """Return values spread over a column's distinct ones, and none at all."""
    distinct = column.dropna().drop_duplicates()
    try:
        distinct = distinct.sort_values()
    except TypeError:  # numbers and texts in one column
        distinct = distinct.iloc[:]
    chosen = np.unique(np.linspace(0, max(len(distinct) - 1, 0), min(_PROBED_VALUES, len(distinct))).astype(int))
    return [*distinct.iloc[chosen].tolist(), None]
