"""Which due times come when, on daylight-saving nights too, and which of the missed ones are run."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.schema.states import CatchUp
from scheduler.errors import UsageError
from scheduler.loop.due_times import read_timetable
from scheduler.loop.schedule_firing import choose_due_times, split_due_times

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"
ZONES = st.sampled_from(
    ["UTC", "Asia/Shanghai", BERLIN, NEW_YORK, "Australia/Sydney", "America/Havana", "Asia/Kolkata"]
)
# The moments at which some of those zones change their clocks, of which chance would seldom find one.
CHANGES = ("2026-03-29T01", "2026-10-25T01", "2026-03-08T07", "2026-11-01T06", "2026-04-04T16", "2026-10-03T16",
           "2026-03-08T05", "2026-11-01T05")  # fmt: skip
MOMENTS = st.builds(
    lambda moment, minutes: datetime.fromisoformat(f"{moment}:00+00:00") + timedelta(minutes=minutes),
    st.sampled_from(CHANGES),
    st.integers(-2000, 2000) | st.integers(-200, 200) | st.integers(-1_000_000, 1_000_000),
)
CRONS = st.sampled_from(
    ["30 2 * * *", "0,30 1-3 * * *", "*/20 2 * * *", "15 */2 * * *", "0 2 * * MON-FRI", "59 23 L * *", "* * 29 2 *"]
)
FIVE_MINUTES = timedelta(minutes=5)
unhurried = settings(deadline=None)  # a machine shared with others has slow moments


def _on_the_wall(cron: str, zone: str, since: str, count: int) -> list[str]:
    """The next due times as the zone's clocks show them, with their offset from UTC."""
    start = datetime.fromisoformat(since).replace(tzinfo=ZoneInfo(zone))
    due = islice(read_timetable(cron, zone).due_after(start), count)
    return [one.astimezone(ZoneInfo(zone)).isoformat(timespec="minutes") for one in due]


def _daily_by_hand(zone: ZoneInfo, at: time, since: datetime, days: int) -> list[datetime]:
    """The plain reference: each day's time on the wall; the first of two; the end of the jump over one that is none."""
    first_day: date = since.astimezone(zone).date() - timedelta(days=1)
    due: list[datetime] = []
    for number in range(days + 3):
        wall = datetime.combine(first_day + timedelta(days=number), at, tzinfo=zone)
        while wall.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != wall.replace(tzinfo=None):
            wall += timedelta(minutes=1)
        due.append(wall.astimezone(UTC))
    return [one for one in due if one > since][:days]


@pytest.mark.parametrize(
    ("zone", "night", "expected"),
    [
        (BERLIN, "2026-03-28", ["2026-03-28T02:30+01:00", "2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"]),
        (NEW_YORK, "2026-03-07", ["2026-03-07T02:30-05:00", "2026-03-08T03:00-04:00", "2026-03-09T02:30-04:00"]),
    ],
)
def test_a_time_that_the_clocks_jump_over_is_due_once_at_the_end_of_the_jump(
    zone: str, night: str, expected: list[str]
) -> None:
    assert _on_the_wall("30 2 * * *", zone, night, 3) == expected


def test_several_times_within_the_jump_are_one_due_time() -> None:
    assert _on_the_wall("0,30 2 * * *", BERLIN, "2026-03-29", 2) == ["2026-03-29T03:00+02:00", "2026-03-30T02:00+02:00"]


@pytest.mark.parametrize(
    ("cron", "zone", "night", "expected"),
    [
        ("30 2 * * *", BERLIN, "2026-10-25", ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"]),
        ("30 1 * * *", NEW_YORK, "2026-11-01", ["2026-11-01T01:30-04:00", "2026-11-02T01:30-05:00"]),
    ],
)
def test_a_time_that_comes_twice_is_due_once_the_first_time(
    cron: str, zone: str, night: str, expected: list[str]
) -> None:
    assert _on_the_wall(cron, zone, night, 2) == expected


def test_between_the_two_half_past_twos_nothing_more_is_due_that_night() -> None:
    between = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)
    due = read_timetable("30 2 * * *", BERLIN).next_after(between)
    assert due == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("cron", "zone", "day", "expected"),
    [("*/30 * * * *", BERLIN, "2026-03-29", 46), ("*/30 * * * *", BERLIN, "2026-10-25", 50),
     ("*/30 2 * * *", BERLIN, "2026-03-29", 0), ("*/30 2 * * *", BERLIN, "2026-10-25", 4)],
)  # fmt: skip
def test_an_expression_with_a_star_follows_the_clock_on_the_wall(cron: str, zone: str, day: str, expected: int) -> None:
    start = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone))
    came, _ = split_due_times(read_timetable(cron, zone), start, start + timedelta(days=1) - timedelta(seconds=1))
    assert len([due for due in came if due.astimezone(start.tzinfo).date() == start.date()]) == expected


@unhurried
@given(ZONES, st.builds(time, st.integers(0, 23), st.integers(0, 59)), MOMENTS)
def test_a_daily_time_is_due_once_on_every_day_in_every_zone(zone: str, at: time, since: datetime) -> None:
    timetable = read_timetable(f"{at.minute} {at.hour} * * *", zone)
    assert list(islice(timetable.due_after(since), 5)) == _daily_by_hand(timetable.zone, at, since, 5)


