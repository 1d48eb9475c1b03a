"""A file with decimal commas, and one whose keys stand twice: the load says so, and training names the true cause."""

import json
from pathlib import Path
from typing import Any

import pytest

from db.connections.engine import opened_engine
from db.ledger.job_lifecycle import get_job
from db.portfolios.catalog import save_portfolio
from db.schema.states import JobState
from scheduler.cli.main import main
from scheduler.loop.shard_planning import plan_queued_jobs
from scheduler.requests.job_submission import Request, submit_training
from tests.building import BOOK, book_definition
from worker.runtime.context import WorkerContext
from worker.runtime.settings import WorkerSettings
from worker.training.next_job import train_next_job

RECORDS = 120


@pytest.fixture
def url(any_database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    monkeypatch.setenv("TIDEMARK_DATABASE_URL", any_database_url)
    monkeypatch.setenv("TIDEMARK_HOME", str(tmp_path / "home"))
    with opened_engine(any_database_url) as engine:
        save_portfolio(engine, book_definition(), who="test")
    return any_database_url


def write(folder: Path, number: str, *, repeated: int = 0) -> str:
    keys = [*range(RECORDS), *range(repeated)]
    rows = [f"{key};{key % 2};{number.format(key)};{'red' if key % 3 else 'blue'}" for key in keys]
    path = folder / "book.csv"
    path.write_text("id;bad;amount;colour\n" + "\n".join(rows) + "\n")
    return str(path)


def load(capsys: pytest.CaptureFixture[str], path: str) -> tuple[dict[str, Any], str]:
    assert main(["load", BOOK, path, "--json"]) == 0
    output = capsys.readouterr()
    return json.loads(output.out), output.err


def test_a_load_tells_decimal_commas_by_column_with_examples(url, tmp_path, capsys):
    found, said = load(capsys, write(tmp_path, "1.{0},5"))
    assert found["unreadable"] == {"amount": {"values": RECORDS, "examples": ["1.0,5", "1.1,5", "1.2,5"]}}
    assert "amount: 120 values cannot be read as a number, such as '1.0,5'" in said
    assert "120 of 120 records: write numbers with a decimal point" in said


def test_a_load_tells_repeated_keys_with_examples(url, tmp_path, capsys):
    found, said = load(capsys, write(tmp_path, "{0}.5", repeated=7))
    assert (found["repeated_keys"], found["unreadable"]) == (7, {})
    assert "7 keys occurred more than once, such as 0, 1, 2" in said


def test_a_clean_load_says_nothing_of_it(url, tmp_path, capsys):
    found, said = load(capsys, write(tmp_path, "{0}.5"))
    assert (found["repeated_keys"], found["unreadable"]) == (0, {})
    assert "cannot be read" not in said
    assert "more than once" not in said


def test_training_names_the_columns_that_cannot_be_read(url, tmp_path, capsys):
    load(capsys, write(tmp_path, "{0},5"))
    with opened_engine(url) as engine:
        job_id = submit_training(engine, BOOK, Request("test"), options={})
        plan_queued_jobs(engine)
        settings = WorkerSettings(home=tmp_path / "home")
        assert train_next_job(WorkerContext(engine, settings, "host:7"))
        job = get_job(engine, job_id)
    assert job.state is JobState.FAILED
    assert job.detail is not None
    assert "120 records with text in place of a number, in amount (120)" in job.detail
    assert "decimal commas, where a decimal point is expected" in job.detail
    assert "mend these columns" in job.detail
    assert "load more records whose target is known" not in job.detail
