"""Events of a key range come by key and time, none later than its moment, whatever the type of key and time."""

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine, text

from db.connections.engine import opened_engine, writing
from db.errors import SourceError
from db.portfolios.definition import EventsDefinition, FieldDefinition, FieldKind, Source
from db.portfolios.portfolio_sources import NamedSource
from db.portfolios.source_grants import put_grant, revoke_source
from db.sources import event_table
from db.sources.event_table import EVENT_AT, EVENT_KEY, UNREADABLE_TIMES, check_events, read_events
from db.sources.event_times import as_microseconds
from db.sources.source_table import KeyRange

BOOKINGS = Source("book", "bookings")
EVENTS = EventsDefinition(
    "bookings", "bookings", "id", "at", type="kind", fields=(FieldDefinition("amount", FieldKind.NUMERIC),)
)
EVERYTHING = KeyRange(None, "999", 0)
NOON = as_microseconds(pd.Timestamp("2026-11-24 12:00:00.000001"))


def _make_bookings(engine: Engine, *rows: str, key: str = "INTEGER", at: str = "TIMESTAMP", more: str = "") -> None:
    with writing(engine) as connection:
        columns = f"id {key}, at {at}, kind TEXT, amount DOUBLE PRECISION{more}"
        connection.execute(text(f"CREATE TABLE bookings ({columns})"))
        for row in rows:
            connection.execute(text(f"INSERT INTO bookings VALUES ({row})"))
        put_grant(connection, BOOKINGS, who="test")


def _read(engine: Engine, key_range: KeyRange = EVERYTHING, **limits: int) -> pd.DataFrame:
    return read_events(engine, BOOKINGS, EVENTS, key_range, **limits)


def test_events_come_by_key_then_time_with_their_columns(engine: Engine) -> None:
    _make_bookings(
        engine,
        "2, '2026-01-01 00:00:00', 'card', 1.5",
        "1, '2026-03-01 10:00:00.000002', NULL, 2",
        "1, '2026-02-01 23:59:59.999999', 'cash', NULL",
    )
    events = _read(engine)
    assert list(events.columns) == [EVENT_KEY, EVENT_AT, "kind", "amount"]
    assert events[EVENT_KEY].tolist() == [1, 1, 2]
    assert events[EVENT_KEY].dtype == events[EVENT_AT].dtype == np.int64
    expected = ["2026-02-01 23:59:59.999999", "2026-03-01 10:00:00.000002", "2026-01-01"]
    assert pd.to_datetime(events[EVENT_AT], unit="us").tolist() == [pd.Timestamp(one) for one in expected]
    assert events["kind"].tolist()[::2] == ["cash", "card"]
    assert events["kind"].isna().tolist() == [False, True, False]
    assert events["amount"].tolist()[1:] == [2, 1.5]


def test_a_range_holds_the_events_of_its_keys_alone(engine: Engine) -> None:
    _make_bookings(engine, *(f"{key}, '2026-01-01 00:00:00', 'card', {key}" for key in (1, 2, 3, 10)))
    assert _read(engine, KeyRange("1", "3", 0))[EVENT_KEY].tolist() == [2, 3]


def test_records_without_a_key_have_no_events(engine: Engine) -> None:
    _make_bookings(engine, "NULL, '2026-01-01 00:00:00', 'card', 1", "1, '2026-01-01 00:00:00', 'card', 1")
    events = _read(engine, KeyRange(None, None, 0, holds_missing_keys=True))
    assert list(events.columns) == [EVENT_KEY, EVENT_AT, "kind", "amount"]
    assert len(events) == 0
    assert len(_read(engine)) == 1


@pytest.mark.parametrize("at", ["TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TEXT"])
def test_an_event_one_microsecond_later_is_never_returned(engine: Engine, at: str) -> None:
    zone = "" if at == "TIMESTAMP" else "+00:00"
    times = [f"2026-11-24 12:00:00.00000{digit}{zone}" for digit in range(4)]
    _make_bookings(engine, *(f"1, '{time}', 'card', {row}" for row, time in enumerate(times)), at=at)
    assert _read(engine, upto=NOON)["amount"].tolist() == [0, 1]
    assert _read(engine, after=NOON)["amount"].tolist() == [2, 3]
    assert _read(engine, after=NOON - 1, upto=NOON + 1)["amount"].tolist() == [1, 2]


def test_a_time_with_a_zone_is_that_instant(engine: Engine) -> None:
    at = "TIMESTAMPTZ" if engine.dialect.name == "postgresql" else "TEXT"
    _make_bookings(engine, "1, '2026-11-24 14:00:00.000001+02:00', 'card', 1", at=at)
    assert _read(engine, upto=NOON)[EVENT_AT].tolist() == [NOON]
    assert len(_read(engine, upto=NOON - 1)) == 0


