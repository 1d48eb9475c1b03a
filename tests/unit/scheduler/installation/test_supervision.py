"""Supervision with real processes: what dies is started again, what another runs is left alone."""

import os
import sys
from pathlib import Path

import pytest

from scheduler.installation.supervision import ChildProcess, Supervisor
from tests.waiting import wait_for

_SLEEPER = (sys.executable, "-c", "import threading; threading.Event().wait()")


def _part(folder: Path, name: str = "sleeper", command: tuple[str, ...] = _SLEEPER) -> ChildProcess:
    return ChildProcess(name, command, dict(os.environ), folder / f"{name}.log")


def test_a_process_that_dies_is_started_again(tmp_path: Path) -> None:
    part, said = _part(tmp_path), list[str]()
    supervisor = Supervisor([part], tmp_path / "run", on_event=said.append)
    supervisor.tend()
    first = part.pid
    os.kill(first or 0, 9)
    wait_for(lambda: not part.is_running(), 10, "the process to end")
    wait_for(lambda: supervisor.tend() or part.is_running(), 10, "a new process")
    assert part.pid != first
    assert said == ["sleeper exited and is being restarted"]
    supervisor.stop()
    assert not part.is_running()


def test_a_part_that_another_supervisor_runs_is_left_to_it_until_it_stops(tmp_path: Path) -> None:
    ours, theirs = _part(tmp_path), _part(tmp_path)
    first = Supervisor([theirs], tmp_path / "run", on_event=print)
    second = Supervisor([ours], tmp_path / "run", on_event=print)
    first.tend()
    second.tend()
    assert (theirs.is_running(), ours.is_running()) == (True, False)
    first.stop()
    second.tend()
    assert ours.is_running()
    second.stop()


def test_a_process_that_ends_at_once_is_not_started_in_a_hurry(tmp_path: Path) -> None:
    part = _part(tmp_path, command=(sys.executable, "-c", "print('started')"))
    supervisor = Supervisor([part], tmp_path / "run", on_event=lambda _text: None)
    for _ in range(20):
        supervisor.tend()
    wait_for(lambda: not part.is_running(), 10, "the process to end")
    supervisor.tend()
    assert part.log_path.read_text().count("started") <= 1
    supervisor.stop()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
def test_a_process_that_does_not_stop_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scheduler.installation.supervision.STOP_SECONDS", 0.2)
    stubborn = (
        "import signal, threading; signal.signal(15, signal.SIG_IGN); print('up', flush=True); threading.Event().wait()"
    )
    part = _part(tmp_path, command=(sys.executable, "-c", stubborn))
    part.start()
    wait_for(lambda: "up" in part.log_path.read_text(), 10, "the process to be up")
    part.stop()
    assert not part.is_running()
