"""The time of an event is read to the microsecond, from whatever holds it."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pandas as pd
import pytest

from db.sources.event_times import FIRST, LAST, UNREADABLE, as_datetime, as_microseconds, read_times

NOON = 1_795_521_600_000_000  # 2026-11-24 12:00 in UTC


@pytest.mark.parametrize(
    "time",
    [
        "2026-11-24 12:00",
        "2026-11-24T12:00:00",
        " 2026-11-24 12:00:00.000000 ",
        "2026-11-24T12:00:00Z",
        "2026-11-24T13:30:00+01:30",
        datetime(2026, 11, 24, 12),  # noqa: DTZ001 - a time without a zone is the subject
        datetime(2026, 11, 24, 7, tzinfo=timezone(timedelta(hours=-5))),
        pd.Timestamp("2026-11-24 12:00"),
        NOON // 1_000_000,
        NOON / 1_000_000,
    ],
)
def test_every_form_of_a_time_is_the_same_instant(time: object) -> None:
    assert read_times(pd.Series([time])).tolist() == [NOON]
    assert read_times(pd.Series([time, None, "2026-11-24 12:00"], dtype="object")).tolist() == [NOON, UNREADABLE, NOON]


@pytest.mark.parametrize("day", ["2026-11-24", date(2026, 11, 24)])
def test_a_date_is_the_start_of_its_day_in_utc(day: object) -> None:
    assert read_times(pd.Series([day])).tolist() == [NOON - 12 * 3600 * 1_000_000]


@pytest.mark.parametrize(
    "value", ["", "now", "today", "24.11.2026", "2026", "20261124", "12", "2026-13-01", True, 3e11, float("nan"), None]
)
def test_what_is_no_time_is_unreadable(value: object) -> None:
    assert read_times(pd.Series([value])).tolist() == [UNREADABLE]
    assert read_times(pd.Series([value, "2026-11-24 12:00"], dtype="object")).tolist() == [UNREADABLE, NOON]


def test_columns_of_datetimes_keep_every_microsecond() -> None:
    times = pd.Series([datetime(2026, 11, 24, 12, 0, 0, 1, UTC), pd.NaT])
    for column in (times, times.dt.tz_convert("Asia/Tokyo"), times.dt.tz_localize(None), times.dt.as_unit("ns")):
        assert read_times(column).tolist() == [NOON + 1, UNREADABLE]


@pytest.mark.parametrize("microseconds", [FIRST, -1, 0, NOON + 1, LAST])
def test_a_time_comes_back_as_it_was(microseconds: int) -> None:
    time = as_datetime(microseconds)
    assert as_microseconds(time) == microseconds
    columns: list[Any] = [pd.Series([time.isoformat()], dtype="str"), pd.Series([time], dtype="object")]
    assert [read_times(one).tolist() for one in columns] == [[microseconds]] * 2


def test_seconds_keep_their_microseconds() -> None:
    assert read_times(pd.Series([1_700_000_000.000001, -0.5])).tolist() == [1_700_000_000_000_001, -500_000]
