"""Columns arrive as they were stored, on both databases, whatever their type."""

import math
import uuid
from collections.abc import Iterator

import pandas as pd
import pytest
from sqlalchemy import Engine, column, select, text

from db.connections.engine import opened_engine, reading, writing
from db.connections.frame_reading import fetch_frame, reading_one_moment
from db.errors import DatabaseUnreachableError, SourceError
from db.portfolios.definition import Source
from db.portfolios.source_grants import put_grant
from db.sources.source_table import RECORD_KEY, ROW, UNREADABLE, KeyRange, read_range


@pytest.fixture
def postgres_engine(postgres_url: str) -> Iterator[Engine]:
    """An engine on a database of PostgreSQL without records."""
    with opened_engine(postgres_url) as opened:
        yield opened


def _read(engine: Engine, columns: tuple[str, ...], source: str = "things") -> pd.DataFrame:
    return read_range(engine, Source("book", source), "id", columns, KeyRange(None, "999", 0))


def _make_things(engine: Engine, columns: str, *rows: str) -> None:
    with writing(engine) as connection:
        connection.execute(text(f"CREATE TABLE things (id INTEGER, {columns})"))
        for row in rows:
            connection.execute(text(f"INSERT INTO things VALUES ({row})"))
        put_grant(connection, Source("book", "things"), who="test")


def test_numbers_and_text_come_back_with_what_is_missing(engine: Engine) -> None:
    _make_things(engine, "x DOUBLE PRECISION, c TEXT", "1, 0.1, 'a''b%'", "2, NULL, ''", "3, -2.5e300, NULL")
    frame = _read(engine, ("x", "c"))
    assert frame["x"].dtype == "float64"
    assert frame["x"].tolist()[::2] == [0.1, -2.5e300]
    assert math.isnan(frame["x"][1])
    assert frame["c"].isna().tolist() == [False, False, True]
    assert frame["c"].tolist()[:2] == ["a'b%", ""]
    assert frame[RECORD_KEY].tolist() == ["1", "2", "3"]
    assert frame[[ROW, UNREADABLE]].isna().all(axis=None)


def test_names_of_columns_may_hold_any_character(engine: Engine) -> None:
    _make_things(engine, '"a %s:b" DOUBLE PRECISION, "Größe" DOUBLE PRECISION', "1, 1.5, 2.5")
    frame = _read(engine, ("a %s:b", "Größe"))
    assert frame[["a %s:b", "Größe"]].to_numpy().tolist() == [[1.5, 2.5]]


def test_an_empty_range_has_all_columns_and_no_row(engine: Engine) -> None:
    _make_things(engine, "x DOUBLE PRECISION, c TEXT")
    frame = _read(engine, ("x", "c"))
    assert list(frame.columns) == [RECORD_KEY, "x", "c", UNREADABLE, ROW]
    assert len(frame) == 0


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("NUMERIC(20, 4)", "12345678901234.5678", "12345678901234.5678"),
        ("mood", "'good'", "good"),
        ("SMALLINT", "7", 7),
        ("REAL", "0.5", 0.5),
        ("BOOLEAN", "true", True),
        ("DATE", "'2026-11-24'", "2026-11-24"),
        ("UUID", f"'{uuid.UUID(int=5)}'", str(uuid.UUID(int=5))),
        ("CHAR(3)", "'ab'", "ab "),
        ("INTEGER[]", "'{1,2}'", "{1,2}"),
        ("JSONB", """'{"a": 1}'""", '{"a": 1}'),
    ],
)
def test_types_of_postgresql_arrive_as_numbers_truth_values_or_their_text(
    postgres_engine: Engine, kind: str, value: str, expected: object
) -> None:
    with writing(postgres_engine) as connection:
        connection.execute(text("CREATE TYPE mood AS ENUM ('good', 'bad')"))
    _make_things(postgres_engine, f"x {kind}", f"1, {value}")
    [found] = _read(postgres_engine, ("x",))["x"].tolist()
    assert found == expected


