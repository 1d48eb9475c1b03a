"""How much memory a process says it holds."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from worker.contract.process_memory import held_bytes

_MEGABYTE = 1 << 20


def write_process(proc: Path, pid: int, kilobytes: int, children: str = "") -> None:
    tasks = proc / str(pid) / "task" / str(pid)
    tasks.mkdir(parents=True)
    (tasks / "children").write_text(children)
    (proc / str(pid) / "smaps_rollup").write_text(f"00-ff ---p [rollup]\nRss: 9 kB\nPss: {kilobytes:>8} kB\n")


def test_a_process_counts_with_everything_below_it(tmp_path: Path) -> None:
    write_process(tmp_path, 1, 10, "2 3 ")
    write_process(tmp_path, 2, 5, "4")
    write_process(tmp_path, 4, 2)
    assert held_bytes(1, tmp_path) == 17 * 1024  # process 3 has ended meanwhile


def test_where_the_system_does_not_tell_nothing_is_said(tmp_path: Path) -> None:
    assert held_bytes(1, tmp_path) is None


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux' /proc")
def test_a_child_s_memory_is_seen() -> None:
    code = f"held = b'x' * {64 * _MEGABYTE}; print('ready', flush=True); input()"
    before = held_bytes(os.getpid()) or 0
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        during = held_bytes(os.getpid()) or 0
        child.kill()
    assert during - before > 60 * _MEGABYTE
