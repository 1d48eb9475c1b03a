"""`tidemark drift compare`: two files of scores, what it says of them, and of files that are wrong."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from scheduler.cli.main import main

KEYS = (
    "psi", "psi_corrected", "psi_interval", "ks", "wasserstein", "jensen_shannon", "n_reference", "n_current",
    "unscorable_reference", "unscorable_current", "verdict",
)  # fmt: skip


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A reference of 3,000 scores in CSV, and a night of 2,000 that moved, in Parquet, 100 of them without a score."""
    random = np.random.default_rng(5)
    reference, night = tmp_path / "reference.csv", tmp_path / "night.parquet"
    pd.DataFrame({"score": random.normal(600, 40, 3000).round()}).to_csv(reference, index=False)
    scores = random.normal(575, 40, 2000).round()
    scores[:100] = np.nan
    pd.DataFrame({"record_key": np.arange(2000), "score": scores}).to_parquet(night)
    return reference, night


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path, code: int = 0) -> dict[str, Any]:
    assert main(["drift", "compare", *map(str, arguments), "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_the_figures_have_the_agreed_names(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    found = run(capsys, *files)
    assert [name for name in KEYS if name not in found] == []
    assert (found["n_reference"], found["n_current"], found["unscorable_current"]) == (3000, 1900, 100)
    low, high = found["psi_interval"]
    assert low < found["psi_corrected"] < high
    assert found["verdict"] == "drifted"


def test_an_empty_line_of_a_file_of_scores_alone_is_a_record_without_a_score(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("score\n0.1\n\n0.2\nNaN\n0.3\n")
    found = run(capsys, path, path)
    assert (found["n_reference"], found["unscorable_reference"], found["verdict"]) == (3, 2, "insufficient")


def test_a_night_without_any_score_is_insufficient_and_has_no_figures(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty.csv"
    empty.write_text("score\n" + '""\n' * 300)
    found = run(capsys, files[0], empty)
    assert (found["verdict"], found["psi"], found["n_current"], found["unscorable_current"]) == (
        "insufficient", None, 0, 300,
    )  # fmt: skip


def test_probabilities_promise_an_auc_and_a_bad_rate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "p.csv"
    pd.DataFrame({"score": np.random.default_rng(1).beta(2, 8, 500)}).to_csv(path, index=False)
    found = run(capsys, path, path)
    assert 0.5 < found["expected_auc_current"] < 1
    assert found["expected_bad_rate_current"] == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "the file does not exist"),
        ("points\n600\n", "lacks the column score"),
        ("score\n600\nabc\n", "record 2 in column score is 'abc'; expected a number or an empty value"),
        ("score\n", "contains no records"),
    ],
)
def test_a_wrong_file_is_told_with_its_name_and_what_was_expected(
    content: str | None, expected: str, files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "wrong.csv"
    if content is not None:
        path.write_text(content)
    message = run(capsys, files[0], path, code=64)["error"]["message"]
    assert expected in message
    assert str(path) in message
