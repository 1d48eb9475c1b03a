"""Makes aggregates of events: one pass over the events of each record, compiled with Numba.

An aggregate is made of the sums of a slice: the events with one name in one column, of one quarter of the day, and of
at most some age. Aggregates of the same slice share its pass.
"""

# Numba has no types.
# pyright: basic

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import NDArray

from transformer.events.event_columns import NO_NAME, EventColumns, Names
from transformer.records.event_schema import Aggregate, EventTable, Measure

compiled = njit(nogil=True, cache=True, error_model="numpy")

ANY = -1
ABSENT = -2  # the number of a name that none of the events has

Floats = NDArray[np.float64]

# The sums of a slice.
_COUNT, _SUM, _MEAN, _SQUARES, _LEAST, _MOST, _NEWEST, _YOUNGEST, _OLDEST, _AGES, _AGE_SQUARES, _PRODUCTS = range(12)
_SUMS = 12
# "followed", "distinct" and "name" are made apart.
_MEASURES: dict[Measure, int] = {
    name: number
    for number, name in enumerate(
        (
            *("count", "share", "sum", "mean", "smallest", "largest", "deviation", "newest", "change", "slope"),
            *("days_since_last", "days_since_first", "mean_days_since", "mean_gap", "overdue"),
        )
    )
}
_ALONE, _SHARE, _SUMMED, _AVERAGE, _SMALLEST, _LARGEST, _DEVIATION, _LAST, _CHANGE, _SLOPE = range(10)
_SINCE_LAST, _SINCE_FIRST, _MEAN_SINCE, _MEAN_GAP, _OVERDUE = range(10, 15)


class _Slice(NamedTuple):
    """Which events are summed, and which of their values."""

    among: int
    name: int
    part: int
    days: float
    value: int


def make_aggregates(events: EventColumns, aggregates: Sequence[Aggregate]) -> pd.DataFrame:
    """Return the aggregates of N records: float64 with NaN for what cannot be known, names as objects with None."""
    made: dict[str, NDArray[Any]] = {}
    summed = [one for one in aggregates if one.measure in _MEASURES]
    if summed:
        made |= zip((one.field for one in summed), _make_sums(events, summed), strict=True)
    for one in aggregates:
        if one.measure == "followed":
            made[one.field] = _count_followed(events, one)
        elif one.measure == "distinct":
            made[one.field] = _count_distinct(events, one)
        elif one.measure == "name":
            made[one.field] = _find_names(events, one)
    columns = {one.field: pd.Series(made[one.field], dtype=made[one.field].dtype) for one in aggregates}
    return pd.DataFrame(columns, index=pd.RangeIndex(events.records))


def add_event_fields(
    frame: pd.DataFrame, tables: Sequence[EventTable], events: dict[str, EventColumns]
) -> pd.DataFrame:
    """Return the frame of N records with the aggregates of all tables as further columns."""
    parts = [make_aggregates(events[table.name], table.aggregates) for table in tables if table.aggregates]
    numbered = frame.reset_index(drop=True)
    return pd.concat([numbered, *parts], axis=1) if parts else numbered


def _make_sums(events: EventColumns, aggregates: Sequence[Aggregate]) -> Floats:
    columns, values = tuple(events.names), tuple(events.numbers)
    slices: dict[_Slice, int] = {}

    def number(one: _Slice) -> int:
        return slices.setdefault(one, len(slices))

    specs = np.zeros((len(aggregates), 3), np.int64)
    for place, one in enumerate(aggregates):
        own = _slice_of(one, events, columns, values)
        wide = own._replace(days=np.inf) if one.measure == "change" else own._replace(among=ANY, name=ANY, part=ANY)
        specs[place] = _MEASURES[one.measure], number(own), number(wide)
    codes = np.stack([events.names[name].codes for name in columns]) if columns else np.zeros((1, 0), np.int32)
    numbers = np.stack([events.numbers[name] for name in values]) if values else np.zeros((1, 0))
    parts = [np.array([one[axis] for one in slices], np.int64) for axis in (0, 1, 2, 4)]
    days = np.array([one.days for one in slices])
    found = np.empty((len(aggregates), events.records))
    _run(events.starts, events.age, events.part, codes, numbers, *parts, days, specs, found)
    return found


def _slice_of(one: Aggregate, events: EventColumns, columns: tuple[str, ...], values: tuple[str, ...]) -> _Slice:
    among, name = ANY, ANY
    if one.among is not None:
        among, name = columns.index(one.among), _code_of(events.names[one.among], one.name)
    part = ANY if one.part is None else one.part
    days = np.inf if one.days is None else one.days
    return _Slice(among, name, part, days, ANY if one.value is None else values.index(one.value))


def _code_of(names: Names, name: str | None) -> int:
    return names.names.index(name) if name in names.names else ABSENT


@compiled
def _run(starts, age, part, codes, values, among, name, quarter, value, days, specs, found):
    sums = np.empty((len(days), _SUMS))
    for record in range(len(starts) - 1):
        first, end = starts[record], starts[record + 1]
        for one in range(len(days)):
            _sum_up(
                sums[one],
                first,
                end,
                age,
                part,
                codes,
                values,
                among[one],
                name[one],
                quarter[one],
                value[one],
                days[one],
            )
        for one in range(len(specs)):
            found[one, record] = _measure(specs[one, 0], sums[specs[one, 1]], sums[specs[one, 2]])


