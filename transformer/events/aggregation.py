"""Makes aggregates of events: one pass over the events of each record, compiled with Numba.

An aggregate is made of the sums of a slice: the events with one name in one column, of one quarter of the day, and of
at most some age. Aggregates of the same slice share its pass.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from transformer.events.event_columns import NO_NAME, EventColumns, Names
from transformer.events.event_network import network_of
from transformer.events.event_sums import ANY, count_followed, measure_slices
from transformer.records.event_schema import Aggregate, EventTable, Measure

ABSENT = -2  # the number of a name that none of the events has

Floats = NDArray[np.float64]

# "followed", "distinct", "name" and "order" are made apart.
_MEASURES: dict[Measure, int] = {
    name: number
    for number, name in enumerate(
        (
            *("count", "share", "sum", "mean", "smallest", "largest", "deviation", "newest", "change", "slope"),
            *("days_since_last", "days_since_first", "mean_days_since", "mean_gap", "overdue"),
        )
    )
}


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
        elif one.measure == "order":
            assert one.network is not None, "a network makes the order"
            made[one.field] = network_of(one.network).logits(events)
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
    codes, numbers = events.stack()
    among, name, part, value = (np.array([one[axis] for one in slices], np.int64) for axis in (0, 1, 2, 4))
    days = np.array([one.days for one in slices])
    found = np.empty((len(aggregates), events.records))
    measure_slices(events.starts, events.age, events.part, codes, numbers, among, name, part, value, days, specs, found)
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


def _count_followed(events: EventColumns, one: Aggregate) -> Floats:
    assert one.among is not None, "only events with a name are followed by others"
    names = events.names[one.among]
    found = np.empty(events.records)
    days = np.inf if one.days is None else one.days
    part = ANY if one.part is None else one.part
    own = (_code_of(names, one.name), _code_of(names, one.then))
    count_followed(events.starts, events.age, events.part, names.codes, *own, part, days, found)
    return found


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