def test_mixed_values_of_sqlite_stay_as_they_are(sqlite_engine: Engine) -> None:
    _make_things(sqlite_engine, "x", "1, 1.5", "2, 'often'", "3, NULL")
    assert _read(sqlite_engine, ("x",))["x"].tolist() == [1.5, "often", None]


def test_a_source_that_lost_a_column_is_told_at_the_next_attempt(engine: Engine) -> None:
    _make_things(engine, "x DOUBLE PRECISION, c TEXT", "1, 1, 'a'")
    assert len(_read(engine, ("x", "c"))) == 1
    with writing(engine) as connection:
        connection.execute(text("ALTER TABLE things DROP COLUMN c"))
    with pytest.raises(Exception, match="c"):
        _read(engine, ("x", "c"))
    with pytest.raises(Exception, match="lacks the columns c"):
        _read(engine, ("x", "c"))


def test_a_connection_that_was_cut_while_it_waited_is_replaced(
    postgres_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.connections.stale_connections.FRESH_SECONDS", 0.0)
    _make_things(postgres_engine, "x INTEGER", "1, 1", "2, 2")
    assert len(_read(postgres_engine, ("x",))) == 2
    assert _cut_connections(postgres_engine) == 2
    assert len(_read(postgres_engine, ("x",))) == 2
    with reading(postgres_engine) as connection:
        assert connection.execute(text("SELECT 1")).scalar_one() == 1


def test_a_connection_that_was_cut_just_after_its_use_is_told_once_and_replaced(postgres_engine: Engine) -> None:
    _make_things(postgres_engine, "x INTEGER", "1, 1", "2, 2")
    assert len(_read(postgres_engine, ("x",))) == 2
    assert _cut_connections(postgres_engine) == 2
    with pytest.raises(DatabaseUnreachableError), reading(postgres_engine) as connection:
        connection.execute(text("SELECT 1"))
    with reading(postgres_engine) as connection:
        assert connection.execute(text("SELECT 1")).scalar_one() == 1
    with pytest.raises(DatabaseUnreachableError):
        _read(postgres_engine, ("x",))
    assert len(_read(postgres_engine, ("x",))) == 2


def _cut_connections(engine: Engine) -> int:
    with opened_engine(engine.url.render_as_string(hide_password=False)) as other, writing(other) as connection:
        cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database()"
        return connection.execute(text(f"{cut} AND pid <> pg_backend_pid()")).scalar_one()


def test_a_server_that_is_gone_is_told_in_our_words() -> None:
    unreachable = pytest.raises(DatabaseUnreachableError, match=r"127\.0\.0\.1:1")
    with opened_engine("postgresql://tidemark@127.0.0.1:1/none") as nowhere, unreachable:
        fetch_frame(nowhere, select(column("x")))


def test_all_frames_of_a_block_are_of_one_moment_and_the_next_one_is_not(engine: Engine) -> None:
    _make_things(engine, "x INTEGER", "1, 10")
    with reading_one_moment(engine):
        assert _read(engine, ("x",))["x"].tolist() == [10]
        with writing(engine) as connection:
            connection.execute(text("INSERT INTO things VALUES (2, 20)"))
        assert _read(engine, ("x",))["x"].tolist() == [10]
    assert _read(engine, ("x",))["x"].tolist() == [10, 20]


def test_a_query_that_fails_in_a_block_leaves_no_connection_in_its_moment(engine: Engine) -> None:
    _make_things(engine, "x INTEGER", "1, 10")
    with pytest.raises(SourceError, match="lacks the columns y"), reading_one_moment(engine):
        [_read(engine, (name,)) for name in ("x", "y")]
    with writing(engine) as connection:
        connection.execute(text("UPDATE things SET x = 30"))
    for _ in range(3):
        assert _read(engine, ("x",))["x"].tolist() == [30]


def test_a_column_that_is_gone_is_named_by_the_first_read(engine: Engine) -> None:
    _make_things(engine, "x INTEGER, y INTEGER", "1, 10, 1")
    _read(engine, ("x", "y"))
    with writing(engine) as connection:
        connection.execute(text("ALTER TABLE things DROP COLUMN y"))
    with pytest.raises(SourceError, match="the source things lacks the columns y"):
        _read(engine, ("x", "y"))
