"""The main job, end to end, through real processes: from a file to scores in a file."""

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.flow.conftest import CUSTOMERS
from tests.flow.installation import Installation


@pytest.mark.timeout(600)  # it trains three times
def test_a_newcomer_gets_from_a_csv_to_scores_on_the_embedded_defaults(
    laptop: Installation, book_files: tuple[Path, Path]
) -> None:
    portfolio, data = map(str, book_files)
    assert laptop.json("portfolio", "add", portfolio)["outcome"] == "added"
    assert laptop.json("load", "simulated_book", data)["total"] == CUSTOMERS
    trained = laptop.json("train", "simulated_book", "--epochs", "1", "--folds", "2")
    assert trained["folds"]["folds"] == 2
    assert sum(trained["folds"]["records"]) == trained["counts"]["labelled"]
    assert set(trained["metrics"]) >= {"roc_auc", "pr_auc", "ks", "brier", "log_loss", "accuracy"}
    assert (trained["state"], trained["promoted"]) == ("done", True)

    scored = laptop.json("score", "simulated_book")
    assert scored["state"] == "done"
    assert (scored["inputs"], scored["scored"], scored["rejected"]) == (CUSTOMERS, CUSTOMERS, 0)
    assert scored["model_version"] == trained["model_version"]
    assert scored["verdict"] in {"stable", "watch", "drifted", "insufficient"}

    log = (laptop.folder / "home" / "logs" / "scoring-worker.log").read_text()
    assert "Shard scored: job 2, shard 0, attempt 1" in log

    laptop.run("scores", "export", str(scored["job"]), "scores.csv")
    exported = pd.read_csv(laptop.folder / "scores.csv")
    values = ["reason_1", "reason_2", "reason_3", "reason_4"]
    assert list(exported.columns) == ["record_key", "probability", "points", "band", "model_version", *values]
    assert exported["reason_1"].notna().mean() > 0.5
    assert sorted(exported["record_key"]) == [f"C{number:06d}" for number in range(1, CUSTOMERS + 1)]

    again = laptop.json("score", "simulated_book", "--model", trained["model_version"], "--no-reasons")
    assert again["digest"] == scored["digest"], "reasons change no score"

    written = laptop.json("model", "report", trained["model_version"], "--out", "card")["files"]
    assert {"card.md", "card.json", "calibration.png", "distribution.png", "importance.png"} <= set(written)
    card = json.loads((laptop.folder / "card" / "card.json").read_text())
    assert card["folds"] == trained["folds"]
    assert card["held_out"]["figures"]["roc_auc"]["value"] == pytest.approx(trained["metrics"]["roc_auc"])
    compared = laptop.json("model", "compare", trained["model_version"], trained["model_version"])
    assert compared["records"] == trained["counts"]["holdout"]
    assert compared["figures"]["roc_auc"]["difference"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert laptop.json("job", "verify", str(again["job"]))["ok"]

    (jobs,) = [one for one in laptop.json("doctor")["checks"] if one["check"] == "jobs"]
    assert jobs["found"] == "0 open; running: no scheduler, no worker", "what a command brought up it took down"
