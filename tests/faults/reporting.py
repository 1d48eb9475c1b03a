"""Part of pytest: the table of the fault matrix at the end of a run, and its file after a whole run."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from benchmarks.report import write_report
from tests.faults.matrix import Entry, Matrix

EXAMPLES, WHOLE_EXAMPLES = 500, 20_000
_MATRIX = pytest.StashKey[Matrix]()
_BEGUN = pytest.StashKey[float]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that `run.py faults` gives."""
    parser.addoption("--whole-matrix", action="store_true", help="as run.py faults: more examples, and the table kept")


def pytest_configure(config: pytest.Config) -> None:
    """Begin an empty table."""
    config.stash[_MATRIX] = Matrix()
    config.stash[_BEGUN] = time.monotonic()


@pytest.fixture
def matrix(request: pytest.FixtureRequest) -> Matrix:
    """The table, told which test is running and which faults it is about."""
    found = request.config.stash[_MATRIX]
    numbers = [number for mark in request.node.iter_markers("fault") for number in mark.args]
    assert numbers, "a test of the matrix names its faults: @pytest.mark.fault(NUMBER)"
    found.test, found.faults = request.node.name, tuple(sorted(set(numbers)))
    return found


@pytest.fixture
def examples(request: pytest.FixtureRequest) -> int:
    """How many examples the state machine tries."""
    return WHOLE_EXAMPLES if request.config.getoption("--whole-matrix") else EXAMPLES


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the lines of this process over, where several share the tests."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["matrix"] = [asdict(one) for one in session.config.stash[_MATRIX].entries]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Take over the lines of a process that shared the tests."""
    lines = getattr(node, "workeroutput", {}).get("matrix", [])
    node.config.stash[_MATRIX].entries += [Entry(**line | {"faults": tuple(line["faults"])}) for line in lines]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config) -> None:
    """Print the table, and write it to a file after a whole run."""
    found = config.stash[_MATRIX]
    if not found.entries:
        return
    terminalreporter.section("fault matrix")
    for line in found.lines():
        terminalreporter.write_line(line)
    if config.getoption("--whole-matrix"):
        seconds = round(time.monotonic() - config.stash[_BEGUN], 1)
        counts = {name: len(terminalreporter.stats.get(name, [])) for name in ("passed", "failed", "error", "skipped")}
        path = write_report("fault_matrix", found.document() | {"seconds": seconds, "tests_run": counts})
        Path(path).with_suffix(".md").write_text("\n".join(found.lines()) + "\n", encoding="utf-8")
        terminalreporter.write_line(f"written to {path} and beside it as .md; exit status {exitstatus}")
