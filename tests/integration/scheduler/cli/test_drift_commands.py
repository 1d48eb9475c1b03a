"""`tidemark drift show` and what is done about nights that are not to be used, through the commands."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from db.connections.engine import opened_engine, writing
from db.ledger.job_lifecycle import cancel_job, find_follow_up
from db.ledger.shard_leases import claim_shard
from db.monitoring.drift_reports import DriftReport, insert_report
from db.monitoring.unusable_nights import mark_unusable
from db.results.shard_results import complete_scored_shard
from db.schema.states import Verdict
from scheduler.cli.main import main
from scheduler.loop.shard_planning import plan_job
from scheduler.requests.job_submission import Request, submit_scoring
from tests.building import BOOK, MODEL, add_model, claim, load_book, result_for, start_scoring

FIGURES = {
    "psi_corrected": 0.31,
    "psi_interval": [0.25, 0.37],
    "shift": -0.5,
    "expected": {"bad_rate": 0.1, "auc": 0.7},
    "reasons": ["PSI 0.310 in one night"],
}


@pytest.fixture
def book(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """A book with one drifted night, and one whose pipeline was broken."""
    monkeypatch.setenv("TIDEMARK_DATABASE_URL", sqlite_url)
    with opened_engine(sqlite_url) as engine:
        load_book(engine, range(20))
        add_model(engine)
        for verdict, figures in ((Verdict.DRIFTED, FIGURES), (Verdict.BROKEN_PIPELINE, {"reasons": ["no feed"]})):
            job = start_scoring(engine, shard_rows=20)
            claimed = claim_shard(engine, "scoring", worker="w", lease_seconds=60)
            assert claimed is not None
            complete_scored_shard(engine, claimed, result_for(engine, claimed), worker="w")
            with writing(engine) as connection:
                insert_report(connection, DriftReport(BOOK, job.id, MODEL, verdict, figures))
                if verdict is Verdict.BROKEN_PIPELINE:
                    mark_unusable(connection, job.id, "no feed", who="monitor")
        yield engine


def run(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    assert main([*arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_the_nights_are_told_oldest_first_and_drawn(
    book: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "nights.png"
    document = run(capsys, "drift", "show", BOOK, "--out", str(picture))
    assert [night["verdict"] for night in document["nights"]] == ["drifted", "broken_pipeline"]
    assert document["nights"][0]["figures"]["psi_corrected"] == 0.31
    assert document["nights"][1]["unusable_reason"] == "no feed"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_nights_are_shown_with_bars_and_reasons(book: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drift", "show", BOOK]) == 0
    shown = capsys.readouterr().out
    assert "███" in shown
    assert "PSI 0.310 in one night" in shown


def test_a_picture_needs_a_name_that_ends_in_png(
    book: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = run(capsys, "drift", "show", BOOK, "--out", str(tmp_path / "nights.gif"), code=64)["error"]
    assert "ending in .png" in error["message"]


def test_scores_that_are_not_to_be_used_are_exported_only_when_asked_for(
    book: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nights = run(capsys, "drift", "show", BOOK)["nights"]
    broken, path = str(nights[1]["job"]), str(tmp_path / "scores.csv")
    refused = run(capsys, "scores", "export", broken, path, code=8)["error"]["message"]
    assert "marked as unusable" in refused
    assert "no feed" in refused
    assert run(capsys, "scores", "export", broken, path, "--unusable")["scores"] == 20


def test_scoring_with_a_broken_pipeline_has_an_exit_code_and_a_next_step_that_works(
    book: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TIDEMARK_REDIS_URL", "redis://127.0.0.1:1/0")  # the job has ended: nothing needs to run
    job_id = submit_scoring(book, BOOK, Request("test", "tonight"))
    plan_job(book, job_id, shard_rows=20)
    claimed = claim(book)
    complete_scored_shard(book, claimed, result_for(book, claimed), worker="w")
    with writing(book) as connection:
        mark_unusable(connection, job_id, "amount is missing in 19.0%", who="monitor")
    monitoring = find_follow_up(book, job_id)
    assert monitoring is not None
    cancel_job(book, monitoring.id, who="test")  # nobody works on it here, and the command waits for its end
    assert main(["score", BOOK, "--idempotency-key", "tonight"]) == 8
    output = capsys.readouterr().err
    assert "unusable: amount is missing in 19.0%" in output
    following = next(line for line in output.splitlines() if line.startswith("Next: "))
    shown = following.partition("To export the scores anyway: tidemark ")[2].split()
    assert main([*shown[:3], str(tmp_path / shown[3]), *shown[4:]]) == 0
    assert "tidemark drift show book" in following
    assert main(["drift", "show", BOOK]) == 0


def test_one_command_decides_about_a_night(book: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    nights = run(capsys, "drift", "show", BOOK)["nights"]
    drifted, broken = str(nights[0]["job"]), str(nights[1]["job"])
    decided = run(capsys, "drift", "decide", broken, "--honest", "--why", "the new form")
    assert (decided["decision"], decided["verdict"], decided["unusable_reason"]) == ("honest", "watch", None)
    decided = run(capsys, "drift", "decide", drifted, "--broken", "--why", "amounts in cents")
    assert (decided["verdict"], decided["unusable_reason"]) == ("broken_pipeline", "amounts in cents")
    assert not run(capsys, "drift", "decide", drifted, "--broken")["changed"]
    assert main(["drift", "show", BOOK]) == 0


def test_a_decision_about_a_night_says_which_one(book: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    assert "expected --broken or --honest" in run(capsys, "drift", "decide", "1", code=64)["error"]["message"]
    assert "job 99 does not exist" in run(capsys, "drift", "decide", "99", "--broken", code=64)["error"]["message"]