def test_a_date_is_the_start_of_its_day(engine: Engine) -> None:
    _make_bookings(engine, "1, '2026-11-24', 'card', 1", "1, '2026-11-25', 'card', 2", at="DATE")
    midnight = as_microseconds(pd.Timestamp("2026-11-25"))
    assert _read(engine, upto=midnight)["amount"].tolist() == [1, 2]
    assert _read(engine, upto=midnight - 1)["amount"].tolist() == [1]
    assert _read(engine, after=midnight - 1)["amount"].tolist() == [2]
    assert _read(engine, after=midnight)["amount"].tolist() == []


def test_a_number_counts_seconds_since_1970(engine: Engine) -> None:
    _make_bookings(engine, "1, 1700000000.000001, 'card', 1", "1, 5e15, 'card', 2", at="DOUBLE PRECISION")
    events = _read(engine)
    assert events[EVENT_AT].tolist() == [1_700_000_000_000_001]
    assert events.attrs[UNREADABLE_TIMES] == 1
    assert len(_read(engine, upto=1_700_000_000_000_000)) == 0


def test_texts_in_several_forms_are_sorted_by_time_and_others_are_counted(engine: Engine) -> None:
    times = ["2026-11-24T09:30:00Z", "2026-11-24 09:00", "2026-11-24T11:00:00+02:00", "now", "24.11.2026", "", "2026"]
    rows = [f"1, '{time}', 'card', {row}" for row, time in enumerate(times)]
    _make_bookings(engine, *rows, "1, NULL, 'card', 9", at="TEXT")
    events = _read(engine, after=0, upto=NOON)
    assert events["amount"].tolist() == [1, 2, 0]
    assert events.attrs[UNREADABLE_TIMES] == 5


def test_a_row_without_a_time_is_counted(engine: Engine) -> None:
    _make_bookings(engine, "1, NULL, 'card', 9", "1, '2026-11-24 00:00:00', 'card', 1")
    assert _read(engine, after=0, upto=NOON).attrs[UNREADABLE_TIMES] == 1


@pytest.mark.parametrize("numbered", [True, False])
def test_events_of_one_time_keep_the_order_of_the_source(engine: Engine, numbered: bool) -> None:
    order = [3, 1, 2, 5, 4]
    rows = [f"1, '2026-01-01 00:00:00', 'card', {one}" + (f", {one}" if numbered else "") for one in order]
    _make_bookings(engine, *rows, more=", tidemark_row BIGINT" if numbered else "")
    assert _read(engine)["amount"].tolist() == (sorted(order) if numbered else order)


def test_events_of_one_time_in_a_view_have_one_order(engine: Engine) -> None:
    _make_bookings(engine, *(f"1, '2026-01-01 00:00:00', 'card', {one}" for one in (3, 1, 2)))
    with writing(engine) as connection:
        connection.execute(text("ALTER TABLE bookings RENAME TO all_bookings"))
        connection.execute(text("CREATE VIEW bookings AS SELECT id, at, kind, amount FROM all_bookings"))
    assert _read(engine)["amount"].tolist() == [1, 2, 3]


def test_keys_of_text_come_as_they_are(engine: Engine) -> None:
    _make_bookings(engine, "'007', '2026-01-01 00:00:00', 'card', 1", "'ä', '2026-01-01', 'x', 2", key="TEXT")
    assert _read(engine, KeyRange(None, '"zz"', 0))[EVENT_KEY].tolist()[0] == "007"
    assert _read(engine, KeyRange(None, '"007"', 0))["amount"].tolist() == [1]


def test_large_keys_lose_no_digit(engine: Engine) -> None:
    _make_bookings(engine, f"{2**60 + 1}, '2026-01-01 00:00:00', 'card', 1", key="BIGINT")
    assert _read(engine, KeyRange(None, str(2**61), 0))[EVENT_KEY].tolist() == [2**60 + 1]


def test_a_short_type_of_the_events_key_is_compared_with_long_keys_of_records(engine: Engine) -> None:
    _make_bookings(engine, "7, '2026-01-01 00:00:00', 'card', 1", key="SMALLINT")
    assert _read(engine, KeyRange("5", str(2**40), 0))[EVENT_KEY].tolist() == [7]


