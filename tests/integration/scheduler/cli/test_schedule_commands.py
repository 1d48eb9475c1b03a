"""`tidemark schedule`: what each command prints, its JSON, its exit code, and one clear line for each mistake."""

import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, update

from db.connections.engine import writing
from db.schema.schedule_tables import schedules
from scheduler.cli.main import main
from scheduler.loop.schedule_firing import fire_due_schedules
from tests.building import BOOK, add_model, load_book

NIGHTLY = ("--cron", "0 2 * * *", "--tz", "Asia/Shanghai")


@dataclass
class Terminal:
    """Runs `tidemark schedule` in this process and keeps what it prints."""

    capture: pytest.CaptureFixture[str]

    def run(self, *arguments: str, expect: int = 0) -> tuple[str, str]:
        """Run one command; return standard output and standard error."""
        assert main(["schedule", *arguments]) == expect
        printed = self.capture.readouterr()
        return printed.out, printed.err

    def json(self, *arguments: str, expect: int = 0) -> dict[str, Any]:
        """Run one command with --json and return its object."""
        return json.loads(self.run(*arguments, "--json", expect=expect)[0])


@pytest.fixture
def terminal(
    engine: Engine,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Terminal:
    """A terminal on a database with a portfolio and its champion."""
    load_book(engine, [1, 2])
    add_model(engine)
    monkeypatch.setenv("TIDEMARK_DATABASE_URL", database_url)
    monkeypatch.setenv("TIDEMARK_HOME", str(tmp_path / "home"))
    return Terminal(capsys)


def test_add_tells_the_schedule_and_its_next_due_time(terminal: Terminal) -> None:
    document, _ = terminal.run("add", BOOK, *NIGHTLY)
    assert document.startswith('Schedule 1 added: book, "0 2 * * *" in Asia/Shanghai (At 02:00 every day), next due ')
    assert document.endswith("02:00 CST.\n")


def test_add_gives_json_with_the_policies(terminal: Terminal) -> None:
    added = terminal.json("add", BOOK, *NIGHTLY, "--catch-up", "all", "--overlap", "queue")
    expected = {"schedule": 1, "catch_up": "all", "overlap": "queue", "state": "active", "outcome": "added"}
    assert added.items() >= expected.items()
    assert added["next_due_at"].endswith("T18:00:00+00:00")


def test_list_tells_next_and_last_run_and_the_missed(terminal: Terminal, engine: Engine) -> None:
    terminal.run("add", BOOK, *NIGHTLY)
    with writing(engine) as connection:
        due = connection.execute(schedules.select()).one().next_due_at
        connection.execute(update(schedules).values(next_due_at=due - timedelta(days=3)))
    [job_id] = fire_due_schedules(engine, grace_seconds=0)
    [listed] = terminal.json("list")["schedules"]
    assert {name: listed[name] for name in ("missed", "skipped", "last_job", "last_job_state")} == {
        "missed": 2, "skipped": 0, "last_job": job_id, "last_job_state": "queued",
    }  # fmt: skip
    assert listed["last_missed_at"] < listed["last_due_at"] < listed["next_due_at"]
    assert "02:00 CST" in terminal.run("list")[0]
    assert [run["cause"] for run in terminal.json("show", BOOK)["runs"]] == [None, "downtime", "downtime"]
    assert "catch-up policy: latest" in terminal.run("show", "1")[0]


def test_pause_resume_and_remove_tell_the_state(terminal: Terminal) -> None:
    terminal.run("add", BOOK, *NIGHTLY)
    assert terminal.json("pause", BOOK, "--why", "holidays")["state"] == "paused"
    assert terminal.run("resume", "1")[0].startswith("Schedule 1 is active: book")
    assert terminal.run("remove", BOOK)[0].startswith("Schedule 1 is removed")
    assert terminal.json("list")["schedules"] == []
    assert len(terminal.json("list", "--all")["schedules"]) == 1


def test_run_now_tells_the_job_and_a_second_one_waits_for_it(terminal: Terminal) -> None:
    terminal.run("add", BOOK, *NIGHTLY)
    assert terminal.json("run-now", BOOK)["state"] == "queued"
    _, complaint = terminal.run("run-now", BOOK, expect=64)
    assert complaint == "tidemark: schedule 1 cannot run now: job 1 of this schedule is not finished\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("add", BOOK, "--cron", "61 2 * * *"), r"(bad minute); expected five fields"),
        (("add", BOOK, "--cron", "0 2 * * *", "--tz", "Asia/Shangai"), "nearest: Asia/Shanghai"),
        (("add", "boook", *NIGHTLY), "There are: book"),
        (("add", BOOK, *NIGHTLY, "--catch-up", "some"), "'latest', 'all', 'none'"),
        (("pause", "bok"), "schedule bok does not exist"),
    ],
)
def test_a_mistake_is_one_clear_line_and_exit_code_64(
    terminal: Terminal, arguments: tuple[str, ...], complaint: str
) -> None:
    document, wrong = terminal.run(*arguments, expect=64)
    assert document == ""
    assert complaint in wrong
    assert wrong.count("\n") == 1
    assert terminal.json(*arguments, expect=64)["error"]["exit_code"] == 64


def test_a_portfolio_without_a_champion_may_be_scheduled_and_says_so(terminal: Terminal, engine: Engine) -> None:
    load_book(engine, [1], name="new_book", source="new_book")
    _, said = terminal.run("add", "new_book", *NIGHTLY)
    assert "no champion yet" in said
    assert terminal.run("run-now", "new_book", expect=64)[1].endswith("train one with: tidemark train new_book\n")


def test_a_schedule_that_cannot_be_read_is_still_listed_and_removed(terminal: Terminal, engine: Engine) -> None:
    terminal.run("add", BOOK, *NIGHTLY)
    with writing(engine) as connection:
        connection.execute(update(schedules).values(time_zone="Mars/Olympus"))
    assert "UTC" in terminal.run("list")[0]
    assert terminal.run("remove", "1")[0].startswith('Schedule 1 is removed: book, "0 2 * * *" in Mars/Olympus (cannot')
