"""Every command line that the documentation shows is one that the program takes."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from docsite.reference import list_commands

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
_FENCE = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
_SHELL = {"", "console", "sh", "bash", "shell"}
_PROMPT = re.compile(r"^\s*(?:\$ )?(?:python3 run\.py )?tidemark (.*)$")


def shown_commands(page: Path) -> list[str]:
    """The command lines of a page's shell blocks, without `tidemark`, comments and continued lines."""
    found: list[str] = []
    for language, block in _FENCE.findall(page.read_text(encoding="utf-8")):
        if language in _SHELL:
            lines = block.replace("\\\n", " ").splitlines()
            found += [values[1].split("  #")[0].strip() for line in lines if (values := _PROMPT.match(line))]
    return found


def find_mistake(line: str) -> str:
    """Say what the program would refuse of a command line; nothing where it would begin to work."""
    words = shlex.split(line.partition(" > ")[0])  # where the output goes is the shell's business
    commands = list_commands()
    name = next((name for name in (" ".join(words[:2]), words[0]) if name in commands), None)
    if name is None:
        return f"no such command: {line}"
    command: Any = commands[name]
    rest = words[len(name.split()) :]
    if rest == ["--help"]:
        return ""
    try:
        command.make_context(name, rest, resilient_parsing=False).close()
    except Exception as error:  # noqa: BLE001 - whatever the parser says is the mistake
        return f"{line}: {getattr(error, 'message', error)}"
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_shown_command_is_one_that_the_program_takes(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert [mistake for line in shown_commands(page) if (mistake := find_mistake(line))] == []


def test_the_pages_show_commands_and_a_wrong_one_would_be_found() -> None:
    assert sum(len(shown_commands(page)) for page in PAGES) > 30
    assert find_mistake("score customers --no-such-option")
    assert find_mistake("scores customers")
    assert find_mistake("job show")
