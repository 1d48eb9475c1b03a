"""When a record is judged, and which events are its own."""

from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest

from db.portfolios.definition import PortfolioDefinition
from db.sources.event_times import UNREADABLE, as_microseconds
from worker.records.event_reading import match_keys
from worker.records.moments import moments_of

NIGHT = date(2026, 11, 30)


def moments(*values: object, moment: str | None = "cut_off") -> list[int]:
    definition = PortfolioDefinition("book", "Book", "book", "id", moment=moment)
    return moments_of(pd.DataFrame({"cut_off": pd.Series(values, dtype="object")}), definition, NIGHT).tolist()


def at(*parts: int) -> int:
    return as_microseconds(datetime(*parts, tzinfo=UTC))  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-11-24T09:30:00.000001", at(2026, 11, 24, 9, 30, 0, 1)),
        ("2026-11-24 09:30:00+02:00", at(2026, 11, 24, 7, 30)),
        ("2026-11-24 00:00:00", at(2026, 11, 24)),
        ("2026-11-24", at(2026, 11, 25) - 1),  # a date alone: the end of that day
        (None, UNREADABLE),
        ("soon", UNREADABLE),
    ],
)
def test_a_moment_is_read_to_the_microsecond(value: object, expected: int) -> None:
    assert moments(value) == [expected]


def test_without_a_column_the_moment_is_the_end_of_the_nights_date() -> None:
    assert moments("2020-01-01", moment=None) == [at(2026, 12, 1) - 1]


def test_events_find_their_records_by_key_and_the_first_of_equal_records_has_them() -> None:
    keys = pd.Series(["1", "2", "2", None, "10"], dtype="object")
    assert match_keys(keys, pd.Series([1, 1, 2, 3, 10], dtype="int64")).tolist() == [0, 0, 1, -1, 4]
    assert match_keys(keys, pd.Series([], dtype="int64")).tolist() == []
    assert match_keys(keys[:0], pd.Series(["1"], dtype="str")).tolist() == [-1]
    assert np.array_equal(match_keys(pd.Series(["b", "a"]), pd.Series(["a", "b", "c"], dtype="str")), [1, 0, -1])


def test_neighbouring_keys_that_a_float_cannot_tell_apart_are_two_records() -> None:
    keys = [2**60 + 1, 2**60 + 2]
    assert match_keys(pd.Series([str(one) for one in keys]), pd.Series(keys, dtype="int64")).tolist() == [0, 1]
