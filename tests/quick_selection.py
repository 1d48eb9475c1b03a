"""Part of pytest: what `run.py test --quick` leaves out, and how every run says what it left out."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

QUICK_FOLDERS = {"unit", "integration"}  # what run.py names; the others are not even imported
_OWN_COMMANDS = {"slow": "`run.py faults`, `run.py hostile`", "older": "`run.py older`"}
# Networks are built, compiled and trained here, pages are filled and drawn: seconds for each test.
_LONG = ("tests/unit/transformer/", "tests/integration/dashboard/")
_BUT_SHORT = ("tests/unit/transformer/records/",)
_TRAINED = {"trained", "scorer", "template"}  # fixtures that train a network
_LEFT_OUT = pytest.StashKey[Counter[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that `run.py test --quick` gives."""
    parser.addoption("--quick", action="store_true", help="units and integration on SQLite, without what is long")


def pytest_configure(config: pytest.Config) -> None:
    """Nothing is left out yet."""
    config.stash[_LEFT_OUT] = Counter()


@pytest.hookimpl(trylast=True)  # after `-m` has taken its own away
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what a quick run leaves out."""
    if config.getoption("--quick"):
        left_out = [item for item in items if _why_not_quick(item)]
        items[:] = [item for item in items if not _why_not_quick(item)]
        config.hook.pytest_deselected(items=left_out)


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Count what this and the markers of pyproject.toml leave out; what the user's own options do is known."""
    for item in items:
        marked = next((name for name in _OWN_COMMANDS if item.get_closest_marker(name)), None)
        reason = marked or (_why_not_quick(item) if item.config.getoption("--quick") else None)
        if reason:
            item.config.stash[_LEFT_OUT][reason] += 1


def _why_not_quick(item: pytest.Item) -> str | None:
    fixtures: set[str] = set(getattr(item, "fixturenames", ()))
    if "postgres_server" in fixtures or "[postgresql" in item.nodeid or "-postgresql" in item.nodeid:
        return "on PostgreSQL"
    is_long = item.nodeid.startswith(_LONG) and not item.nodeid.startswith(_BUT_SHORT)
    return "long" if is_long or item.get_closest_marker("long") or fixtures & _TRAINED else None


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the counts over, where several processes share the tests: each of them has left out the same."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = dict(session.config.stash[_LEFT_OUT])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Take over the counts of a process that shared the tests."""
    node.config.stash[_LEFT_OUT] |= Counter(getattr(node, "workeroutput", {}).get("left_out", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was left out, and what runs it."""
    found = config.stash.get(_LEFT_OUT, Counter[str]())  # a run may be stopped before it begins
    for marker, command in _OWN_COMMANDS.items():
        if found[marker]:
            terminalreporter.write_line(f"left out: {found[marker]:,} tests marked {marker}: {command}")
    if config.getoption("--quick"):
        own = {reason: count for reason, count in found.items() if reason not in _OWN_COMMANDS}
        named = ", ".join(f"{count} {reason}" for reason, count in own.items())
        folders = {path.parent.name for path in Path(__file__).parent.glob("*/test_*.py")} - QUICK_FOLDERS
        others = ", ".join(f"tests/{name}" for name in sorted(folders))
        line = f"left out by --quick: {sum(own.values()):,} tests ({named}) and all of {others}"
        terminalreporter.write_line(f"{line}; `python3 run.py test` runs them")