def test_of_a_record_with_too_many_events_the_newest_are_kept(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_table, "NEWEST_READ", 5)
    monkeypatch.setattr(event_table, "_HELD_ROWS", 12)
    monkeypatch.setattr("db.connections.frame_reading._STREAMED_ROWS", 4)
    many = [f"2, '2026-01-01 00:{minute:02}:00', 'card', {minute}" for minute in range(40)]
    few = [f"{key}, '2026-01-01 00:00:00', NULL, {key}" for key in (1, 3)]
    _make_bookings(engine, *many, *few)
    events = _read(engine)
    assert events[EVENT_KEY].tolist() == [1, 2, 2, 2, 2, 2, 3]
    assert events["amount"].tolist() == [1, 35, 36, 37, 38, 39, 3]
    assert events["amount"].dtype == np.float64


def test_the_newest_of_unordered_texts_are_kept(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_table, "NEWEST_READ", 2)
    monkeypatch.setattr(event_table, "_HELD_ROWS", 3)
    monkeypatch.setattr("db.connections.frame_reading._STREAMED_ROWS", 2)
    times = [f"2026-01-01T{hour:02}:30:00+{hour:02}:00" for hour in range(8)]  # all the same half hour, but for ties
    times[3] = "2026-01-01T03:45:00+03:00"
    _make_bookings(engine, *(f"1, '{time}', 'card', {row}" for row, time in enumerate(times)), at="TEXT")
    assert _read(engine)["amount"].tolist() == [7, 3]


def test_a_missing_table_is_told_with_what_to_do(engine: Engine) -> None:
    with writing(engine) as connection:
        put_grant(connection, BOOKINGS, who="test")
    for act in (lambda: check_events(engine, BOOKINGS, EVENTS), lambda: _read(engine)):
        with pytest.raises(SourceError, match="tidemark load NAME EVENTS --events bookings"):
            act()


def test_a_table_whose_grant_was_revoked_is_not_read(engine: Engine) -> None:
    _make_bookings(engine, "1, '2026-01-01 00:00:00', 'card', 1")
    assert len(_read(engine)) == 1
    revoke_source(engine, "book", "bookings", who="test")
    for act in (lambda: check_events(engine, BOOKINGS, EVENTS), lambda: _read(engine)):
        with pytest.raises(SourceError, match="not granted"):
            act()


def test_a_missing_column_is_told_with_the_nearest_name(engine: Engine) -> None:
    _make_bookings(engine)
    unlike = EventsDefinition(
        "bookings", "bookings", "id", "at", fields=(FieldDefinition("amounts", FieldKind.NUMERIC),)
    )
    with pytest.raises(SourceError, match=r"amounts \(nearest: amount\)"):
        check_events(engine, BOOKINGS, unlike)


@pytest.mark.parametrize(("book_key", "key"), [("INTEGER", "TEXT"), ("TEXT", "BIGINT")])
def test_keys_of_two_types_are_refused_with_both_named(engine: Engine, book_key: str, key: str) -> None:
    _make_bookings(engine, key=key)
    with writing(engine) as connection:
        connection.execute(text(f"CREATE TABLE book (customer {book_key})"))
        put_grant(connection, Source("book", "book"), who="test")
    records = NamedSource(Source("book", "book"), "customer")
    check_events(engine, BOOKINGS, EVENTS)
    with pytest.raises(SourceError, match=r"whole numbers.*text|text.*whole numbers"):
        check_events(engine, BOOKINGS, EVENTS, records=records)


def test_whole_numbers_of_two_lengths_are_one_type(engine: Engine) -> None:
    _make_bookings(engine, key="SMALLINT")
    with writing(engine) as connection:
        connection.execute(text("CREATE TABLE book (customer BIGINT)"))
        put_grant(connection, Source("book", "book"), who="test")
    check_events(engine, BOOKINGS, EVENTS, records=NamedSource(Source("book", "book"), "customer"))


def test_a_column_that_holds_no_times_is_refused(postgres_url: str) -> None:
    with opened_engine(postgres_url) as engine:
        _make_bookings(engine, at="BOOLEAN")
        with pytest.raises(SourceError, match=r"type BOOLEAN: expected timestamp"):
            check_events(engine, BOOKINGS, EVENTS)


@pytest.mark.parametrize("at", ["TIMESTAMP", "TIMESTAMPTZ", "DATE"])
def test_infinite_times_and_years_before_1_or_after_9999_are_no_times(postgres_url: str, at: str) -> None:
    with opened_engine(postgres_url) as engine:
        odd = ("infinity", "-infinity", "4000-01-01 BC", "294000-01-01", "0001-01-01", "9999-12-31")
        _make_bookings(engine, *(f"1, '{time}', 'card', {row}" for row, time in enumerate(odd)), at=at)
        events = _read(engine)
        assert events["amount"].tolist() == [4, 5]
        assert events.attrs[UNREADABLE_TIMES] == 4
        assert _read(engine, after=NOON)["amount"].tolist() == [5]
