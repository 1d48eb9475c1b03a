"""Keeps child processes alive: starts them, restarts them when they die, stops them in order."""

import os
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from logging import getLogger
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout

from db.connections.private_files import make_private_folder, open_private_log

logger = getLogger(__name__)

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
HEALTHY_AFTER_SECONDS = 60.0  # a process that lived this long starts again at once
STOP_SECONDS = 20.0


class Part(Protocol):
    """One part of the installation on this machine: a process of ours, or the embedded Redis."""

    name: str

    def start(self) -> None:
        """Start it."""
        ...

    def is_running(self) -> bool:
        """Whether it lives."""
        ...

    def ask_to_stop(self) -> None:
        """Begin to stop, without waiting."""
        ...

    def stop(self) -> None:
        """Stop it, and wait until it is gone."""
        ...


@dataclass
class ChildProcess:
    """A process of this installation, its output in a log file."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    log_path: Path
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it in a group of its own: Ctrl-C at the terminal reaches the supervisor alone."""
        with open_private_log(self.log_path) as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(self.environment),
                start_new_session=True,
            )

    def is_running(self) -> bool:
        """Whether it lives."""
        return self._process is not None and self._process.poll() is None

    def ask_to_stop(self) -> None:
        """Send SIGTERM."""
        if self._process is not None and self.is_running():
            self._process.terminate()

    def stop(self) -> None:
        """Send SIGTERM, and SIGKILL to its whole group when that does not help in time."""
        if self._process is None:
            return
        self.ask_to_stop()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            logger.warning("%s did not stop, so it is killed.", self.name)
            os.killpg(self._process.pid, 9)
            self._process.wait()

    @property
    def pid(self) -> int | None:
        """Its process id."""
        return None if self._process is None else self._process.pid


@dataclass
class _Watched:
    part: Part
    lock: FileLock
    is_ours: bool = False
    started_at: float = 0.0
    pause: float = FIRST_PAUSE_SECONDS
    due: float = 0.0
    restarts: int = field(default=0)


class Supervisor:
    """Runs the parts that no other process of this installation runs, and runs them again when they die.

    Each part has a lock file; its holder is responsible for the part. So two commands at once share one set of
    processes, and when the first ends the second takes over at its next `tend`.
    """

    def __init__(self, parts: list[Part], lock_folder: Path, *, on_event: Callable[[str], None]) -> None:
        make_private_folder(lock_folder)
        self._watched = [_Watched(part, FileLock(lock_folder / f"{part.name}.lock")) for part in parts]
        self._on_event = on_event

    def tend(self) -> None:
        """Start what is not running; call it about once a second."""
        for one in self._watched:
            if self._is_answerable(one) and not one.part.is_running():
                self._start(one)

    def stop(self) -> None:
        """Stop what this supervisor started, all at once, and wait; the last part in the list goes first."""
        ours = [one for one in reversed(self._watched) if one.is_ours]
        processes = [one for one in ours if isinstance(one.part, ChildProcess)]
        for one in processes:
            one.part.ask_to_stop()
        for one in ours:
            one.part.stop()
            one.lock.release()
            one.is_ours = False

    def owned(self) -> list[Part]:
        """The parts that this supervisor is answerable for."""
        return [one.part for one in self._watched if one.is_ours]

    def _is_answerable(self, one: _Watched) -> bool:
        if not one.is_ours:
            try:
                one.lock.acquire(blocking=False)
            except Timeout:
                return False
            one.is_ours = True
        return True

    def _start(self, one: _Watched) -> None:
        now = time.monotonic()
        if now < one.due:
            return
        if one.started_at and now - one.started_at > HEALTHY_AFTER_SECONDS:
            one.pause = FIRST_PAUSE_SECONDS
        if one.started_at:
            one.restarts += 1
            self._on_event(f"{one.part.name} exited and is being restarted")
        one.part.start()
        one.started_at = now
        one.due = now + one.pause
        one.pause = min(one.pause * 2, LONGEST_PAUSE_SECONDS)
