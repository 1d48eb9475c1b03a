"""What is shipped for production names commands and settings that exist."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from scheduler.cli.main import app

ROOT = Path(__file__).parents[2]
ARGUMENTS = sorted((ROOT / "deploy").glob("*.args"))


def options_of(command: str) -> set[str]:
    """The options of a command. Fails where there is no such command."""
    found: Any = typer.main.get_command(app)
    found = found.commands[command]
    return {option for parameter in found.params for option in parameter.opts}


@pytest.mark.parametrize("path", ARGUMENTS, ids=lambda path: path.stem)
def test_each_unit_runs_a_command_that_exists(path: Path) -> None:
    command, *rest = path.read_text().strip().removeprefix("ARGS=").split()
    assert {word for word in rest if word.startswith("--")} <= options_of(command)


def test_each_service_of_the_compose_file_runs_a_command_that_exists() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    own = [one["command"] for one in services.values() if one["image"] == "tidemark"]
    assert len(own) == 5
    for command, *rest in own:
        assert {word for word in rest if word.startswith("--")} <= options_of(command)


def test_the_image_copies_every_package_and_runs_as_nobody_special() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert set(re.findall(r"^COPY (\w+) \1$", text, re.MULTILINE)) == {"db", "scheduler", "transformer", "worker"}
    assert re.search(r"^USER tidemark$", text, re.MULTILINE)