@unhurried
@given(CRONS, ZONES, MOMENTS, st.integers(0, 200_000))
def test_due_times_do_not_depend_on_when_one_looks(cron: str, zone: str, since: datetime, minutes: int) -> None:
    timetable = read_timetable(cron, zone)
    later = since + timedelta(minutes=minutes)
    expected = next(due for due in timetable.due_after(since) if due > later)
    assert timetable.next_after(later) == expected


@unhurried
@given(CRONS, ZONES, MOMENTS)
def test_due_times_grow_and_stand_at_whole_minutes(cron: str, zone: str, since: datetime) -> None:
    due = [since, *islice(read_timetable(cron, zone).due_after(since), 20)]
    assert all(earlier < later for earlier, later in pairwise(due))
    assert not any(one.second or one.microsecond for one in due[1:])


NIGHTS = [datetime(2026, 5, day, 2, tzinfo=UTC) for day in (1, 2, 3)]
NEXT_NIGHT = datetime(2026, 5, 4, 2, tzinfo=UTC)


def _chosen(catch_up: CatchUp, now: datetime) -> list[int]:
    """The days of the due times that are run after three nights without a scheduler."""
    came, following = split_due_times(read_timetable("0 2 * * *", "UTC"), NIGHTS[0], now)
    assert (came, following) == (NIGHTS, NEXT_NIGHT)
    chosen = choose_due_times(came, following, now, catch_up=catch_up, grace=FIVE_MINUTES)
    assert [one.due_at for one in chosen] == NIGHTS
    return [one.due_at.day for one in chosen if one.is_wanted]


@pytest.mark.parametrize(
    ("catch_up", "minutes_late", "days"),
    [
        (CatchUp.LATEST, 0, [3]),
        (CatchUp.LATEST, 600, [3]),
        (CatchUp.ALL, 600, [1, 2, 3]),
        (CatchUp.NONE, 0, [3]),
        (CatchUp.NONE, 5, [3]),
        (CatchUp.NONE, 6, []),
    ],
)
def test_three_missed_nights_follow_the_catch_up_policy(catch_up: CatchUp, minutes_late: int, days: list[int]) -> None:
    assert _chosen(catch_up, NIGHTS[-1] + timedelta(minutes=minutes_late)) == days


def test_nothing_is_chosen_before_the_first_due_time() -> None:
    came, following = split_due_times(read_timetable("0 2 * * *", "UTC"), NEXT_NIGHT, NIGHTS[-1])
    assert (came, following) == ([], NEXT_NIGHT)
    assert choose_due_times(came, following, NIGHTS[-1], catch_up=CatchUp.LATEST, grace=FIVE_MINUTES) == []


@unhurried
@given(st.integers(1, 7), st.integers(0, 40))
def test_a_long_downtime_taken_in_parts_runs_the_latest_alone(limit: int, minutes: int) -> None:
    timetable, first = read_timetable("* * * * *", "UTC"), NIGHTS[0]
    now = first + timedelta(minutes=minutes)
    seen, wanted, following = [], [], first
    while following <= now:
        came, following = split_due_times(timetable, following, now, limit=limit)
        chosen = choose_due_times(came, following, now, catch_up=CatchUp.LATEST, grace=FIVE_MINUTES)
        seen += came
        wanted += [one.due_at for one in chosen if one.is_wanted]
    assert seen == [first + timedelta(minutes=minute) for minute in range(minutes + 1)]
    assert wanted == [now]


def test_a_due_time_that_new_rules_of_the_clocks_moved_is_computed_anew() -> None:
    an_hour_too_early = NIGHTS[0] - timedelta(hours=1)
    came, following = split_due_times(read_timetable("0 2 * * *", "UTC"), an_hour_too_early, an_hour_too_early)
    assert (came, following) == ([], NIGHTS[0])


@pytest.mark.parametrize(
    ("cron", "reason"),
    [("61 2 * * *", "bad minute"), ("0 24 * * *", "bad hour"), ("0 2 * *", "4 fields"), ("* * * * * *", "6 fields"),
     ("@daily", "1 field"), ("", "0 fields"), ("0 2 30 2 *", "bad day of month"), ("two at night every day", "bad")],
)  # fmt: skip
def test_a_wrong_cron_expression_is_told_with_what_was_expected(cron: str, reason: str) -> None:
    with pytest.raises(UsageError, match=rf'{reason}.*five fields.*"0 2 \* \* \*"') as failure:
        read_timetable(cron, "UTC")
    assert "\n" not in str(failure.value)


def test_an_expression_that_never_comes_due_is_told() -> None:
    with pytest.raises(UsageError, match="never matches any time"):
        read_timetable("* * */20 * 1L", "UTC").next_after(NIGHTS[0])


@pytest.mark.parametrize(
    ("zone", "nearest"),
    [("Asia/Shangai", "Asia/Shanghai"), ("asia/shanghai", "Asia/Shanghai"), ("Berlin", "Europe/Berlin"),
     ("America", "IANA"), ("../etc/passwd", "Asia/Shanghai"), ("", "Asia/Shanghai"), ("Mars/Olympus\0", "IANA")],
)  # fmt: skip
def test_an_unknown_time_zone_is_told_with_the_nearest_name(zone: str, nearest: str) -> None:
    with pytest.raises(UsageError, match=f"is not a time zone.*{nearest}"):
        read_timetable("0 2 * * *", zone)
