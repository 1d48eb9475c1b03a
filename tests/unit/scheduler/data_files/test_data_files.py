"""Data files: how CSV and Parquet become batches of one fixed form, and what is told of files that cannot."""

import gzip
import json
import uuid
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from db.portfolios.definition import FieldDefinition, FieldKind, HistoryDefinition, PortfolioDefinition
from scheduler.data_files import csv_source
from scheduler.data_files.errors import DataFileError, MissingColumnError
from scheduler.data_files.record_file import open_data_file

DEFINITION = PortfolioDefinition(
    name="book",
    title="Book",
    source="book",
    key="id",
    target="bad",
    as_of="month",
    fields=(
        FieldDefinition("age", FieldKind.NUMERIC, ("?", -9.0)),
        FieldDefinition("sex", FieldKind.CATEGORICAL),
    ),
    histories=(HistoryDefinition("pay", FieldKind.NUMERIC, ("pay_1", "pay_2")),),
)
HEADER = "id,bad,month,age,sex,pay_1,pay_2"


def write_csv(folder: Path, *rows: str, header: str = HEADER, name: str = "data.csv") -> Path:
    path = folder / name
    path.write_bytes("\n".join([header, *rows, ""]).encode())
    return path


def read(path: Path) -> pd.DataFrame:
    return pd.concat([batch.frame for batch in open_data_file(path, DEFINITION).batches()], ignore_index=True)


def read_ages(folder: Path, *texts: str) -> pd.DataFrame:
    return read(write_csv(folder, *(f'{number},0,2024-01,"{text}",a,1,2' for number, text in enumerate(texts))))


def column_as_parquet(folder: Path, **columns: pa.Array) -> Path:
    rows = len(next(iter(columns.values())))
    usual = {"id": pa.array(range(rows)), "bad": pa.array([0] * rows), "month": pa.array(["2024-01"] * rows)}
    usual |= {name: pa.array([1.5] * rows) for name in ("age", "sex", "pay_1", "pay_2")}
    path = folder / "data.parquet"
    pq.write_table(pa.table(usual | columns), path)
    return path


def test_a_batch_has_key_target_date_inputs_and_unreadable_texts_in_this_order_and_type(tmp_path: Path) -> None:
    frame = read(write_csv(tmp_path, "1,1,2024-01,30,f,1,2.5"))
    expected = {"id": "object", "bad": "float64", "month": "object", "age": "float64", "sex": "object"}
    expected |= {"pay_1": "float64", "pay_2": "float64", "tidemark_unreadable": "object"}
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == expected
    assert frame.iloc[0].tolist() == [1, 1.0, "2024-01", 30.0, "f", 1.0, 2.5, None]


def test_text_in_a_numeric_column_is_kept_beside_a_missing_number(tmp_path: Path) -> None:
    frame = read(write_csv(tmp_path, "1,0,m,abc,f,1,x y", "2,0,m,31,f,1,2"))
    assert np.isnan(frame.loc[0, "age"])
    assert json.loads(frame.loc[0, "tidemark_unreadable"]) == {"age": "abc", "pay_2": "x y"}
    assert frame.loc[1, "tidemark_unreadable"] is None


def test_an_unreadable_text_is_cut_to_80_characters(tmp_path: Path) -> None:
    frame = read_ages(tmp_path, "x" * 500)
    assert json.loads(frame.loc[0, "tidemark_unreadable"]) == {"age": "x" * 80}


@pytest.mark.parametrize("text", ["1_000", "1,5", "0x10", "nan(1)", "1 000", "٣", "--1", "1e", "infinit", "NAN"])
def test_look_alikes_are_not_numbers(tmp_path: Path, text: str) -> None:
    assert read_ages(tmp_path, "1", text)["tidemark_unreadable"].notna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("text", "number"),
    [("+5", 5.0), (" 7 ", 7.0), ("1e3", 1000.0), (".5", 0.5), ("5.", 5.0), ("1e400", np.inf), ("-Infinity", -np.inf)],
)
@pytest.mark.parametrize("neighbour", ["1", "abc"])
def test_numbers_read_the_same_beside_good_and_bad_neighbours(
    tmp_path: Path, text: str, number: float, neighbour: str
) -> None:
    frame = read_ages(tmp_path, text, neighbour)
    assert frame.loc[0, "age"] == number
    assert frame.loc[0, "tidemark_unreadable"] is None


