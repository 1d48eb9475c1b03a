"""A column that is known only after the outcome is noticed; honest strong columns are not, in small books neither."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from worker.gate.foreknowledge import LEAST_OUTCOMES, auc_alone, find_suspicions, roc_auc

ROWS = 2000
RANDOM = np.random.default_rng(3)
TARGET = (RANDOM.random(ROWS) < 0.2).astype(float)
DATA = Path(__file__).parents[5] / "shared" / "data"


def reasons_for(values: np.ndarray, target: np.ndarray = TARGET) -> list[str]:
    return [one.reason for one in find_suspicions([("x", values)], target)]


def test_an_amount_that_only_bad_records_have_is_suspicious_by_its_figure() -> None:
    recovered = np.where(TARGET == 1, RANDOM.lognormal(8, 1, ROWS), 0.0)
    assert reasons_for(recovered) == ["x nearly decides the outcome by itself: ROC AUC 1.0000"]


def test_a_name_or_a_middle_range_that_only_bad_records_have_is_suspicious() -> None:
    status = np.where(TARGET == 1, "written off", RANDOM.choice(["open", "closed"], ROWS)).astype(object)
    stage = np.where(TARGET == 1, 3.0, RANDOM.choice([1.0, 2.0, 4.0, 5.0], ROWS))
    assert len(reasons_for(status)) == len(reasons_for(stage)) == 1


def test_a_date_of_default_that_nobody_else_has_is_told_as_missing() -> None:
    days = np.where(TARGET == 1, RANDOM.integers(1, 300, ROWS).astype(float), np.nan)
    assert reasons_for(days) == ["x is missing exactly where the outcome is 0"]


def test_a_column_that_is_filled_with_the_outcome_is_told_though_it_says_little() -> None:
    target = np.where(np.arange(ROWS) < 500, np.nan, TARGET)
    checked = np.where(np.isnan(target), np.nan, RANDOM.normal(size=ROWS))
    assert len(reasons_for(checked, target)) == 1
    assert "100.0% of the records without an outcome" in reasons_for(checked, target)[0]
    assert reasons_for(np.where(RANDOM.random(ROWS) < 0.5, np.nan, 1.0), target) == []


@pytest.mark.parametrize("distance", [0.0, 1.0, 2.8])
def test_an_honest_column_is_not_suspicious_however_strong(distance: float) -> None:
    assert reasons_for(RANDOM.normal(size=ROWS) + distance * TARGET) == []


def test_a_small_book_is_not_accused_by_luck() -> None:
    """Normal values 2.7 apart have an AUC of 0.972; of 30 such columns in 120 records some come near 1."""
    accused = 0
    for seed in range(40):
        random = np.random.default_rng(seed)
        target = (np.arange(120) % 4 == 0).astype(float)
        columns = [(str(number), random.normal(size=120) + 2.7 * target) for number in range(30)]
        accused += bool(find_suspicions(columns, target))
    assert accused <= 4


def test_of_too_few_outcomes_nothing_is_said() -> None:
    target = np.zeros(200)
    target[: LEAST_OUTCOMES - 1] = 1
    assert reasons_for(target.copy(), target) == []


def test_a_name_of_every_record_says_nothing_of_the_others() -> None:
    keys = np.array([f"k{number}" for number in range(ROWS)], dtype=object)
    assert auc_alone(keys, TARGET) == 0.5


def test_the_area_counts_equal_scores_half() -> None:
    assert roc_auc(np.array([0.0, 1.0, 1.0, 2.0]), np.array([0.0, 0.0, 1.0, 1.0])) == 0.875


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["breast_cancer", "machine_failure", "german_credit", "home_equity_lines"])
def test_real_books_that_are_easy_are_not_accused(name: str) -> None:
    path = DATA / name / "data.parquet"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    frame = pd.read_parquet(path)
    fields = frame.drop(columns=["record_id", "split", "target"])
    columns = [
        (one, fields[one].to_numpy(float) if fields[one].dtype.kind in "iuf" else fields[one].to_numpy(object))
        for one in fields
    ]
    assert find_suspicions(columns, frame["target"].to_numpy(float)) == []
