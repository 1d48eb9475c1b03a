"""`tidemark load --events`: what it prints, its JSON, its exit code, and one clear message for each mistake."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from db.connections.engine import opened_engine, reading, writing
from scheduler.cli.exit_codes import WRONG_USAGE
from scheduler.cli.main import main
from scheduler.installation.doctor import examine

FILE = """
name = "book"
key = "id"
target = "bad"
moment = "cut_off"
[fields.age]
kind = "numeric"
[events.bookings]
key = "customer"
at = "at"
type = "kind"
window = "30 days"
[events.bookings.fields.amount]
kind = "numeric"
"""
RECORDS = "id,bad,cut_off,age\n1,0,2026-11-24 12:00,30\n2,1,2026-11-25,40\n"
EVENTS = "customer,at,kind,amount\n1,2026-11-24,card,1.5\n2,2026-11-24T09:30:00+01:00,cash,\n"


@dataclass
class Terminal:
    """Runs commands in this process and keeps what they print."""

    folder: Path
    url: str
    capture: pytest.CaptureFixture[str]

    def run(self, *arguments: str, expect: int = 0) -> tuple[str, str]:
        """Run one command; return standard output and standard error."""
        assert main(list(arguments)) == expect
        printed = self.capture.readouterr()
        return printed.out, printed.err

    def load(self, content: str, *options: str, expect: int = 0) -> tuple[dict[str, Any], str]:
        """Load a file of events; return the JSON and what was said."""
        path = self.write("events.csv", content)
        out, err = self.run("load", "book", path, "--events", "bookings", *options, "--json", expect=expect)
        return (json.loads(out) if out else {}), err

    def write(self, name: str, content: str) -> str:
        """Write a file; return its path."""
        (self.folder / name).write_text(content, encoding="utf-8")
        return str(self.folder / name)

    def query(self, statement: str) -> list[Any]:
        """Return the rows of a query."""
        with opened_engine(self.url) as engine, reading(engine) as connection:
            return list(connection.execute(text(statement)).all())


@pytest.fixture
def terminal(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Terminal:
    """A terminal on a database with a book of two records whose portfolio has events."""
    monkeypatch.setenv("TIDEMARK_DATABASE_URL", database_url)
    monkeypatch.setenv("TIDEMARK_HOME", str(tmp_path / "home"))
    made = Terminal(tmp_path, database_url, capsys)
    added = made.run("portfolio", "add", made.write("book.toml", FILE))
    assert "tidemark load book EVENTS --events bookings" in added[1]
    made.run("load", "book", made.write("book.csv", RECORDS))
    return made


def test_the_moment_of_each_record_is_loaded_with_it(terminal: Terminal) -> None:
    assert terminal.query("SELECT cut_off FROM book ORDER BY id") == [("2026-11-24 12:00",), ("2026-11-25",)]


def test_a_file_without_the_moment_is_refused(terminal: Terminal) -> None:
    path = terminal.write("book.csv", "id,bad,age\n1,0,30\n")
    assert "cut_off (moment)" in terminal.run("load", "book", path, expect=WRONG_USAGE)[1]


def test_show_lists_the_event_tables(terminal: Terminal) -> None:
    shown, _ = terminal.run("portfolio", "show", "book")
    for part in ("bookings", "customer, at, kind", "30 days", "amount (numeric)", "moment", "cut_off"):
        assert part in shown


def test_a_load_tells_its_counts(terminal: Terminal) -> None:
    found, _ = terminal.load(EVENTS)
    assert (found["events"], found["loaded"], found["records"], found["total"]) == ("bookings", 2, 2, 2)
    assert (found["replaced"], found["late"], found["refused"]) == (0, 0, 0)
    out, _ = terminal.run("load", "book", str(terminal.folder / "events.csv"), "--events", "bookings", "--append")
    assert out == "Loaded 2 events of 2 records into bookings (0 replaced); it now holds 4.\n"


def test_present_events_need_an_answer_and_two_answers_are_refused(terminal: Terminal) -> None:
    terminal.load(EVENTS)
    assert "already holds events of 2 records of the file" in terminal.load(EVENTS, expect=WRONG_USAGE)[1]
    assert "exclude each other" in terminal.load(EVENTS, "--append", "--by-record", expect=WRONG_USAGE)[1]
    assert terminal.load(EVENTS, "--by-record")[0]["replaced"] == 2
    assert terminal.load(EVENTS, "--replace")[0]["total"] == 2


def test_rows_that_cannot_be_loaded_are_told_and_the_budget_holds(terminal: Terminal) -> None:
    good = "".join(f"1,2026-01-01 00:00:{second:02},card,1\n" for second in range(60)) * 2
    content = f"customer,at,kind,amount\n1,yesterday,card,1\n{good}"
    found, said = terminal.load(content)
    assert (found["loaded"], found["refusals"]) == (120, [{"column": "at", "reason": "unreadable_time", "rows": 1}])
    assert "row 1 'yesterday'" in said
    _, said = terminal.load(f"{content}2,,card,1\n", "--by-record", expect=WRONG_USAGE)
    assert "2 of 122 rows cannot be loaded (1.64%), the budget is 1.00%: nothing was loaded" in said


def test_a_dry_run_stores_nothing(terminal: Terminal) -> None:
    assert terminal.load(EVENTS, "--dry-run")[0]["dry_run"] is True
    assert terminal.load(EVENTS)[0]["total"] == 2


def test_an_unknown_table_is_told_with_those_that_there_are(terminal: Terminal) -> None:
    path = terminal.write("events.csv", EVENTS)
    assert "There are: bookings" in terminal.run("load", "book", path, "--events", "calls", expect=WRONG_USAGE)[1]


def test_options_of_events_are_refused_for_records(terminal: Terminal) -> None:
    path = str(terminal.folder / "book.csv")
    for option in ("--append", "--by-record", "--dry-run"):
        assert f"{option} is for events" in terminal.run("load", "book", path, option, expect=WRONG_USAGE)[1]


def test_the_doctor_names_an_event_table_without_an_index_with_the_statement(terminal: Terminal) -> None:
    terminal.load(EVENTS)
    assert [one for one in examine() if one.check == "event tables"] == []
    with opened_engine(terminal.url) as engine, writing(engine) as connection:
        connection.execute(text("DROP INDEX ix_bookings_customer_at"))
    [finding] = [one for one in examine() if one.check == "event tables"]
    assert (finding.state, "no index that begins with customer" in finding.found) == ("warn", True)
    with opened_engine(terminal.url) as engine, writing(engine) as connection:
        connection.execute(text(finding.advice))
    assert [one for one in examine() if one.check == "event tables"] == []


def test_infer_proposes_a_file_with_events_that_can_be_added_and_loaded(terminal: Terminal) -> None:
    book, events = terminal.write("book.csv", RECORDS), terminal.write("calls.csv", EVENTS.replace("customer", "id"))
    out = str(terminal.folder / "second.toml")
    given = ("portfolio", "infer", book, "--name", "second", "--key", "id", "--target", "bad", "--out", out)
    written, _ = terminal.run(*given, "--events", f"calls={events}")
    assert "1 event table" in written
    terminal.run("portfolio", "add", out)
    terminal.run("load", "second", book)
    assert "Loaded 2 events of 2 records into calls" in terminal.run("load", "second", events, "--events", "calls")[0]
    for wrong in ("calls", "calls=", "=x.csv"):
        assert "expects TABLE=FILE" in terminal.run(*given, "--force", "--events", wrong, expect=WRONG_USAGE)[1]