@pytest.mark.parametrize("text", ["", " ", "NA", "N/A", "NaN", "nan", "null", "NULL", " NA "])
def test_missing_texts_are_missing_in_numeric_and_categorical_columns(tmp_path: Path, text: str) -> None:
    frame = read(write_csv(tmp_path, f"1,{text},{text},{text},{text},1,2"))
    assert frame[["bad", "month", "age", "sex"]].isna().all(axis=None)
    assert frame.loc[0, "tidemark_unreadable"] is None


def test_a_text_code_for_missing_is_not_unreadable_in_its_own_column_only(tmp_path: Path) -> None:
    frame = read(write_csv(tmp_path, "1,0,m,?,f,?,2"))
    assert json.loads(frame.loc[0, "tidemark_unreadable"]) == {"pay_1": "?"}


def test_number_codes_for_missing_stay_for_the_network_to_judge(tmp_path: Path) -> None:
    assert read_ages(tmp_path, "-9").loc[0, "age"] == -9.0


def test_leading_zeros_make_all_keys_text(tmp_path: Path) -> None:
    path = write_csv(tmp_path, "007,0,m,1,f,1,2", "12,0,m,1,f,1,2")
    assert open_data_file(path, DEFINITION).key_type == "text"
    assert read(path)["id"].tolist() == ["007", "12"]


@pytest.mark.parametrize("key", ["1.0", "A1", "+1", "-0x1", "1234567890123456789", "NA"])
def test_one_key_that_is_no_plain_integer_makes_all_keys_text(tmp_path: Path, key: str) -> None:
    path = write_csv(tmp_path, *["5,0,m,1,f,1,2"] * 3, f"{key},0,m,1,f,1,2")
    assert open_data_file(path, DEFINITION).key_type == "text"
    assert read(path)["id"].tolist() == ["5", "5", "5", key]


def test_missing_keys_do_not_change_the_key_type(tmp_path: Path) -> None:
    path = write_csv(tmp_path, ",0,m,1,f,1,2", "-5,0,m,1,f,1,2", "0,0,m,1,f,1,2")
    assert open_data_file(path, DEFINITION).key_type == "integer"
    assert read(path)["id"].tolist() == [None, -5, 0]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    rows = [HEADER, '1,0,m,30,"f",1,2']
    path = tmp_path / "data.csv"
    path.write_text("\n".join(rows).replace(",", delimiter))
    assert read(path).loc[0, "age"] == 30.0


def test_byte_order_mark_windows_line_ends_and_blank_lines_are_read_over(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(b"\xef\xbb\xbf" + f"{HEADER}\r\n1,0,m,30,f,1,2\r\n\r\n2,0,m,31,f,1,2\r\n".encode())
    assert read(path)["id"].tolist() == [1, 2]


def test_blanks_in_the_header_do_not_matter(tmp_path: Path) -> None:
    path = write_csv(tmp_path, "1,0,m,30,f,1,2", header=HEADER.replace(",", ", "))
    assert read(path).loc[0, "age"] == 30.0


def test_compressed_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "data.csv.gz"
    path.write_bytes(gzip.compress(f"{HEADER}\n1,0,m,30,f,1,2\n".encode()))
    assert read(path).loc[0, "age"] == 30.0


def test_a_quoted_value_may_hold_line_ends_delimiters_and_quotes(tmp_path: Path) -> None:
    frame = read(write_csv(tmp_path, '1,0,m,30,"a\nb, ""c""",1,2', "2,0,m,31,f,1,2"))
    assert frame["sex"].tolist() == ['a\nb, "c"', "f"]


def test_a_nul_within_a_text_is_made_visible_since_postgresql_holds_none(tmp_path: Path) -> None:
    frame = read(write_csv(tmp_path, "k\0,0,m\0,30,a\0b,1,2"))
    assert frame.loc[0, ["id", "month", "sex"]].tolist() == ["k\ufffd", "m\ufffd", "a\ufffdb"]


def test_batches_have_the_asked_size_whatever_the_file_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_source, "_BLOCK_BYTES", 400)
    path = write_csv(tmp_path, *(f"{key},0,m,1,f,1,2" for key in range(1000)))
    batches = [batch.frame for batch in open_data_file(path, DEFINITION).batches(batch_rows=300)]
    assert [len(frame) for frame in batches] == [300, 300, 300, 100]
    assert pd.concat(batches)["id"].tolist() == list(range(1000))


def test_an_opened_file_tells_rows_bytes_and_ignored_columns(tmp_path: Path) -> None:
    path = write_csv(tmp_path, "1,0,m,30,f,1,2,x,y", header=f"{HEADER},note,split")
    data = open_data_file(path, DEFINITION)
    assert (data.rows_estimate, data.bytes_total) == (1, path.stat().st_size)
    assert data.ignored_columns == ("note", "split")


