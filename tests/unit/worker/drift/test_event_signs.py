"""A feed of events that stops is one sign, not one for each field that is made of it."""

from worker.drift.column_faults import Sign
from worker.drift.event_signs import merge_event_signs

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