@compiled
def _sum_up(sums, first, end, age, part, codes, values, among, name, quarter, value, days):
    """Fill in the sums of one slice of one record's events, from the newest to the oldest."""
    sums[:] = 0
    sums[_NEWEST] = sums[_YOUNGEST] = sums[_OLDEST] = np.nan
    sums[_LEAST], sums[_MOST] = np.inf, -np.inf
    for event in range(end - 1, first - 1, -1):
        if age[event] > days:
            break
        if among >= 0 and codes[among, event] != name:
            continue
        if quarter >= 0 and part[event] != quarter:
            continue
        number = 0.0
        if value >= 0:
            number = values[value, event]
            if np.isnan(number):
                continue
        since = age[event]
        sums[_COUNT] += 1
        if sums[_COUNT] == 1:
            sums[_NEWEST], sums[_YOUNGEST] = number, since
        sums[_OLDEST] = since
        sums[_SUM] += number
        step = number - sums[_MEAN]
        sums[_MEAN] += step / sums[_COUNT]
        sums[_SQUARES] += step * (number - sums[_MEAN])
        sums[_LEAST] = min(sums[_LEAST], number)
        sums[_MOST] = max(sums[_MOST], number)
        sums[_AGES] += since
        sums[_AGE_SQUARES] += since * since
        sums[_PRODUCTS] += since * number


@compiled
def _measure(measure, own, wide):
    """Return one measure of a slice; `wide` is the slice that it is compared with."""
    count = own[_COUNT]
    if measure == _ALONE:
        return count
    if measure == _SUMMED:
        return own[_SUM]
    if measure == _SHARE:
        return count / wide[_COUNT] if wide[_COUNT] > 0 else np.nan
    if count == 0:
        return np.nan
    if measure == _AVERAGE:
        return own[_MEAN]
    if measure == _SMALLEST:
        return own[_LEAST]
    if measure == _LARGEST:
        return own[_MOST]
    if measure == _DEVIATION:
        return np.sqrt(own[_SQUARES] / count)
    if measure == _LAST:
        return own[_NEWEST]
    if measure == _CHANGE:
        return own[_MEAN] - wide[_MEAN]
    if measure == _SINCE_LAST:
        return own[_YOUNGEST]
    if measure == _SINCE_FIRST:
        return own[_OLDEST]
    if measure == _MEAN_SINCE:
        return own[_AGES] / count
    if count < 2:
        return np.nan
    if measure == _SLOPE:
        spread = own[_AGE_SQUARES] - own[_AGES] * own[_AGES] / count
        return -(own[_PRODUCTS] - own[_AGES] * own[_MEAN]) / spread if spread > 1e-9 else np.nan
    gap = (own[_OLDEST] - own[_YOUNGEST]) / (count - 1)
    if measure == _MEAN_GAP:
        return gap
    return own[_YOUNGEST] / gap if gap > 1e-9 else np.nan


def _count_followed(events: EventColumns, one: Aggregate) -> Floats:
    assert one.among is not None, "only events with a name are followed by others"
    names = events.names[one.among]
    found = np.empty(events.records)
    days = np.inf if one.days is None else one.days
    part = ANY if one.part is None else one.part
    own = (_code_of(names, one.name), _code_of(names, one.then))
    _follow(events.starts, events.age, events.part, names.codes, *own, part, days, found)
    return found


@compiled
def _follow(starts, age, part, codes, name, then, quarter, days, found):
    """Count the events `then`, of this quarter of the day, that come within a day after one of `name`."""
    for record in range(len(starts) - 1):
        count, before = 0, np.nan
        for event in range(starts[record], starts[record + 1]):
            is_one = codes[event] == then and (quarter < 0 or part[event] == quarter) and age[event] <= days
            if is_one and before - age[event] <= 1.0:
                count += 1
            if codes[event] == name:
                before = age[event]
        found[record] = count


def _count_distinct(events: EventColumns, one: Aggregate) -> Floats:
    """Count the names in the column `among` that a record's events have."""
    assert one.among is not None, "names are counted in a column of names"
    names = events.names[one.among]
    owner = np.repeat(np.arange(events.records), np.diff(events.starts))
    is_named = names.codes != NO_NAME
    if one.days is not None:
        is_named &= events.age <= one.days
    pairs = np.unique(owner[is_named] * max(1, len(names.names)) + names.codes[is_named])
    return np.bincount(pairs // max(1, len(names.names)), minlength=events.records).astype(np.float64)


def _find_names(events: EventColumns, one: Aggregate) -> NDArray[np.object_]:
    """Return the name that one of the newest events has; None where there are fewer events, or it has none."""
    assert one.among is not None, "a name stands in a column of names"
    names = events.names[one.among]
    place = events.starts[1:] - 1 - one.place
    is_there = place >= events.starts[:-1]
    codes = np.full(events.records, NO_NAME)
    codes[is_there] = names.codes[place[is_there]]
    return np.array([*names.names, None], dtype=object)[codes]