def test_an_absent_target_is_not_known_for_all(tmp_path: Path) -> None:
    path = write_csv(tmp_path, "1,m,30,f,1,2", header=HEADER.replace("bad,", ""))
    assert read(path)["bad"].isna().all()


@pytest.mark.parametrize("end", ["", "\n", "\r\n\r\n"])
def test_a_header_alone_gives_no_batch(tmp_path: Path, end: str) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(f"{HEADER}{end}".encode())
    data = open_data_file(path, DEFINITION)
    assert (data.rows_estimate, list(data.batches())) == (0, [])


def test_a_missing_column_is_told_with_its_use_and_the_nearest_name(tmp_path: Path) -> None:
    path = write_csv(tmp_path, "1,0,m,30,f,1,2", header=HEADER.replace("age", "Agee").replace("pay_2", "x"))
    with pytest.raises(MissingColumnError) as caught:
        open_data_file(path, DEFINITION)
    assert "age (fields.age, nearest in the file: Agee), pay_2 (history.pay, nearest" in str(caught.value)
    assert caught.value.columns == ("age", "pay_2")


def test_targets_of_truth_values_are_read(tmp_path: Path) -> None:
    frame = read(write_csv(tmp_path, "1,True,m,1,f,1,2", "2,false,m,1,f,1,2", "3,,m,1,f,1,2"))
    assert frame["bad"].fillna(-1).tolist() == [1.0, 0.0, -1.0]


@pytest.mark.parametrize("target", ["yes", "2", "inf"])
def test_a_target_other_than_0_1_and_nothing_stops_the_load(tmp_path: Path, target: str) -> None:
    path = write_csv(tmp_path, "1,0,m,1,f,1,2", f"2,{target},m,1,f,1,2")
    with pytest.raises(
        DataFileError, match=f"the target bad of record 2 is '{target}'; expected 0, 1 or an empty value"
    ):
        read(path)


BROKEN_FILES = {
    "empty": (b"", "the file is empty; expected a header line"),
    "blank": (b"\n\n", "the file is empty; expected a header line"),
    "twice": (f"{HEADER},age\n1,0,m,1,f,1,2,3\n".encode(), "the header names 'age' more than once"),
    "ragged": (
        f'{HEADER}\n1,0,m,1,"f\ng",1,2\n2,0,m,1\n'.encode(),
        "data.csv:4: expected 7 values as in the header, got 4",
    ),
    "latin-1": (
        f"{HEADER}\n1,0,m,1,f,1,2\n2,0,m,1,é,1,2\n".encode("latin-1"),
        "data.csv:3: expected UTF-8 text, got the byte 0xe9 at",
    ),
    "latin-1 header": (
        f"größe,{HEADER}\n".encode("latin-1"),
        "data.csv:1: expected UTF-8 text, got the byte 0xf6 at position 2",
    ),
    "never closed": (
        f'{HEADER}\n1,0,m,1,"f,1,2\n'.encode() + b"1,0,m,1,f,1,2\n" * 20_000,
        "data.csv:2: not a readable CSV file, perhaps a quote",
    ),
    "utf-16": (HEADER.encode("utf-16"), "this looks like UTF-16 or a binary file"),
    "open quote": (f'{HEADER}\n1,0,m,1,"f,1,2\n'.encode(), "expected 7 values as in the header, got 5"),
}


@pytest.mark.parametrize("case", BROKEN_FILES)
def test_a_broken_text_file_is_told_with_its_place(tmp_path: Path, case: str) -> None:
    content, expected = BROKEN_FILES[case]
    path = tmp_path / "data.csv"
    path.write_bytes(content)
    with pytest.raises(DataFileError) as caught:
        read(path)
    assert expected in str(caught.value)


@pytest.mark.parametrize("name", ["data.csv.gz", "data.parquet"])
def test_a_file_that_is_not_what_its_ending_says_is_told(tmp_path: Path, name: str) -> None:
    path = write_csv(tmp_path, name=name)
    with pytest.raises(DataFileError, match=f"{name}: "):
        open_data_file(path, DEFINITION)


def test_missing_files_folders_and_unknown_endings_are_told(tmp_path: Path) -> None:
    cases = {
        tmp_path / "no.csv": "the file does not exist",
        tmp_path: "not a file",
        write_csv(tmp_path, name="a.xlsx"): ".parquet",
    }
    for path, message in cases.items():
        with pytest.raises(DataFileError, match=message):
            open_data_file(path, DEFINITION)


