"""Runs the real `tidemark` command as a user does: as a process, with settings from the environment."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.waiting import wait_for

_COMMAND_SECONDS = 600  # a deadline, not a speed: a machine may be very busy


@dataclass
class Installation:
    """A state folder with its settings, and the processes started in it."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    on_host: tuple[str, ...] = ()  # the words that make a command run on another host
    _running: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every command."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TIDEMARK_")}
        return clean | {"TIDEMARK_HOME": str(self.folder / "home")} | self.settings

    def run(self, *arguments: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
        """Run one command to its end and check its exit code."""
        done = subprocess.run(
            [*self.on_host, sys.executable, "-m", "scheduler.cli.main", *arguments],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
        assert done.returncode == expect, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}\n{self.logs()}"
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def json(self, *arguments: str, expect: int = 0) -> dict[str, Any]:
        """Run one command with --json and return its object; nothing else may stand on standard output."""
        return json.loads(self.run(*arguments, "--json", expect=expect).stdout)

    def start(self, *arguments: str, says: Path | None = None) -> subprocess.Popen[str]:
        """Start a command that runs until it is stopped; a file may take what it says."""
        with Path(os.devnull if says is None else says).open("w") as said:
            process = subprocess.Popen(
                [*self.on_host, sys.executable, "-m", "scheduler.cli.main", *arguments],
                env=self.environment,
                cwd=self.folder,
                stdout=subprocess.PIPE if says is None else said,
                stderr=said,
                text=True,
            )
        self._running.append(process)
        return process

    def wait_for_job(self, job_id: int, state: str, seconds: float) -> dict[str, Any]:
        """Return the job's JSON once it is in this state."""

        def look() -> dict[str, Any] | None:
            job = self.json("job", "show", str(job_id))
            assert job["state"] == state or job["state"] in {"queued", "running"}, job
            return job if job["state"] == state else None

        return wait_for(look, seconds, f"job {job_id} to be {state}") or {}

    @property
    def running(self) -> list[subprocess.Popen[str]]:
        """The commands that were started and not stopped."""
        return list(self._running)

    def kill_everything(self, process: subprocess.Popen[str]) -> None:
        """Kill a running `up` with everything that it started: SIGKILL, no goodbye."""
        family = psutil.Process(process.pid).children(recursive=True)
        for member in [psutil.Process(process.pid), *family]:
            member.kill()
        process.communicate()
        psutil.wait_procs(family, timeout=10)
        self._running.remove(process)

    def logs(self) -> str:
        """The end of every log, for a test that fails."""
        files = sorted((self.folder / "home" / "logs").glob("*"))
        return "\n".join(f"--- {path.name}\n{path.read_text(errors='replace')[-1500:]}" for path in files)

    def close(self) -> None:
        """Stop what still runs."""
        for process in self._running:
            process.send_signal(signal.SIGTERM)
        for process in self._running:
            try:
                process.communicate(timeout=40)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
