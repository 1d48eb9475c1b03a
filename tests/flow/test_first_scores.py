"""The main job, end to end, through real processes: from a file to scores in a file."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.flow.conftest import CUSTOMERS
from tests.flow.installation import Installation

BOOK = "simulated_book"


@pytest.mark.timeout(600)  # it trains three times
def test_a_newcomer_gets_from_a_csv_to_scores_on_the_embedded_defaults(
    laptop: Installation, book_files: tuple[Path, Path]
) -> None:
    portfolio, data = map(str, book_files)
    assert laptop.json("portfolio", "add", portfolio)["outcome"] == "added"
    assert laptop.json("load", BOOK, data)["total"] == CUSTOMERS
    trained = laptop.json("train", BOOK, "--epochs", "1", "--folds", "2")
    check_that_the_training_is_described(trained)

    scored = laptop.json("score", BOOK)
    check_that_every_record_is_scored(scored, trained)
    log = (laptop.folder / "home" / "logs" / "scoring-worker.log").read_text()
    assert "Shard scored: job 2, shard 0, attempt 1" in log
    check_that_the_scores_are_exported(laptop, scored)
    assert laptop.json("job", "verify", str(scored["job"]))["ok"]

    check_that_the_model_has_a_card(laptop, trained)
    compared = laptop.json("model", "compare", trained["model_version"], trained["model_version"])
    assert compared["records"] == trained["counts"]["holdout"]
    assert compared["figures"]["roc_auc"]["difference"] == {"value": 0.0, "low": 0.0, "high": 0.0}

    (jobs,) = [one for one in laptop.json("doctor")["checks"] if one["check"] == "jobs"]
    assert jobs["found"] == "0 open; running: no scheduler, no worker", "what a command brought up it took down"


def check_that_the_training_is_described(trained: dict[str, Any]) -> None:
    assert trained["folds"]["folds"] == 2
    assert sum(trained["folds"]["records"]) == trained["counts"]["labelled"]
    assert set(trained["metrics"]) >= {"roc_auc", "pr_auc", "ks", "brier", "log_loss", "accuracy"}
    assert (trained["state"], trained["promoted"]) == ("done", True)


def check_that_every_record_is_scored(scored: dict[str, Any], trained: dict[str, Any]) -> None:
    assert scored["state"] == "done"
    assert (scored["inputs"], scored["scored"], scored["rejected"]) == (CUSTOMERS, CUSTOMERS, 0)
    assert scored["model_version"] == trained["model_version"]
    assert scored["verdict"] in {"stable", "watch", "drifted", "insufficient"}


def check_that_the_scores_are_exported(laptop: Installation, scored: dict[str, Any]) -> None:
    laptop.run("scores", "export", str(scored["job"]), "scores.csv")
    exported = pd.read_csv(laptop.folder / "scores.csv")
    values = ["reason_1", "reason_2", "reason_3", "reason_4"]
    assert list(exported.columns) == ["record_key", "probability", "points", "band", "model_version", *values]
    assert exported["reason_1"].notna().mean() > 0.5
    assert sorted(exported["record_key"]) == [f"C{number:06d}" for number in range(1, CUSTOMERS + 1)]


def check_that_the_model_has_a_card(laptop: Installation, trained: dict[str, Any]) -> None:
    written = laptop.json("model", "report", trained["model_version"], "--out", "card")["files"]
    assert {"card.md", "card.json", "calibration.png", "distribution.png", "importance.png"} <= set(written)
    card = json.loads((laptop.folder / "card" / "card.json").read_text())
    assert card["folds"] == trained["folds"]
    assert card["held_out"]["figures"]["roc_auc"]["value"] == pytest.approx(trained["metrics"]["roc_auc"])
