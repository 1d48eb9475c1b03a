"""Records in a file are the records that were written, and their file is gone from the disk."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from transformer.records.column_reading import read_columns
from transformer.records.record_store import FileStore, FrameStore, RecordStore, RecordWriter, chunks_of
from transformer.records.schema import Field, RecordSchema

SCHEMA = RecordSchema((Field("amount", "numeric"), Field("count", "numeric"), Field("colour", "categorical")), ())


def frames() -> list[pd.DataFrame]:
    """Three reads of one source: types change from read to read, as the values do."""
    return [
        pd.DataFrame({"amount": [1.5, 2.0], "count": [1, 2], "colour": ["red", "blue"]}),
        pd.DataFrame({"amount": [np.nan, 3.0], "count": [3.0, np.nan], "colour": pd.Series([1, "1"], dtype="object")}),
        pd.DataFrame({"amount": [4.0], "count": pd.Series(["7"]), "colour": pd.Series([True], dtype="object")}),
    ]


def write(folder: Path, most_bytes: int) -> RecordStore:
    writer = RecordWriter(folder / "scratch", most_bytes=most_bytes)
    for frame in frames():
        writer.append(frame)
    return writer.close()


@pytest.fixture
def in_file(tmp_path: Path) -> RecordStore:
    store = write(tmp_path, 0)
    assert isinstance(store, FileStore)
    return store


def assert_reads_alike(one: pd.DataFrame, other: pd.DataFrame) -> None:
    (mine, no_problems), (theirs, _) = read_columns(one, SCHEMA), read_columns(other, SCHEMA)
    assert not no_problems
    for name, values in mine.numeric.items():
        np.testing.assert_array_equal(values, theirs.numeric[name])
    np.testing.assert_array_equal(mine.categorical["colour"], theirs.categorical["colour"])


def test_a_small_book_stays_in_memory(tmp_path: Path) -> None:
    assert isinstance(write(tmp_path, 1_000_000), FrameStore)
    assert not (tmp_path / "scratch").exists()


def test_a_file_gives_the_records_that_memory_gives(in_file: RecordStore, tmp_path: Path) -> None:
    in_memory = write(tmp_path, 1_000_000)
    assert len(in_file) == len(in_memory) == 5
    for rows in ([0, 1, 2, 3, 4], [4, 0, 2], [1, 1, 3], [2, 3], []):
        chosen = np.array(rows, dtype=np.int64)
        assert_reads_alike(in_file.take(chosen), in_memory.take(chosen))
    (place, frame), *_ = chunks_of(in_file, ("colour",))
    assert (place, list(frame.columns), len(frame)) == (slice(0, 5), ["colour"], 5)


def test_records_without_columns_are_still_as_many(in_file: RecordStore) -> None:
    assert in_file.take(np.array([4, 0, 2]), ()).shape == (3, 0)


def test_a_part_of_a_part_is_counted_from_its_own_start(in_file: RecordStore) -> None:
    part = in_file.part(np.array([1, 3, 4])).part(np.array([1, 2]))
    assert part.take(np.array([1, 0]))["amount"].tolist() == [4.0, 3.0]


def test_files_are_deleted_as_soon_as_they_are_open(in_file: RecordStore, tmp_path: Path) -> None:
    array = in_file.allocate((3, 2), np.float32)
    array[1] = [1, 2]
    assert isinstance(array, np.memmap)
    assert array.sum() == 3
    assert list((tmp_path / "scratch").iterdir()) == []
