"""Key ranges cover every record exactly once, whatever the type of key."""

import uuid

import pandas as pd
import pytest
from sqlalchemy import Engine, text

from db.connections.engine import reading, writing
from db.errors import SourceError
from db.portfolios.definition import Source
from db.portfolios.source_grants import grant_source
from db.sources.source_table import RECORD_KEY, check_source, plan_key_ranges, read_all, read_range
from tests.building import BOOK, COLUMNS, load_book


def _read_in_ranges(engine: Engine, shard_rows: int, name: str = BOOK) -> list[pd.DataFrame]:
    source = Source(BOOK, name)
    grant_source(engine, BOOK, name, who="test")
    with reading(engine) as connection:
        ranges = plan_key_ranges(connection, source, "id", shard_rows=shard_rows)
    frames = [read_range(engine, source, "id", COLUMNS, one) for one in ranges]
    assert [one.expected for one in ranges] == [len(frame) for frame in frames]
    return frames


@pytest.mark.parametrize("shard_rows", [1, 3, 7, 100])
def test_ranges_of_whole_numbers_cover_every_record_once(engine: Engine, shard_rows: int) -> None:
    load_book(engine, [*range(-5, 50, 3), 2**60])
    keys = [key for frame in _read_in_ranges(engine, shard_rows) for key in frame[RECORD_KEY]]
    assert sorted(map(int, keys)) == [*range(-5, 50, 3), 2**60]


@pytest.mark.parametrize("shard_rows", [1, 4, 100])
def test_ranges_of_text_cover_every_record_once(engine: Engine, shard_rows: int) -> None:
    names = ["ä", "a", "A", "Z", "z", "10", "9", "a b", "a-b", "ab", "é", "日本", "'", '"', "%", "\\"]
    load_book(engine, names, key_type="text")
    keys = [key for frame in _read_in_ranges(engine, shard_rows) for key in frame[RECORD_KEY]]
    assert sorted(keys) == sorted(names)


def test_ranges_of_uuids_cover_every_record_once(engine: Engine) -> None:
    kind = "UUID" if engine.dialect.name == "postgresql" else "TEXT"
    names = [str(uuid.UUID(int=number * 7919)) for number in range(20)]
    with writing(engine) as connection:
        connection.execute(text(f"CREATE TABLE book (id {kind}, amount DOUBLE PRECISION, colour TEXT)"))
        for name in names:
            connection.execute(text(f"INSERT INTO book VALUES ('{name}', 1, 'red')"))
    keys = [key for frame in _read_in_ranges(engine, 6) for key in frame[RECORD_KEY]]
    assert sorted(keys) == sorted(names)


def test_records_of_one_key_stay_in_one_range(engine: Engine) -> None:
    load_book(engine, [1, 2, 2, 2, 2, 3])
    sizes = [len(frame) for frame in _read_in_ranges(engine, 2)]
    assert sizes == [5, 1]


def test_records_without_a_key_are_a_range_of_their_own(engine: Engine) -> None:
    load_book(engine, [1, None, 2, None])
    frames = _read_in_ranges(engine, 10)
    assert [frame[RECORD_KEY].isna().sum() for frame in frames] == [0, 2]


def test_a_view_serves_as_a_source(engine: Engine) -> None:
    load_book(engine, [1, 2, 3])
    with writing(engine) as connection:
        connection.execute(text("CREATE VIEW good_book AS SELECT id, amount, colour FROM book WHERE amount > 0"))
    assert sum(map(len, _read_in_ranges(engine, 2, "good_book"))) == 2


def test_reading_all_leaves_out_records_without_a_key(engine: Engine) -> None:
    load_book(engine, [3, None, 1])
    frames = list(read_all(engine, Source(BOOK, BOOK), "id", COLUMNS, batch_rows=1))
    assert [key for frame in frames for key in frame[RECORD_KEY]] == ["1", "3"]


def test_a_missing_column_is_told_with_the_nearest_name(engine: Engine) -> None:
    load_book(engine, [1])
    with pytest.raises(SourceError, match=r"amounts \(nearest: amount\)"):
        check_source(engine, Source(BOOK, BOOK), ("id", "amounts"))


def test_a_missing_source_is_told_with_what_to_do(engine: Engine) -> None:
    with pytest.raises(SourceError, match="tidemark load"):
        check_source(engine, Source(BOOK, "nothing"), ("id",))


def test_an_empty_source_has_no_range(engine: Engine) -> None:
    load_book(engine, [])
    assert _read_in_ranges(engine, 5) == []
