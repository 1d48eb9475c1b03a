"""Events that the server packs are those that it would send row by row, whatever they hold."""

from collections.abc import Iterator

import pandas as pd
import pytest
from sqlalchemy import Engine, text

from db.connections.engine import opened_engine, writing
from db.portfolios.definition import EventsDefinition, FieldDefinition, FieldKind, Source
from db.portfolios.source_grants import put_grant
from db.sources import event_table, packed_events
from db.sources.event_table import read_events
from db.sources.packed_events import PART_EVENTS
from db.sources.source_table import KeyRange

BOOKINGS = Source("book", "bookings")
KEYS = {
    "BIGINT": ("1", "2", "3"),
    "TEXT": ("'1'", "'10'", "'ä'"),
    "UUID": tuple(f"'{one}0000000-0000-0000-0000-000000000000'" for one in "123"),
}
TIMES = ("2026-01-03 10:00", "infinity", "2026-01-01", "2026-01-03 10:00", "4000-01-01 BC", None, "2026-01-02 07:00")
VALUES = {
    "DOUBLE PRECISION": ("0.1", "'NaN'", None, "-2.5e300"),
    "REAL": ("0.1", None, "-7"),
    "BIGINT": ("9223372036854775807", "-3", "0"),
    "INTEGER": ("5", None),
    "NUMERIC": ("0.10", None, "1e20"),
    "TEXT": ("'a''b%'", "''", None, "'ä'"),
    "DATE": ("'2026-01-01'", None),
}


@pytest.fixture
def engine(postgres_url: str) -> Iterator[Engine]:
    """An engine on a database of PostgreSQL without events."""
    with opened_engine(postgres_url) as opened:
        yield opened


def _make_bookings(engine: Engine, key: str, at: str, value: str, values: tuple[str | None, ...]) -> None:
    with writing(engine) as connection:
        connection.execute(text(f"CREATE TABLE bookings (id {key}, at {at}, value {value})"))
        for place in range(20):
            time, one = TIMES[place % len(TIMES)], values[place % len(values)]
            row = f"{KEYS[key][place % 3]}, {'NULL' if time is None else repr(time)}, {one or 'NULL'}"
            connection.execute(text(f"INSERT INTO bookings VALUES ({row})"))
        put_grant(connection, BOOKINGS, who="test")


def _read(engine: Engine, key: str = "BIGINT") -> pd.DataFrame:
    events = EventsDefinition("bookings", "bookings", "id", "at", fields=(FieldDefinition("value", FieldKind.NUMERIC),))
    whole = KeyRange(None, f'"{KEYS[key][2]}"'.replace("'", ""), 0)
    return read_events(engine, BOOKINGS, events, whole)


def _read_by_row(engine: Engine, monkeypatch: pytest.MonkeyPatch, key: str = "BIGINT") -> pd.DataFrame:
    with monkeypatch.context() as patched:
        patched.setattr(event_table, "is_packable", lambda _query: False)
        return _read(engine, key)


def _require_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on a query for rows fails."""

    def fail(*_: object) -> None:
        raise AssertionError("the events were not packed")

    monkeypatch.setattr("db.sources.packed_events.stream_frames", fail)


@pytest.mark.parametrize("value", VALUES)
def test_a_value_of_any_type_is_the_one_of_the_row(engine: Engine, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    _make_bookings(engine, "BIGINT", "TIMESTAMP", value, VALUES[value])
    expected = _read_by_row(engine, monkeypatch)
    _require_packed(monkeypatch)
    pd.testing.assert_frame_equal(_read(engine), expected, check_exact=True, check_dtype=value != "INTEGER")
    assert len(expected) > 8


@pytest.mark.parametrize("at", ["TIMESTAMP", "TIMESTAMPTZ", "DATE"])
@pytest.mark.parametrize("key", KEYS)
def test_keys_and_times_are_those_of_the_row(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, key: str, at: str
) -> None:
    _make_bookings(engine, key, at, "TEXT", VALUES["TEXT"])
    expected = _read_by_row(engine, monkeypatch, key)
    _require_packed(monkeypatch)
    found = _read(engine, key)
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    assert found.attrs == expected.attrs


@pytest.mark.parametrize("odd", ["a\x1fb", "\x1e"])
def test_a_text_that_holds_what_separates_texts_is_read_by_row(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, odd: str
) -> None:
    _make_bookings(engine, "BIGINT", "TIMESTAMP", "TEXT", (f"'{odd}'", None, "'x'"))
    found = _read(engine)
    assert odd in found["value"].tolist()
    pd.testing.assert_frame_equal(found, _read_by_row(engine, monkeypatch))


def test_the_least_whole_number_is_not_taken_for_a_missing_one(engine: Engine) -> None:
    _make_bookings(engine, "BIGINT", "TIMESTAMP", "BIGINT", (str(-(2**63)), "1"))
    assert -(2**63) in _read(engine)["value"].tolist()


@pytest.mark.parametrize("events", range(2, 10))
def test_a_range_of_many_parts_is_read_whole(engine: Engine, monkeypatch: pytest.MonkeyPatch, events: int) -> None:
    """Records have seven events, so that parts end within records, between them, and after less than one."""
    assert events < PART_EVENTS
    _make_bookings(engine, "BIGINT", "TIMESTAMP", "TEXT", VALUES["TEXT"])
    expected = _read_by_row(engine, monkeypatch)
    monkeypatch.setattr(packed_events, "PART_EVENTS", events)
    pd.testing.assert_frame_equal(_read(engine), expected)


def test_all_parts_of_a_range_are_of_one_moment(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    _make_bookings(engine, "BIGINT", "TIMESTAMP", "TEXT", VALUES["TEXT"])
    monkeypatch.setattr(packed_events, "PART_EVENTS", 8)
    expected = _read(engine)
    unpack, calls = packed_events._unpack, list[int]()

    def unpack_and_write(*arguments: object) -> object:
        calls.append(1)
        with writing(engine) as connection:
            connection.execute(text("INSERT INTO bookings VALUES (3, '2026-01-01', 'late')"))
        return unpack(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(packed_events, "_unpack", unpack_and_write)
    pd.testing.assert_frame_equal(_read(engine), expected)
    assert len(calls) > 1
