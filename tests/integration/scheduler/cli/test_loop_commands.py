"""`tidemark loop show`: for people, as JSON, and as one file."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from db.connections.engine import opened_engine
from scheduler.cli.main import main
from tests.building import BOOK
from tests.loop_story import tell_story


@pytest.fixture
def story(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """A portfolio with a history, in the database that the commands use."""
    monkeypatch.setenv("TIDEMARK_DATABASE_URL", sqlite_url)
    with opened_engine(sqlite_url) as engine:
        tell_story(engine)
        yield engine


@pytest.mark.usefixtures("story")
def test_people_read_tables_and_the_next_step_last(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["loop", "show", BOOK]) == 0
    shown = capsys.readouterr().out
    for title in ("Models, oldest first", "What each retraining brought and cost", "What was refused, and why"):
        assert title in shown
    assert "Next look: after 1 more night, expected 6 January 2026." in shown.splitlines()[-2:][0]


@pytest.mark.usefixtures("story")
def test_json_has_the_newest_nights_and_says_that_there_are_more(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["loop", "show", BOOK, "--json", "--limit", "2"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [one["date"] for one in document["nights"]] == ["2026-01-05", "2026-01-04"]
    assert (document["totals"]["nights"], document["next_cursor"]) == (5, str(document["nights"][-1]["job"]))
    assert document["next"]["expected_date"] == "2026-01-06"


@pytest.mark.usefixtures("story")
def test_the_file_holds_everything_and_loads_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "loop.html"
    assert main(["loop", "show", BOOK, "--limit", "1", "--out", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["file"] == str(file)
    text = file.read_text(encoding="utf-8")
    assert text.lstrip().startswith("<!doctype html>")
    assert "data:image/svg+xml;base64," in text
    assert "2026-01-01" in text.partition('id="section-nights"')[2]
    assert re.findall(r'(?:href|src)="(?!data:)', text) == []
    assert "url(" not in text
    assert "@import" not in text


@pytest.mark.usefixtures("story")
@pytest.mark.parametrize(
    ("name", "said"), [("loop.pdf", "expected a file name ending in .html"), ("absent/loop.html", "does not exist")]
)
def test_a_wrong_target_is_refused_before_anything_is_written(
    name: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["loop", "show", BOOK, "--out", str(tmp_path / name), "--json"]) == 64
    assert said in json.loads(capsys.readouterr().out)["error"]["message"]
    assert not (tmp_path / name).exists()


@pytest.mark.usefixtures("story")
def test_an_unknown_portfolio_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["loop", "show", "absent", "--json"]) == 64
    assert "portfolio absent does not exist" in json.loads(capsys.readouterr().out)["error"]["message"]


def test_help_names_the_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["loop", "show", "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(option in shown for option in ("--out", "--limit", "--json", "NAME"))
