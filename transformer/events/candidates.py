"""The aggregates that a table of events offers, in families from the usual ones to the elaborate ones.

usual     counts by type; last, mean, extremes, deviation and sum of each number; time since the first and last event
recent    counts and sums of recent windows; time since each type, and whether it is overdue; numbers by type; trends
names     the same by the names in other columns than the type
followed  how often one type comes within a day after another, by quarter of the day
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from transformer.events.event_columns import NO_NAME, PARTS, EventColumns
from transformer.records.event_schema import Aggregate, EventTable, Measure
from transformer.records.holders import LEAST_HOLDERS

MOST_NAMES = 32  # of a column that events are counted by
MOST_VALUES_BY_NAME = 8  # names whose numbers are summed on their own
MOST_FOLLOWED = 12  # names that are looked at in pairs
MOST_NUMBERS = 40
WINDOWS = 3
_NICE_DAYS = (1 / 24, 0.25, 1, 3, 7, 14, 30, 60, 90, 180, 365, 730, 1095)
_WINDOW_SHARES = (0.1, 0.25, 0.5)  # of all events that lie within a window
PART_NAMES = ("night", "morning", "afternoon", "evening")
_OF_NUMBERS: tuple[Measure, ...] = ("newest", "mean", "smallest", "largest", "deviation", "sum")
_LAST_NAMES = 3

Families = dict[str, tuple[Aggregate, ...]]


def list_candidates(table: EventTable, events: EventColumns) -> Families:
    """Return the families of aggregates of one table, by the events of records to learn from.

    A name that fewer than `LEAST_HOLDERS` records have is not counted on its own.
    """
    windows, names = choose_windows(events.age), {name: common_names(events, name) for name in table.names}
    numbers = table.numbers[:MOST_NUMBERS]
    types = {name: known for name, known in names.items() if name == table.type}
    others = {name: known for name, known in names.items() if name != table.type}
    return {
        "usual": (*_list_whole(table, numbers), *_list_counts(table, types)),
        "recent": (*_list_recent(table, numbers, windows), *_list_recent_by_name(table, types, numbers, windows)),
        "names": (*_list_counts(table, others), *_list_recent_by_name(table, others, numbers, windows)),
        "followed": tuple(_list_followed(table, names, has_hours=len(np.unique(events.part)) > 1)),
    }


def choose_windows(age: NDArray[np.float64]) -> tuple[float, ...]:
    """Return up to three windows in days, of usual length, with about a tenth, a quarter and half of the events."""
    if not len(age):
        return ()
    nice = np.array(_NICE_DAYS)
    wanted = np.maximum(np.quantile(age, _WINDOW_SHARES), nice[0])
    return tuple(sorted({float(nice[np.abs(np.log(nice / one)).argmin()]) for one in wanted}))


def common_names(events: EventColumns, column: str) -> tuple[str, ...]:
    """Return the names that enough records have, those of most records first."""
    names = events.names[column]
    owner = np.repeat(np.arange(events.records), np.diff(events.starts))
    is_named = names.codes != NO_NAME
    pairs = np.unique(names.codes[is_named].astype(np.int64) * max(1, events.records) + owner[is_named])
    holders = np.bincount(pairs // max(1, events.records), minlength=len(names.names))
    order = np.argsort(-holders, kind="stable")[:MOST_NAMES]
    return tuple(names.names[one] for one in order if holders[one] >= LEAST_HOLDERS)


def _list_whole(table: EventTable, numbers: tuple[str, ...]) -> Iterable[Aggregate]:
    yield _of(table, "count")
    for measure in ("days_since_last", "days_since_first", "mean_gap"):
        yield _of(table, measure)
    for value in numbers:
        for measure in _OF_NUMBERS:
            yield _of(table, measure, value=value)


def _list_counts(table: EventTable, names: dict[str, tuple[str, ...]]) -> Iterable[Aggregate]:
    for column, known in names.items():
        if len(known) < 2:
            continue
        yield _of(table, "distinct", among=column)
        for name in known:
            yield _of(table, "count", among=column, name=name)
        for place in range(_LAST_NAMES):
            yield _of(table, "name", among=column, place=place)


def _list_recent(table: EventTable, numbers: tuple[str, ...], windows: tuple[float, ...]) -> Iterable[Aggregate]:
    yield _of(table, "mean_days_since")
    yield _of(table, "overdue")
    for days in windows:
        yield _of(table, "count", days=days)
    for value in numbers:
        yield _of(table, "slope", value=value)
        for days in windows:
            for measure in ("mean", "sum", "change"):
                yield _of(table, measure, value=value, days=days)


def _list_recent_by_name(
    table: EventTable, names: dict[str, tuple[str, ...]], numbers: tuple[str, ...], windows: tuple[float, ...]
) -> Iterable[Aggregate]:
    for column, known in names.items():
        if len(known) < 2:
            continue
        for name in known:
            for measure in ("share", "days_since_last", "days_since_first", "mean_days_since", "overdue"):
                yield _of(table, measure, among=column, name=name)
            for days in windows:
                yield _of(table, "count", among=column, name=name, days=days)
        for name in known[:MOST_VALUES_BY_NAME]:
            for value in numbers[:MOST_VALUES_BY_NAME]:
                for measure in ("sum", "mean", "newest", "slope"):
                    yield _of(table, measure, value=value, among=column, name=name)


def _list_followed(table: EventTable, names: dict[str, tuple[str, ...]], *, has_hours: bool) -> Iterable[Aggregate]:
    if table.type is None or len(names[table.type]) < 2:
        return
    common = names[table.type][:MOST_FOLLOWED]
    parts = (None, *range(PARTS)) if has_hours else (None,)
    for name in common:
        if has_hours:
            for part in range(PARTS):
                yield _of(table, "count", among=table.type, name=name, part=part)
        for then in common:
            for part in parts:
                yield _of(table, "followed", among=table.type, name=name, then=then, part=part)


def _of(  # noqa: PLR0913 - by name
    table: EventTable,
    measure: Measure,
    *,
    value: str | None = None,
    among: str | None = None,
    name: str | None = None,
    days: float | None = None,
    then: str | None = None,
    part: int | None = None,
    place: int = 0,
) -> Aggregate:
    one = Aggregate("", measure, value, among, name, days, then, part, place)
    return Aggregate(name_field(table, one), measure, value, among, name, days, then, part, place)


def name_field(table: EventTable, one: Aggregate) -> str:
    """Return the name of the field that an aggregate becomes.

    >>> name_field(EventTable("bookings", "kind"), Aggregate("", "sum", "amount", "kind", "cash", 30.0))
    'bookings[cash].amount.sum.30d'
    """
    said = table.name
    if one.name is not None:
        own = one.name if one.among == table.type else f"{one.among}={one.name}"
        said += f"[{own}]" if one.then is None else f"[{own} then {one.then}]"
    elif one.among is not None:
        said += f".{one.among}"
    if one.value is not None:
        said += f".{one.value}"
    said += f".{one.measure}"
    if one.measure == "name":
        said += "" if one.place == 0 else f".{one.place + 1}"
    if one.part is not None:
        said += f".{PART_NAMES[one.part]}"
    return said if one.days is None else f"{said}.{_say_days(one.days)}"


def _say_days(days: float) -> str:
    return f"{days:g}d" if days >= 1 else f"{days * 24:g}h"
