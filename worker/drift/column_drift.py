"""Drift of every input column against the reference: PSI, missing and unseen records, the fullest bin."""

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import numpy as np

from worker.drift.distribution import Floats

MISSING, UNSEEN = 0, 1  # the first bins of every column


class FieldFigures(NamedTuple):
    """One column. Shares are of the night's records, or the reference's."""

    psi: float
    psi_corrected: float
    missing: float
    missing_reference: float
    unseen: float
    unseen_reference: float
    fullest: float  # share of the night's fullest bin
    fullest_reference: float  # share of the same bin in the reference
    records: int


def fields_document(fields: Mapping[str, FieldFigures]) -> dict[str, dict[str, Any]]:
    """Return the figures of every column as a JSON document, rounded to 6 digits: all at once, as there are many."""
    if not fields:
        return {}
    table = np.round(list(fields.values()), 6).tolist()
    return {
        name: FieldFigures._make([*row[:-1], one.records])._asdict()
        for (name, one), row in zip(fields.items(), table, strict=True)
    }


def compare_fields(reference: Mapping[str, Any], current: Mapping[str, Any]) -> dict[str, FieldFigures]:
    """Compare the columns that both sides counted, in one pass because the monitor has little time.

    A bin of missing or unseen records that is empty on both sides is left out, and so is what is no list of bins.
    """
    names = [name for name, bins in current.items() if _are_comparable(bins, reference.get(name))]
    if not names:
        return {}
    expected, actual = _stack([reference[name] for name in names]), _stack([current[name] for name in names])
    lengths = np.array([len(current[name]) for name in names])
    is_bin = np.arange(expected.shape[1]) < lengths[:, None]
    is_bin[:, : UNSEEN + 1] &= (expected + actual)[:, : UNSEEN + 1] > 0
    n, m = expected.sum(axis=1), actual.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        e, a = _shares(expected, is_bin), _shares(actual, is_bin)
        psi = np.sum(np.where(is_bin, (a - e) * np.log(np.where(is_bin, a / e, 1.0)), 0.0), axis=1)
        corrected = psi - (is_bin.sum(axis=1) - 1) * (1 / n + 1 / m)
        by_reference, by_night = expected / n[:, None], actual / m[:, None]
    places = np.argmax(actual, axis=1)
    rows = np.arange(len(names))
    columns = (
        *(psi, corrected, by_night[:, MISSING], by_reference[:, MISSING], by_night[:, UNSEEN], by_reference[:, UNSEEN]),
        *(by_night[rows, places], by_reference[rows, places], m),
    )
    table = np.nan_to_num(np.stack(columns, axis=1)).tolist()
    return {name: FieldFigures._make([*row[:-1], int(row[-1])]) for name, row in zip(names, table, strict=True)}


def _are_comparable(bins: object, before: object) -> bool:
    if not isinstance(bins, list) or not isinstance(before, list):
        return False
    return len(cast("list[int]", bins)) == len(cast("list[int]", before))


def _stack(rows: list[list[int]]) -> Floats:
    width = max(map(len, rows))
    if width == min(map(len, rows)):
        return np.array(rows, dtype=np.float64)
    return np.array([[*row, *[0] * (width - len(row))] for row in rows], dtype=np.float64)


def _shares(counts: Floats, is_bin: Floats) -> Floats:
    raised = np.where(is_bin, counts + 0.5, 0.0)
    return raised / raised.sum(axis=1, keepdims=True)
