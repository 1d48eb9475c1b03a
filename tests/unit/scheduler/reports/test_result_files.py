"""Result files appear whole under their name, or not at all."""

from pathlib import Path

import pandas as pd
import pytest

from scheduler.errors import UsageError
from scheduler.reports.result_files import write_frames

COLUMNS = ("record_key", "probability", "points")


def _frames() -> list[pd.DataFrame]:
    first = pd.DataFrame({"record_key": ["007", 'é,"x"'], "probability": [0.1, 0.2], "points": [600, 580]})
    return [first, pd.DataFrame({"record_key": ["z"], "probability": [0.3], "points": [560]})]


@pytest.mark.parametrize("name", ["scores.csv", "scores.csv.gz", "scores.parquet"])
def test_every_row_comes_back_from_each_kind_of_file(tmp_path: Path, name: str) -> None:
    assert write_frames(tmp_path / name, _frames(), COLUMNS) == 3
    read = pd.read_parquet if name.endswith("parquet") else lambda path: pd.read_csv(path, dtype={"record_key": "str"})
    frame = read(tmp_path / name)
    assert frame["record_key"].tolist() == ["007", 'é,"x"', "z"]
    assert frame["points"].tolist() == [600, 580, 560]


@pytest.mark.parametrize("name", ["scores.csv", "scores.parquet"])
def test_no_rows_give_a_file_with_a_header(tmp_path: Path, name: str) -> None:
    assert write_frames(tmp_path / name, [], COLUMNS) == 0
    read = pd.read_parquet if name.endswith("parquet") else pd.read_csv
    assert list(read(tmp_path / name).columns) == list(COLUMNS)


def test_a_failure_on_the_way_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("old")

    def failing():
        yield _frames()[0]
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_frames(path, failing(), COLUMNS)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_unknown_ending_and_a_missing_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.csv"):
        write_frames(tmp_path / "scores.xlsx", [], COLUMNS)
    with pytest.raises(UsageError, match="does not exist"):
        write_frames(tmp_path / "nowhere" / "scores.csv", [], COLUMNS)
