"""A feed of events that stops is one sign, not one for each field made of it; one that doubles or is late is named."""

import pytest

from transformer.events.event_feed import DAYS
from worker.drift.column_faults import Sign
from worker.drift.event_signs import find_feed_signs, merge_event_signs

LAST = DAYS + 1

STOPPED = [
    Sign("bookings.count: constant", "bookings.count holds one value", is_certain=True),
    Sign("bookings[cash].days_since_last: empty", "bookings[cash].days_since_last is missing", is_certain=True),
    Sign("bookings.amount.sum.30d: empty", "bookings.amount.sum.30d is missing", is_certain=True),
]
OTHERS = [Sign("income: constant", "income holds one value"), Sign("bookings_total: unit", "another unit")]


def test_the_signs_of_an_event_table_become_one() -> None:
    merged = merge_event_signs([*STOPPED, *OTHERS], ["bookings"])
    assert merged[:2] == OTHERS
    assert [(one.about, one.is_certain) for one in merged[2:]] == [("events bookings", True)]
    assert merged[2].text == (
        "the events bookings have changed: bookings.count holds one value; bookings[cash].days_since_last is missing; "
        "and 1 more field made of them"
    )


def test_certain_signs_and_suspicions_of_a_table_stay_apart() -> None:
    doubtful = Sign("bookings.mean_gap: shape", "bookings.mean_gap has another shape")
    merged = merge_event_signs([STOPPED[0], doubtful], ["bookings"])
    assert [(one.about, one.is_certain) for one in merged] == [("events bookings", True), ("events bookings", False)]


def test_without_event_tables_nothing_changes() -> None:
    assert merge_event_signs([*STOPPED, *OTHERS], []) == [*STOPPED, *OTHERS]


def _feed(each: int = 100, *, weekdays: list[int] | None = None, days: int = LAST) -> dict[str, list[int]]:
    """A feed with so many events on each of the last days, all of them different."""
    counts = [each] * days + [0] * (LAST - days)
    return {"events": counts, "distinct": counts, "odd": counts, "weekdays": weekdays or [1_000, 0, 0, 0, 0, 0, 0]}


def _with(feed: dict[str, list[int]], *, first: int, end: int, events: int, odd: int) -> dict[str, list[int]]:
    """The feed with other counts on some days; of more events as many are different as before."""
    changed = {name: list(counts) for name, counts in feed.items()}
    changed["events"][first:end] = [events] * (end - first)
    changed["odd"][first:end] = [odd] * (end - first)
    changed["distinct"] = [min(pair) for pair in zip(feed["distinct"], changed["events"], strict=True)]
    return changed


def _signs(night: dict[str, list[int]], *before: dict[str, list[int]]) -> list[Sign]:
    return list(find_feed_signs({"bookings": night}, [{"bookings": one} for one in before]))


USUAL = _feed()
BY_WEEK = [0 if day % 7 < 2 else 100 for day in range(LAST)]
WEEKENDS = USUAL | {"events": BY_WEEK, "distinct": BY_WEEK, "odd": BY_WEEK}


@pytest.mark.parametrize(
    ("first", "end", "said"),
    [
        (0, LAST, "nearly each of them stands twice"),
        (0, 1, "nearly each of those of the last day stands twice"),
        (0, 7, "nearly each of those of the last 7 days stands twice"),
        (2, 3, "nearly each of those 2 days old stands twice"),
    ],
)
def test_a_feed_that_doubles_is_a_fault_and_named(first: int, end: int, said: str) -> None:
    (sign,) = _signs(_with(USUAL, first=first, end=end, events=200, odd=1), USUAL)
    assert (sign.about, sign.is_certain) == ("events bookings: doubled", True)
    assert said in sign.text


def test_a_feed_that_doubles_in_part_is_a_suspicion() -> None:
    (sign,) = _signs(_with(USUAL, first=0, end=LAST, events=150, odd=50), USUAL)
    assert (sign.about, sign.is_certain) == ("events bookings: repeated", False)


def test_a_feed_in_which_each_event_always_stands_twice_is_not_doubled() -> None:
    always = _with(USUAL, first=0, end=LAST, events=200, odd=0)
    assert _signs(always, always) == []


@pytest.mark.parametrize(("days", "said"), [(1, "in the last day before"), (3, "in the last 3 days before")])
def test_a_feed_that_is_late_is_a_fault_and_named(days: int, said: str) -> None:
    (sign,) = _signs(_with(USUAL, first=0, end=days, events=0, odd=0), USUAL)
    assert (sign.about, sign.is_certain) == ("events bookings: late", True)
    assert said in sign.text


def test_a_feed_that_rests_at_weekends_is_late_only_where_a_weekday_is_missing() -> None:
    assert _signs(WEEKENDS, USUAL) == []
    (sign,) = _signs(_with(WEEKENDS, first=0, end=3, events=0, odd=0), USUAL)
    assert sign.is_certain


@pytest.mark.parametrize("events", [2, 10, 50])
def test_a_quiet_day_is_not_late(events: int) -> None:
    assert _signs(_with(USUAL, first=0, end=1, events=events, odd=events), USUAL) == []


def test_a_feed_that_always_comes_a_day_later_is_not_late() -> None:
    always = _with(USUAL, first=0, end=1, events=0, odd=0)
    assert _signs(always, USUAL, always) == []


@pytest.mark.parametrize(("weekdays", "is_certain"), [([1_000, 0, 0, 0, 0, 0, 0], False), ([143] * 7, True)])
def test_without_older_events_a_late_feed_is_certain_only_if_it_cannot_be_a_sunday(
    weekdays: list[int], is_certain: bool
) -> None:
    recent = _feed(weekdays=weekdays, days=7)
    (sign,) = _signs(_with(recent, first=0, end=1, events=0, odd=0), recent)
    assert (sign.about, sign.is_certain) == ("events bookings: late", is_certain)


def test_more_events_and_a_reference_of_an_older_release_are_no_signs() -> None:
    assert _signs(_feed(130), USUAL) == []
    assert list(find_feed_signs({"bookings": _with(USUAL, first=0, end=LAST, events=200, odd=0)}, [{}])) == []
