"""The proposed portfolio file: guesses, reasons, histories and their order."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from db.portfolios.definition import FieldKind
from scheduler.data_files.errors import DataFileError, MissingColumnError
from scheduler.demo.simulator import TARGET, TRUE_OUTCOME, TRUE_PROBABILITY, simulate_customers
from scheduler.portfolio_files.inference.proposal import infer_portfolio
from scheduler.portfolio_files.problems import PortfolioFileError
from scheduler.portfolio_files.reader import parse_portfolio

ROWS = 400


def infer(folder: Path, columns: Mapping[str, Any], **options: Any) -> str:
    """Infer from these columns beside the key "id" and one plain number."""
    plain = {"id": np.arange(ROWS), "amount": np.linspace(0, 1000, ROWS)}
    pd.DataFrame(plain | dict(columns)).to_csv(folder / "data.csv", index=False)
    return infer_portfolio(folder / "data.csv", name="book", key="id", **options)


def kinds_of(text: str) -> dict[str, FieldKind]:
    return {one.name: one.kind for one in parse_portfolio(text, "proposed").fields}


def months_of(stem: str, numbers: list[str], *, related: bool = True) -> dict[str, Any]:
    """Columns of a behaviour that remembers (or not), by name."""
    random = np.random.default_rng(3)
    level = random.normal(size=ROWS) * related
    return {f"{stem}{number}": level + random.normal(size=ROWS) for number in numbers}


def credit_cards() -> dict[str, Any]:
    columns = months_of("PAY_", ["0", "2", "3", "4", "5", "6"])
    columns |= months_of("BILL_AMT", list("123456")) | months_of("PAY_AMT", list("123456"))
    return columns | {"SEX": np.arange(ROWS) % 2 + 1, "AGE": 20 + np.arange(ROWS) % 50}


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["red", "blue"] * 200, FieldKind.CATEGORICAL),
        ([True, False] * 200, FieldKind.CATEGORICAL),
        ([1, 2, 3, 4] * 100, FieldKind.NUMERIC),
        ([0.5, None] * 200, FieldKind.NUMERIC),
        (["001", "7"] * 200, FieldKind.NUMERIC),
    ],
)
def test_texts_are_categorical_and_numbers_numeric(tmp_path: Path, values: list[Any], kind: FieldKind) -> None:
    assert kinds_of(infer(tmp_path, {"x": values}))["x"] is kind


def test_few_whole_numbers_are_categorical_only_where_the_name_says_label(tmp_path: Path) -> None:
    values = [1, 2, 3, 4] * 100
    kinds = kinds_of(infer(tmp_path, {"SEX": values, "productType": values, "children": values}))
    assert (kinds["SEX"], kinds["productType"], kinds["children"]) == ("categorical", "categorical", "numeric")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([5] * ROWS, "every row has the same number, 5"),
        (["a"] * ROWS, "every row has the same text"),
        ([None] * ROWS, "no row has a value"),
        ([f"note {number}" for number in range(ROWS)], "nearly every row has its own text"),
        (["2024-01-31", "2024-02-29"] * 200, "dates"),
    ],
)
def test_columns_that_teach_nothing_are_commented_out_with_the_reason(
    tmp_path: Path, values: list[Any], reason: str
) -> None:
    text = infer(tmp_path, {"x": values})
    assert f"# [fields.x]  # left out: {reason}" in text
    assert "x" not in kinds_of(text)


def test_another_key_is_left_out(tmp_path: Path) -> None:
    assert "probably another key" in infer(tmp_path, {"account_id": np.arange(ROWS) + 5000})


def test_dates_are_offered_as_as_of(tmp_path: Path) -> None:
    assert '# as_of = "month"' in infer(tmp_path, {"month": ["2024-01-31", "2024-02-29"] * 200})
    assert '\nas_of = "month"' in infer(tmp_path, {"month": ["2024-01-31", "2024-02-29"] * 200}, as_of="month")


def test_special_numbers_far_from_the_rest_are_offered_as_missing_codes(tmp_path: Path) -> None:
    values = np.where(np.arange(ROWS) % 10 == 0, -9, np.arange(ROWS) % 40)
    text = infer(tmp_path, {"x": values, "y": np.where(values == -9, 999, values), "z": values - 20})
    assert text.count("# missing_codes = [-9]") == 1
    assert text.count("# missing_codes = [999]") == 1


def test_a_rare_text_among_numbers_becomes_a_missing_code(tmp_path: Path) -> None:
    text = infer(tmp_path, {"x": ["?" if number == 7 else str(number) for number in range(ROWS)]})
    field = next(one for one in parse_portfolio(text, "proposed").fields if one.name == "x")
    assert (field.kind, field.missing_codes) == (FieldKind.NUMERIC, ("?",))


def test_numbered_columns_of_credit_cards_become_three_histories_oldest_first(tmp_path: Path) -> None:
    definition = parse_portfolio(infer(tmp_path, credit_cards()), "proposed")
    assert [(one.name, one.columns[0], one.columns[-1], len(one.columns)) for one in definition.histories] == [
        ("PAY", "PAY_6", "PAY_0", 6),
        ("BILL_AMT", "BILL_AMT6", "BILL_AMT1", 6),
        ("PAY_AMT", "PAY_AMT6", "PAY_AMT1", 6),
    ]
    assert [one.name for one in definition.fields] == ["amount", "SEX", "AGE"]


def test_the_other_order_of_a_history_is_offered_as_a_comment(tmp_path: Path) -> None:
    text = infer(tmp_path, months_of("m", ["1", "2", "3"]))
    assert 'columns = ["m1", "m2", "m3"]\n# columns = ["m3", "m2", "m1"]  # the other way round' in text


def test_years_and_months_in_names_are_read_as_time(tmp_path: Path) -> None:
    numbers = ["202311", "202312", "202401", "202402"]
    definition = parse_portfolio(infer(tmp_path, months_of("due_", numbers)), "proposed")
    assert definition.histories[0].columns == tuple(f"due_{number}" for number in numbers)


@pytest.mark.parametrize(("newest", "first"), [("m_1", "m_4"), ("m_4", "m_1")])
def test_without_other_signs_the_month_that_tells_most_of_the_target_is_the_newest(
    tmp_path: Path, newest: str, first: str
) -> None:
    columns = months_of("m_", list("1234"))
    columns["bad"] = (columns[newest] > 0).astype(int)
    definition = parse_portfolio(infer(tmp_path, columns, target="bad"), "proposed")
    assert definition.histories[0].columns[0] == first


def test_numbered_columns_that_have_nothing_in_common_stay_fields(tmp_path: Path) -> None:
    text = infer(tmp_path, months_of("V", [str(number) for number in range(1, 9)], related=False))
    assert parse_portfolio(text, "proposed").histories == ()
    assert "neighbouring columns are unrelated" in text


def test_histories_of_an_unusual_length_stay_fields_with_a_remark(tmp_path: Path) -> None:
    columns = months_of("a", list("123456")) | months_of("b", list("123456")) | months_of("c", list("123"))
    text = infer(tmp_path, columns)
    assert [one.name for one in parse_portfolio(text, "proposed").histories] == ["a", "b"]
    assert "could be a history of 3 columns, but histories need equal length; most have 6" in text


def test_a_constant_month_stays_in_its_history(tmp_path: Path) -> None:
    columns = months_of("m", list("1234")) | {"m1": np.zeros(ROWS)}
    assert len(parse_portfolio(infer(tmp_path, columns), "proposed").histories[0].columns) == 4


def test_names_that_a_database_or_toml_finds_hard_are_quoted_or_left_out(tmp_path: Path) -> None:
    values = np.arange(ROWS) % 7
    names = ['a "b".c', "Größe [m]", "x" * 70, "tidemark_x", "Amount"]
    text = infer(tmp_path, dict.fromkeys(names, values))
    assert list(kinds_of(text)) == ["amount", 'a "b".c', "Größe [m]"]
    assert "another column's name differs only in case" in text


def test_a_repeated_or_missing_key_is_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("id,x\n1,1\n1,2\n,3\n")
    assert "WARNING: 1 repeated key, 1 missing key" in infer_portfolio(path, name="book", key="id")


def test_a_key_that_the_file_lacks_is_told_with_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("client_id,x\n1,1\n")
    with pytest.raises(MissingColumnError, match=r"lacks the column clientid \(key, nearest in the file: client_id\)"):
        infer_portfolio(tmp_path / "data.csv", name="book", key="clientid")


def test_a_target_of_other_values_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match="the target y holds good, poor; expected 1"):
        infer(tmp_path, {"y": ["good", "poor"] * 200}, target="y")


def test_a_target_of_one_value_is_warned_of(tmp_path: Path) -> None:
    assert "do not contain both 0 and 1" in infer(tmp_path, {"y": [0, None] * 200}, target="y")


def test_a_wrong_name_and_a_file_without_usable_columns_are_refused(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("id,x\n1,1\n")
    for name, message in (("Book", "name: expected at most 64"), ("book", "expected at least one section")):
        with pytest.raises(PortfolioFileError, match=message):
            infer_portfolio(tmp_path / "data.csv", name=name, key="id")


def test_a_file_without_records_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("id,x\n")
    with pytest.raises(DataFileError, match="the file contains no records to examine"):
        infer_portfolio(tmp_path / "data.csv", name="book", key="id")


def test_the_sample_of_a_parquet_file_is_spread_over_its_row_groups(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": np.arange(120_000), "x": np.arange(120_000) // 1000})
    frame.to_parquet(tmp_path / "data.parquet", row_group_size=10_000)
    text = infer_portfolio(tmp_path / "data.parquet", name="book", key="id")
    assert "50,000 of 120,000 rows were examined" in text
    assert "[fields.x]  # numbers from 0 to 114," in text


def test_the_simulated_book_gets_its_three_histories_back(tmp_path: Path) -> None:
    frame = simulate_customers(5000).drop(columns=[TRUE_OUTCOME, TRUE_PROBABILITY])
    frame.to_csv(tmp_path / "data.csv", index=False)
    text = infer_portfolio(tmp_path / "data.csv", name="book", key="customer_id", target=TARGET)
    histories = parse_portfolio(text, "proposed").histories
    assert [(one.name, one.columns[0], one.columns[-1]) for one in histories] == [
        ("balance", "balance_01", "balance_12"),
        ("payment", "payment_01", "payment_12"),
        ("days_past_due", "days_past_due_01", "days_past_due_12"),
    ]


def test_a_column_that_alone_decides_the_target_is_warned_of_and_others_are_not(tmp_path: Path) -> None:
    target = np.arange(ROWS) % 4 == 0
    columns = {
        "bad": target.astype(int),
        "recovered": np.where(target, 100.0, 0.0),
        "closed": np.where(target, "x", None),
    }
    text = infer(tmp_path, columns | {"age": np.arange(ROWS) % 50}, target="bad")
    warned = [line for line in text.splitlines() if line.startswith("# WARNING: ")]
    assert len(warned) == 2
    assert "recovered nearly decides the outcome by itself: ROC AUC 1.0000" in warned[0]
    assert "closed is missing exactly where the outcome is 0" in warned[1]
