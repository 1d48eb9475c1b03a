"""Counts by which a broken column is told from one that moved: sizes, placeholders, spellings, equal columns.

All of it is added up over shards like the bins. It stands among the columns' bins under a name that no column can have.
Nothing is counted of a part with fewer than `LEAST_HOLDERS` records, and no size that fewer records share is kept for
itself: they are counted with the next size.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from transformer.bundles.name_spellings import Spellings
from transformer.records.column_reading import Floats, RecordArrays
from transformer.records.holders import LEAST_HOLDERS, least_holders

SIGNS = "tidemark_signs"  # names of columns never begin so
SIZES_A_DECADE = 8  # a size is a range of absolute values, its upper end a third above its lower one
PLACEHOLDERS = np.array(
    [-1.0, *(-float("9" * digits) for digits in range(1, 11)), *(float("9" * digits) for digits in range(3, 11))]
    + [float(2**bits - 1) for bits in (15, 16, 31, 32)]
)
_SMALLEST, _LARGEST = -12 * SIZES_A_DECADE, 20 * SIZES_A_DECADE
_ZERO, _WIDTH = _LARGEST - _SMALLEST + 1, 2 * (_LARGEST - _SMALLEST + 1) + 1
_COMPARED_ROWS = 1024  # of a part, to find columns that hold the same

Counts = dict[str, Any]
Range = tuple[float, float]
Names = NDArray[np.object_]


def count_signs(arrays: RecordArrays, trained: dict[str, Range], spellings: dict[str, Spellings]) -> Counts:
    """Return the counts of a part's records: how many there are, by column, and of pairs of columns that agree.

    `trained` has the range of every numeric column, `spellings` the known names of every other one.
    """
    if arrays.rows < LEAST_HOLDERS:
        return {}
    columns: Counts = {name: _count_numbers(arrays.numeric[name], one) for name, one in trained.items()}
    columns |= {name: spelling.count(arrays.categorical[name]) for name, spelling in spellings.items()}
    rows = np.unique(np.linspace(0, arrays.rows - 1, min(arrays.rows, _COMPARED_ROWS)).astype(np.int64))
    counts: Counts = {"records": arrays.rows, "columns": columns, "compared": len(rows)}
    return counts | {"equal": _count_equal(arrays.take(rows))}


def size_name(size: int, *, is_negative: bool = False) -> str:
    """Return the name of a size: the whole part of `SIZES_A_DECADE` log10 |x|.

    >>> size_name(16), size_name(-3, is_negative=True)
    ('+16', '--3')
    """
    return f"{'-' if is_negative else '+'}{size}"


def _count_numbers(values: Floats, trained: Range) -> Counts:
    known = values[~np.isnan(values)]
    counts: Counts = {"sizes": _count_sizes(known)}
    outside = {"below": int((known < trained[0]).sum()), "above": int((known > trained[1]).sum())}
    counts |= {side: records for side, records in outside.items() if records}
    if known.size:
        # More than half of equal values hold the median, so a constant needs no search.
        middle = np.partition(known, known.size // 2)[known.size // 2]
        counts["commonest"] = int((known == middle).sum())
    if found := int(np.isin(known, PLACEHOLDERS).sum()):
        counts["placeholders"] = found
    return counts


def _count_sizes(known: Floats) -> dict[str, int]:
    with np.errstate(divide="ignore"):
        exact = np.floor(SIZES_A_DECADE * np.log10(np.abs(known)) + 1e-9)
    sizes = np.clip(exact, _SMALLEST, _LARGEST) - (_SMALLEST - 1)
    counts = np.bincount((_ZERO + np.sign(known) * sizes).astype(np.int64), minlength=_WIDTH)  # the sign of 0 is 0
    return {_name_of(place): count for place, count in _join_small(counts, least_holders(len(known)))}


def _join_small(counts: NDArray[np.int64], least: int) -> list[tuple[int, int]]:
    """Count what too few records share with the next place above, and at the upper end with the last one."""
    joined: list[tuple[int, int]] = []
    carried = 0
    for place in np.flatnonzero(counts).tolist():
        carried += int(counts[place])
        if carried >= least:
            joined.append((place, carried))
            carried = 0
    if carried and joined:
        place, count = joined[-1]
        joined[-1] = (place, count + carried)
    return joined


def _name_of(place: int) -> str:
    if place == _ZERO:
        return "0"
    return size_name(abs(place - _ZERO) + _SMALLEST - 1, is_negative=place < _ZERO)


def _count_equal(arrays: RecordArrays) -> dict[str, dict[str, list[int]]]:
    """Return for pairs of columns that mostly agree: in how many records they do, and of how many with a value."""
    found: dict[str, dict[str, list[int]]] = {}
    _note_equal(arrays.numeric, found)
    if names := list(arrays.categorical):
        texts = np.concatenate([arrays.categorical[name] for name in names])
        ids = np.where(pd.isna(texts), np.nan, pd.factorize(texts)[0])
        _note_equal(dict(zip(names, ids.reshape(len(names), arrays.rows), strict=True)), found)
    return found


def _note_equal(columns: dict[str, Floats], found: dict[str, dict[str, list[int]]]) -> None:
    names = [name for name, values in columns.items() if _is_varied(values)]
    if len(names) < 2:
        return
    table = np.stack([columns[name] for name in names])
    is_there = ~np.isnan(table)
    for row, name in enumerate(names[:-1]):
        compared = (is_there[row] | is_there[row + 1 :]).sum(axis=1)
        equal = (table[row] == table[row + 1 :]).sum(axis=1)
        for other in np.flatnonzero((2 * equal >= compared) & (2 * compared >= table.shape[1])).tolist():
            found.setdefault(name, {})[names[row + 1 + other]] = [int(equal[other]), int(compared[other])]


def _is_varied(values: Floats) -> bool:
    known = values[~np.isnan(values)]
    return bool(known.size and (known != known[0]).any())
