"""Aggregates: the compiled pass gives what a plain one gives, and nothing later than a record's moment is seen."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.transformer.events.logs import TABLE, draw_columns, draw_log
from transformer.events.aggregation import make_aggregates
from transformer.events.candidates import list_candidates
from transformer.events.event_columns import DAY, EventColumns, join_events
from transformer.records.event_schema import Aggregate

Event = tuple[float, str | None, float, str | None, int]  # age, kind, amount, shop, quarter of the day


def every_aggregate(columns: EventColumns) -> list[Aggregate]:
    families = list_candidates(TABLE, columns)
    return [one for family in families.values() for one in family]


def events_of(columns: EventColumns, record: int) -> list[Event]:
    """Return the events of a record as tuples, oldest first."""
    found: list[Event] = []
    for place in range(columns.starts[record], columns.starts[record + 1]):
        kind, shop = (name_at(columns, column, place) for column in ("kind", "shop"))
        found.append((columns.age[place], kind, columns.numbers["amount"][place], shop, int(columns.part[place])))
    return found


def name_at(columns: EventColumns, column: str, place: int) -> str | None:
    code = columns.names[column].codes[place]
    return None if code < 0 else columns.names[column].names[code]


def plainly(one: Aggregate, events: list[Event]) -> float | str | None:  # noqa: C901, PLR0911 - the slow twin
    """Return an aggregate of one record as its definition says, event by event."""
    at = {"kind": 1, "shop": 3}
    if one.measure == "name":
        place = len(events) - 1 - one.place
        return None if place < 0 else events[place][at[one.among or ""]]  # type: ignore[return-value]
    recent = [event for event in events if one.days is None or event[0] <= one.days]
    if one.measure == "distinct":
        return len({event[at[one.among or ""]] for event in recent} - {None})
    if one.measure == "followed":
        return sum(
            any(before[1] == one.name and before[0] - event[0] <= 1 for before in events[:place])
            for place, event in enumerate(events)
            if event[1] == one.then and event in recent and one.part in (None, event[4])
        )
    named = [event for event in recent if one.among is None or event[at[one.among]] == one.name]
    chosen = [event for event in named if one.part in (None, event[4])]
    if one.value is not None:
        chosen = [event for event in chosen if not math.isnan(event[2])]
    ages, values = [event[0] for event in chosen], [event[2] for event in chosen]
    count = len(chosen)
    if one.measure == "count":
        return count
    if one.measure == "sum":
        return sum(values)
    if one.measure == "share":
        return count / len(recent) if recent else math.nan
    if not chosen:
        return math.nan
    if one.measure == "change":
        whole = [event[2] for event in events if not math.isnan(event[2])]
        return float(np.mean(values) - np.mean(whole))
    simple = {
        "mean": lambda: np.mean(values),
        "smallest": lambda: min(values),
        "largest": lambda: max(values),
        "deviation": lambda: np.std(values),
        "newest": lambda: values[-1],
        "days_since_last": lambda: ages[-1],
        "days_since_first": lambda: ages[0],
        "mean_days_since": lambda: np.mean(ages),
    }
    if one.measure in simple:
        return float(simple[one.measure]())
    if count < 2 or len(set(ages)) == 1:
        return math.nan if one.measure != "mean_gap" or count < 2 else 0.0
    gap = (ages[0] - ages[-1]) / (count - 1)
    if one.measure == "slope":
        return float(np.polyfit([-age for age in ages], values, 1)[0])
    return gap if one.measure == "mean_gap" else ages[-1] / gap


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_aggregate_is_what_its_definition_says(seed: int) -> None:
    columns = draw_columns(records=150, seed=seed)
    aggregates = every_aggregate(columns)
    made = make_aggregates(columns, aggregates)
    assert {one.measure for one in aggregates} | {"order"} == set(Aggregate.__annotations__["measure"].__args__)
    for record in range(columns.records):
        events = events_of(columns, record)
        for one in aggregates:
            expected, found = plainly(one, events), made[one.field].iloc[record]
            if one.measure == "name":
                assert found == expected or (found is None and expected is None), (one, record)
            else:
                assert found == pytest.approx(expected, abs=1e-6, nan_ok=True), (one, record, events)


@settings(deadline=None, max_examples=40)
@given(record=st.integers(0, 39), later=st.integers(1, 10**12), seed=st.integers(0, 20))
def test_an_event_after_the_moment_changes_nothing(record: int, later: int, seed: int) -> None:
    frame, at, owner, moments = draw_log(40, 6, seed)
    aggregates = every_aggregate(EventColumns.of(frame, at, owner, moments, TABLE))
    planted = pd.concat([frame, pd.DataFrame({"kind": ["salary"], "amount": [9e9], "shop": ["b"]})], ignore_index=True)
    after = EventColumns.of(planted, np.append(at, moments[record] + later), np.append(owner, record), moments, TABLE)
    before = make_aggregates(EventColumns.of(frame, at, owner, moments, TABLE), aggregates)
    pd.testing.assert_frame_equal(make_aggregates(after, aggregates), before)


def test_an_event_at_the_moment_itself_is_seen() -> None:
    frame = pd.DataFrame({"kind": ["cash"], "amount": [1.0], "shop": ["a"]})
    columns = EventColumns.of(frame, np.array([5 * DAY]), np.array([0]), np.array([5 * DAY]), TABLE)
    assert make_aggregates(columns, [Aggregate("n", "count")])["n"].tolist() == [1.0]


def test_events_as_old_as_the_window_are_not_seen() -> None:
    frame = pd.DataFrame({"kind": ["cash"] * 3, "amount": [1.0, 2.0, 4.0], "shop": ["a"] * 3})
    at, moments = np.array([1, 2, 3]) * DAY, np.array([4 * DAY])
    columns = EventColumns.of(frame, at, np.zeros(3, np.int64), moments, replace(TABLE, window_days=2))
    assert make_aggregates(columns, [Aggregate("s", "sum", "amount")])["s"].tolist() == [4.0]


def test_a_record_without_events_has_counts_of_zero_and_nothing_else() -> None:
    columns = EventColumns.of(*draw_log(1, 0, 1), TABLE)
    aggregates = [Aggregate("n", "count"), Aggregate("m", "mean", "amount"), Aggregate("k", "name", among="kind")]
    made = make_aggregates(columns, aggregates)
    assert made["n"].tolist() == [0.0]
    assert made["m"].isna().all()
    assert made["k"].isna().all()


def test_equal_times_keep_the_order_of_the_source() -> None:
    frame = pd.DataFrame({"kind": ["cash", "food"], "amount": [1.0, 2.0], "shop": ["a", "b"]})
    columns = EventColumns.of(frame, np.array([DAY, DAY]), np.array([0, 0]), np.array([2 * DAY]), TABLE)
    last = Aggregate("k", "name", among="kind")
    assert make_aggregates(columns, [last])["k"].tolist() == ["food"]


def test_records_have_the_same_aggregates_in_any_part_of_the_book() -> None:
    columns = draw_columns()
    aggregates = every_aggregate(columns)
    whole, rows = make_aggregates(columns, aggregates), np.array([7, 3, 3, 39, 0])
    parts = make_aggregates(columns.take(rows), aggregates)
    pd.testing.assert_frame_equal(parts, whole.iloc[rows].reset_index(drop=True), check_exact=True)


def test_parts_of_a_book_are_joined_in_order_whatever_names_each_has_seen() -> None:
    columns = draw_columns(seed=5)
    aggregates = every_aggregate(columns)
    frame, at, owner, moments = draw_log(40, 12, 5)
    cut = 15
    parts = [
        EventColumns.of(frame, at, np.where(owner < cut, owner, -1), moments[:cut], TABLE),
        EventColumns.of(frame[owner >= cut], at[owner >= cut], owner[owner >= cut] - cut, moments[cut:], TABLE),
    ]
    joined = make_aggregates(join_events(parts), aggregates)
    pd.testing.assert_frame_equal(joined, make_aggregates(columns, aggregates), check_exact=True)
