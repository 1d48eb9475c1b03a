"""Files of events: every row is either read to the microsecond or refused with its place and reason."""

from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from db.portfolios.definition import EventsDefinition, FieldDefinition, FieldKind
from scheduler.data_files.errors import DataFileError, MissingColumnError
from scheduler.data_files.event_file import EventSurvey, Refusal, RefusedRow, checked_frames, open_event_file

FIELDS = (FieldDefinition("amount", FieldKind.NUMERIC, ("?",)), FieldDefinition("shop", FieldKind.CATEGORICAL))
EVENTS = EventsDefinition("bookings", "bookings", "id", "at", type="kind", fields=FIELDS)
HEADER = "id,at,kind,amount,shop,note"
NOON = 1_795_521_600_000_000  # 2026-11-24 12:00 in UTC


def read(path: Path, budget: float = 1.0) -> tuple[pd.DataFrame, EventSurvey]:
    survey = EventSurvey()
    frames = list(checked_frames(open_event_file(path, EVENTS), survey, budget))
    return pd.concat(frames, ignore_index=True), survey


def write_csv(folder: Path, *rows: str) -> Path:
    path = folder / "events.csv"
    path.write_text("\n".join([HEADER, *rows, ""]), encoding="utf-8")
    return path


def test_a_text_file_becomes_columns_in_file_order(tmp_path: Path) -> None:
    frame, survey = read(
        write_csv(tmp_path, "2,2026-11-24T13:00:00.000001+01:00,card,1.5,A,x", "1,2026-11-24 12:00,cash,?,,y")
    )
    assert list(frame.columns) == ["id", "at", "kind", "amount", "shop"]
    assert frame["id"].tolist() == [2, 1]
    assert frame["at"].tolist() == [NOON + 1, NOON]
    assert frame["kind"].tolist() == ["card", "cash"]
    assert frame["amount"].isna().tolist() == [False, True]
    assert (survey.rows, survey.refused) == (2, 0)


def test_each_refused_row_is_told_with_its_place_and_counted_once(tmp_path: Path) -> None:
    rows = [
        "1,2026-11-24,card,1,A,",
        ",2026-11-24,card,1,A,",
        "1,,card,1,A,",
        "1,24.11.2026,card,1,A,",
        '1,2026-11-24,card,"1,50",A,',
        ",,card,x,A,",
    ]
    frame, survey = read(write_csv(tmp_path, *rows))
    assert len(frame) == 1
    assert survey.counts == {
        ("id", Refusal.NO_KEY): 2,
        ("at", Refusal.NO_TIME): 1,
        ("at", Refusal.UNREADABLE_TIME): 1,
        ("amount", Refusal.NOT_A_NUMBER): 1,
    }
    assert RefusedRow(4, "at", Refusal.UNREADABLE_TIME, "24.11.2026") in survey.examples
    assert RefusedRow(5, "amount", Refusal.NOT_A_NUMBER, "1,50") in survey.examples
    assert (
        "1 row whose time cannot be read; write it as 2026-11-24T09:30:00 (at): row 4 '24.11.2026'" in survey.sentences
    )
    assert (survey.rows, survey.refused) == (6, 5)


def test_more_refused_rows_than_the_budget_end_the_load(tmp_path: Path) -> None:
    path = write_csv(tmp_path, *["1,2026-11-24,card,1,A,"] * 98, *["1,never,card,1,A,"] * 2)
    assert read(path, budget=0.02)[1].refused == 2
    with pytest.raises(DataFileError, match=r"2 of 100 rows cannot be loaded \(2.00%\), the budget is 1.00%"):
        read(path, budget=0.01)


@pytest.mark.parametrize(
    "times",
    [
        pa.array([datetime(2026, 11, 24, 12, 0, 0, 1)], pa.timestamp("us")),  # noqa: DTZ001 - no zone is the subject
        pa.array([datetime(2026, 11, 24, 12, 0, 0, 1, UTC)], pa.timestamp("ns", "Europe/Berlin")),
        pa.array(["2026-11-24 12:00:00.000001"]),
        pa.array([1_795_521_600.000001]),
    ],
)
def test_parquet_brings_times_in_every_type(tmp_path: Path, times: pa.Array) -> None:
    columns = {"id": pa.array(["a"]), "kind": pa.array([None], pa.string()), "amount": pa.array([1]), "shop": ["x"]}
    pq.write_table(pa.table({**columns, "at": times}), tmp_path / "e.parquet")
    frame, _ = read(tmp_path / "e.parquet")
    assert frame["at"].tolist() == [NOON + 1]


def test_a_date_of_parquet_is_the_start_of_its_day(tmp_path: Path) -> None:
    columns = {"id": [1, 2], "kind": ["a", "b"], "amount": [1.0, None], "shop": ["x", "y"]}
    pq.write_table(pa.table({**columns, "at": [date(2026, 11, 24), None]}), tmp_path / "e.parquet")
    frame, survey = read(tmp_path / "e.parquet")
    assert frame["at"].tolist() == [NOON - 12 * 3600 * 1_000_000]
    assert survey.counts == {("at", Refusal.NO_TIME): 1}


def test_a_missing_column_is_told_with_the_place_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "e.csv"
    path.write_text("id,at,kind,amuont,shop\n1,2026-11-24,a,1,x\n", encoding="utf-8")
    with pytest.raises(
        MissingColumnError, match=r"amount \(events.bookings.fields.amount, nearest in the file: amuont"
    ):
        open_event_file(path, EVENTS)


def test_a_column_of_truth_values_holds_no_times(tmp_path: Path) -> None:
    columns = {"id": [1], "kind": ["a"], "amount": [1.0], "shop": ["x"], "at": [True]}
    pq.write_table(pa.table(columns), tmp_path / "e.parquet")
    with pytest.raises(DataFileError, match="the column at holds bool; expected times, dates or texts"):
        open_event_file(tmp_path / "e.parquet", EVENTS)
