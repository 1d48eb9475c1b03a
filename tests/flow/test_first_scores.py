"""The main job, end to end, through real processes: from a file to scores in a file."""

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.flow.installation import Installation

TRAINING = ("--epochs", "2")


@pytest.mark.timeout(600)  # it trains three times
def test_a_newcomer_gets_from_a_csv_to_scores_on_the_embedded_defaults(
    laptop: Installation, book_files: tuple[Path, Path]
) -> None:
    portfolio, data = map(str, book_files)
    assert laptop.json("portfolio", "add", portfolio)["outcome"] == "added"
    assert laptop.json("load", "simulated_book", data)["total"] == 3000
    trained = laptop.json("train", "simulated_book", *TRAINING, "--folds", "2")
    assert trained["folds"]["folds"] == 2
    assert sum(trained["folds"]["records"]) == trained["counts"]["labelled"]
    assert set(trained["metrics"]) >= {"roc_auc", "pr_auc", "ks", "brier", "log_loss", "accuracy"}
    assert (trained["state"], trained["promoted"]) == ("done", True)

    scored = laptop.json("score", "simulated_book")
    assert (scored["state"], scored["inputs"], scored["scored"], scored["rejected"]) == ("done", 3000, 3000, 0)
    assert scored["model_version"] == trained["model_version"]
    assert scored["verdict"] in {"stable", "watch", "drifted", "insufficient"}

    log = (laptop.folder / "home" / "logs" / "scoring-worker.log").read_text()
    assert "Shard scored: job 2, shard 0, attempt 1" in log

    laptop.run("scores", "export", str(scored["job"]), "scores.csv")
    exported = pd.read_csv(laptop.folder / "scores.csv")
    told = ["reason_1", "reason_2", "reason_3", "reason_4"]
    assert list(exported.columns) == ["record_key", "probability", "points", "band", "model_version", *told]
    assert exported["reason_1"].notna().mean() > 0.5
    assert sorted(exported["record_key"]) == [f"C{number:06d}" for number in range(1, 3001)]

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


def test_bad_records_are_told_apart_and_every_one_is_accounted_for(
    laptop: Installation, book_files: tuple[Path, Path]
) -> None:
    portfolio, data = book_files
    frame = pd.read_csv(data, dtype="str")
    frame.loc[0, "age"] = "old"
    frame.loc[1, "income"] = "-inf"
    frame.loc[2, "customer_id"] = ""
    frame.loc[3, "customer_id"] = frame.loc[4, "customer_id"]
    frame.loc[5, "employment"] = "astronaut"
    frame.to_csv(laptop.folder / "bad.csv", index=False)
    laptop.run("portfolio", "add", str(portfolio))
    laptop.run("load", "simulated_book", "bad.csv")
    laptop.run("train", "simulated_book", *TRAINING)

    scored = laptop.json("score", "simulated_book")
    assert (scored["inputs"], scored["scored"], scored["rejected"]) == (3000, 2996, 4)
    laptop.run("rejects", "export", str(scored["job"]), "rejects.csv")
    rejects = pd.read_csv(laptop.folder / "rejects.csv", keep_default_na=False)
    assert set(zip(rejects["record_key"], rejects["field"], rejects["reason"], strict=True)) == {
        ("C000001", "age", "not_a_number"),
        ("C000002", "income", "infinite"),
        ("", "customer_id", "missing_key"),
        ("C000005", "customer_id", "duplicate_key"),
    }

    text = portfolio.read_text() + "\n[rejects]\nbudget = 0.001\n"
    (laptop.folder / "strict.toml").write_text(text)
    laptop.run("portfolio", "add", "strict.toml")
    failed = laptop.json("score", "simulated_book", expect=2)
    assert (failed["state"], failed["cause"], failed["inputs"]) == ("failed", "reject_budget", 3000)
    laptop.run("scores", "export", str(failed["job"]), "failed.csv", expect=64)


def test_killing_every_worker_loses_and_doubles_nothing(cluster: Installation, book_files: tuple[Path, Path]) -> None:
    portfolio, data = map(str, book_files)
    cluster.run("portfolio", "add", portfolio)
    cluster.run("load", "simulated_book", data)
    first_up = cluster.start("up")
    cluster.json("train", "simulated_book", *TRAINING)
    expected = cluster.json("score", "simulated_book")

    job_id = cluster.json("score", "simulated_book", "--detach")["job"]
    cluster.wait_for_shards(job_id, done=5, seconds=60)
    cluster.kill_everything(first_up)
    assert cluster.json("job", "show", str(job_id))["state"] == "running"
    cluster.start("up")
    job = cluster.wait_for_job(job_id, "done", 120)
    assert (job["inputs"], job["scored"], job["rejected"]) == (3000, 3000, 0)
    assert job["digest"] == expected["digest"]
