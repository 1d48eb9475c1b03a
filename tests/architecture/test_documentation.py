"""The documentation is true where a program can tell: settings, commands, states, links, examples."""

import doctest
import importlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from pydantic_settings import BaseSettings

from db.schema.all_tables import metadata
from db.schema.states import FailureCause, JobState, JobTask, PauseCause, ShardState
from db.settings import DatabaseSettings
from scheduler.api_settings import ApiSettings
from scheduler.cli.main import app
from scheduler.portfolio_files.reader import read_portfolio_file
from scheduler.settings import SchedulerSettings
from worker.runtime.settings import WorkerSettings

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
PACKAGES = ("db", "scheduler", "transformer", "worker")


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("settings", [ApiSettings, DatabaseSettings, SchedulerSettings, WorkerSettings])
def test_every_setting_is_documented_with_its_default(settings: type[BaseSettings]) -> None:
    page = read("docs/settings.md")
    for name, field in settings.model_fields.items():
        row = re.search(rf"\| `TIDEMARK_{name.upper()}` \| ([^|]*) \|", page)
        assert row is not None, name
        if isinstance(field.default, bool):
            assert row[1] == str(field.default).lower(), name
        elif isinstance(field.default, (int, float)):
            assert float(row[1]) == field.default, name


def test_every_documented_setting_exists() -> None:
    known = {
        f"TIDEMARK_{name.upper()}"
        for one in (ApiSettings, DatabaseSettings, SchedulerSettings, WorkerSettings)
        for name in one.model_fields
    }
    values = {name for page in PAGES for name in re.findall(r"TIDEMARK_[A-Z_]+[A-Z]", page.read_text(encoding="utf-8"))}
    assert {name for name in values if not name.startswith(("TIDEMARK_TEST_", "TIDEMARK_BENCH_"))} <= known


def test_every_command_is_documented() -> None:
    page = read("docs/commands.md") + read("docs/how-to-nightly-schedule.md")
    for command in commands():
        name = command.removeprefix("schedule ") if command.startswith("schedule ") else f"tidemark {command}"
        assert name in page, command


@pytest.mark.parametrize("kind", [JobState, JobTask, ShardState, FailureCause, PauseCause])
def test_every_state_is_documented(kind: type[JobState | JobTask | ShardState | FailureCause | PauseCause]) -> None:
    page = read("docs/database.md")
    assert [state for state in kind if f"`{state}`" not in page] == []


def test_every_table_is_documented() -> None:
    page = read("docs/database.md")
    assert [name for name in metadata.tables if f"`{name}`" not in page] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_path_in_the_architecture_exists() -> None:
    named = re.findall(r"`((?:db|docs|scheduler|tests|transformer|worker)/[\w/.-]*)`", read("ARCHITECTURE.md"))
    assert len(named) > 40
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("path", sorted((ROOT / "examples" / "portfolios").glob("*.toml")), ids=lambda path: path.name)
def test_every_example_portfolio_is_valid(path: Path) -> None:
    assert read_portfolio_file(path).name == path.stem


def test_every_example_in_a_docstring_is_true() -> None:
    tried = 0
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        if ">>>" in path.read_text(encoding="utf-8"):
            module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
            found = doctest.testmod(module, extraglobs={"np": np})
            assert found.failed == 0, path
            tried += found.attempted
    assert tried > 3


def commands() -> list[str]:
    """Every command with its group, hidden ones left out."""
    found: list[str] = []

    def walk(command: Any, prefix: str) -> None:
        children = getattr(command, "commands", {})
        if not children:
            found.append(prefix.strip())
        for name, child in children.items():
            walk(child, f"{prefix} {name}")

    walk(typer.main.get_command(app), "")
    return found
