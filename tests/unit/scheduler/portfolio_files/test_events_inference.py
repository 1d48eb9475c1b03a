"""The proposed event tables: key, time and type are found, and what is not sure is said."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from db.portfolios.definition import EventsDefinition, FieldKind, PortfolioDefinition
from scheduler.data_files.errors import DataFileError
from scheduler.portfolio_files.inference.proposal import infer_portfolio
from scheduler.portfolio_files.problems import PortfolioFileError
from scheduler.portfolio_files.reader import parse_portfolio

RECORDS, EACH = 100, 6
KEYS = np.arange(1000, 1000 + RECORDS)
TIMES = pd.date_range("2026-01-01", periods=RECORDS * EACH, freq="7h")
EVENTS: dict[str, Any] = {
    "id": np.repeat(KEYS, EACH),
    "booked_at": TIMES,
    "kind": ["cash", "card", "salary"] * (RECORDS * EACH // 3),
    "amount": np.linspace(-50, 900, RECORDS * EACH).round(2),
    "clerk": (np.arange(RECORDS * EACH) % 37 + 100).astype(str),
}
BOOK: dict[str, Any] = {
    "id": KEYS,
    "bad": np.arange(RECORDS) % 2,
    "cut_off": pd.Timestamp("2026-06-01"),
    "age": 20 + np.arange(RECORDS) % 60,
}


def infer(
    folder: Path, events: Mapping[str, Any] = EVENTS, book: Mapping[str, Any] = BOOK, *, ending: str = "parquet"
) -> str:
    """Infer from a book and one file of events, named "bookings"."""
    paths = {}
    for name, columns in (("book", book), ("bookings", events)):
        frame, paths[name] = pd.DataFrame(dict(columns)), folder / f"{name}.{ending}"
        frame.to_parquet(paths[name]) if ending == "parquet" else frame.to_csv(paths[name], index=False)
    target = "bad" if "bad" in book else None
    tables = {"bookings": paths["bookings"]}
    return infer_portfolio(paths["book"], name="book", key="id", target=target, events=tables)


def read(text: str) -> tuple[PortfolioDefinition, EventsDefinition]:
    definition = parse_portfolio(text, "proposed")
    [events] = definition.events
    return definition, events


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_key_time_type_kinds_and_moment_are_found(tmp_path: Path, ending: str) -> None:
    definition, events = read(infer(tmp_path, ending=ending))
    assert definition.moment == "cut_off"
    assert (events.name, events.source) == ("bookings", "bookings")
    assert (events.key, events.at, events.type) == ("id", "booked_at", "kind")
    kinds = {one.name: one.kind for one in events.fields}
    assert kinds["amount"] is FieldKind.NUMERIC
    assert kinds["clerk"] is (FieldKind.CATEGORICAL if ending == "parquet" else FieldKind.NUMERIC)


@pytest.mark.parametrize("keys", [KEYS, KEYS.astype(str)])
def test_a_key_of_another_name_is_found_by_its_values(tmp_path: Path, keys: Any) -> None:
    renamed = {"event_id": np.arange(RECORDS * EACH)} | {name: one for name, one in EVENTS.items() if name != "id"}
    _, events = read(infer(tmp_path, renamed | {"customer_id": np.repeat(keys, EACH)}))
    assert events.key == "customer_id"


def test_a_number_that_looks_like_a_key_is_not_one(tmp_path: Path) -> None:
    renamed = {name: one for name, one in EVENTS.items() if name != "id"} | {"amount": np.repeat(KEYS, EACH)}
    with pytest.raises(DataFileError, match="no column holds the keys of the records; expected a column id"):
        infer(tmp_path, renamed)


def test_events_of_no_record_are_told(tmp_path: Path) -> None:
    text = infer(tmp_path, EVENTS | {"id": np.repeat(KEYS + 25, EACH)})
    assert "named as the records' key; WARNING: 25.00% of the rows are of no record in DATA" in text


def test_keys_without_any_record_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match="no value of the column id is the key of a record in DATA"):
        infer(tmp_path, EVENTS | {"id": np.repeat(KEYS + 5000, EACH)})


def test_of_two_times_the_one_whose_name_says_so_is_taken(tmp_path: Path) -> None:
    _, events = read(infer(tmp_path, {"valuta": TIMES} | EVENTS))
    assert events.at == "booked_at"


def test_a_file_without_times_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match="no column holds the times of the events"):
        infer(tmp_path, {name: one for name, one in EVENTS.items() if name != "booked_at"})


def test_without_a_column_named_so_there_is_no_type(tmp_path: Path) -> None:
    renamed = {name: one for name, one in EVENTS.items() if name != "kind"} | {"shop": EVENTS["kind"]}
    _, events = read(infer(tmp_path, renamed))
    assert (events.type, [one.name for one in events.fields if one.kind is FieldKind.CATEGORICAL]) == (
        None,
        ["clerk", "shop"],
    )


def test_a_target_needs_a_moment_and_any_date_is_proposed(tmp_path: Path) -> None:
    plain = {name: one for name, one in BOOK.items() if name != "cut_off"}
    definition, _ = read(infer(tmp_path, book=plain | {"opened": pd.Timestamp("2026-06-01")}))
    assert definition.moment == "opened"
    with pytest.raises(PortfolioFileError, match="expected moment or as_of, the column that says when each record"):
        infer(tmp_path, book=plain)
    without_target = {name: one for name, one in plain.items() if name != "bad"}
    assert read(infer(tmp_path, book=without_target | {"opened": TIMES[0]}))[0].moment is None


def test_a_book_whose_keys_repeat_with_times_looks_like_events(tmp_path: Path) -> None:
    pd.DataFrame(EVENTS).to_parquet(tmp_path / "events.parquet")
    text = infer_portfolio(tmp_path / "events.parquet", name="book", key="id")
    assert "# WARNING: each key occurs 6.0 times, with times in the column booked_at: this looks like events." in text
    pd.DataFrame(BOOK).to_parquet(tmp_path / "book.parquet")
    assert "looks like events" not in infer_portfolio(tmp_path / "book.parquet", name="book", key="id")