def test_csv_and_parquet_of_the_same_frame_are_read_alike(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": [3, 1], "bad": [1.0, None], "month": ["2024-01", None], "age": [0.1, None]})
    frame = frame.assign(sex=[1.0, None], pay_1=[1, -2], pay_2=[np.inf, 1e-300])
    frame.to_csv(tmp_path / "data.csv", index=False)
    frame.to_parquet(tmp_path / "data.parquet")
    pd.testing.assert_frame_equal(read(tmp_path / "data.csv"), read(tmp_path / "data.parquet"))


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([1, None]), ["1", None]),
        (pa.array([1.0, 1.5, float("nan")]), ["1", "1.5", None]),
        (pa.array([True, False, None]), ["true", "false", None]),
        (pa.array(["a ", "NA", "2.0"]), ["a", None, "2"]),
        (pa.array(["x", "y", "x", None]).dictionary_encode(), ["x", "y", "x", None]),
        (pa.array([None, None], pa.null()), [None, None]),
    ],
)
def test_categories_are_the_same_text_whatever_the_file_holds(
    tmp_path: Path, array: pa.Array, expected: list[str | None]
) -> None:
    assert read(column_as_parquet(tmp_path, sex=array))["sex"].tolist() == expected


@pytest.mark.parametrize(
    ("array", "key_type", "expected"),
    [
        (pa.array([7, None, 2**60]), "integer", [7, None, 2**60]),
        (pa.array([7.0, float("nan"), 8.0]), "integer", [7, None, 8]),
        (pa.array(["007", "", "8"]), "text", ["007", None, "8"]),
        (pa.array([uuid.UUID(int=5).bytes], pa.uuid()), "text", [str(uuid.UUID(int=5))]),
    ],
)
def test_parquet_keys_follow_the_schema(
    tmp_path: Path, array: pa.Array, key_type: str, expected: list[int | str | None]
) -> None:
    path = column_as_parquet(tmp_path, id=array)
    assert open_data_file(path, DEFINITION).key_type == key_type
    assert read(path)["id"].tolist() == expected


def test_parquet_keys_that_are_no_integers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match="the key column id holds a number that is not an integer"):
        read(column_as_parquet(tmp_path, id=pa.array([1.0, 1.5])))


def test_parquet_numbers_of_every_type_become_float64(tmp_path: Path) -> None:
    frame = read(column_as_parquet(tmp_path, age=pa.array([1, 2], pa.int8()), pay_1=pa.array([True, None])))
    assert frame["age"].tolist() == [1.0, 2.0]
    assert frame["pay_1"].fillna(-1).tolist() == [1.0, -1.0]


def test_parquet_dates_become_iso_text_midnight_as_the_date_alone(tmp_path: Path) -> None:
    times = pa.array([pd.Timestamp("2024-01-31"), pd.Timestamp("2024-01-31 05:06:07.5"), None])
    frame = read(column_as_parquet(tmp_path, month=times))
    assert frame["month"].tolist() == ["2024-01-31", "2024-01-31 05:06:07.500000", None]


def test_parquet_columns_of_lists_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match=r"the column age holds list<.*>; expected numbers"):
        open_data_file(column_as_parquet(tmp_path, age=pa.array([[1], [2]])), DEFINITION)


def test_a_column_name_with_dots_is_a_name_and_not_a_path(tmp_path: Path) -> None:
    definition = PortfolioDefinition("b", "b", "b", "id", fields=(FieldDefinition("rate", FieldKind.NUMERIC),))
    pq.write_table(pa.table({"rate.base": [9.0], "id": [1], "rate": [2.0]}), tmp_path / "data.parquet")
    batch = next(open_data_file(tmp_path / "data.parquet", definition).batches())
    assert batch.frame.drop(columns="tidemark_unreadable").iloc[0].tolist() == [1, 2.0]


def test_a_compressed_file_that_was_cut_short_is_told(tmp_path: Path) -> None:
    path = tmp_path / "data.csv.gz"
    rows = "".join(f"{key},0,m,{key * 7919 % 1000},f,1,2\n" for key in range(20_000))
    path.write_bytes(gzip.compress(f"{HEADER}\n{rows}".encode())[:20_000])
    with pytest.raises(DataFileError, match=r"data\.csv\.gz: cannot be read"):
        open_data_file(path, DEFINITION)
