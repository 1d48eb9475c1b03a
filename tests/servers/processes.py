"""What every server for tests needs: a folder, a port, a user that is not root, and an end."""

import atexit
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

STOP_SECONDS = 20.0
UNPRIVILEGED_USER = "nobody"
_LONGEST_FOLDER = 60  # a socket's path, folder included, may have about 107 bytes
_OTHERS_MAY_ENTER = 0o001


class ServerError(Exception):
    """A server for tests does not start, or does not do what it was told."""


def make_folder(purpose: str, *, owner: int | None = None) -> Path:
    """Make a private folder with a short path, one that `owner` can reach, gone at the end of this process."""
    parent = Path(tempfile.gettempdir()).resolve()
    if len(os.fsencode(parent)) > _LONGEST_FOLDER or not (owner is None or others_can_enter(parent)):
        parent = Path("/tmp")
    folder = Path(tempfile.mkdtemp(prefix=f"tm-{purpose}-", dir=parent))
    at_end(lambda: shutil.rmtree(folder, ignore_errors=True))
    if owner is not None:
        os.chown(folder, owner, -1)
    return folder


def others_can_enter(folder: Path) -> bool:
    """Whether a user who owns none of it can walk down to this folder."""
    return all(step.stat().st_mode & _OTHERS_MAY_ENTER for step in (folder, *folder.parents))


def free_port() -> int:
    """A port that was free a moment ago; whoever binds it must be ready to find it taken."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def unprivileged() -> dict[str, Any]:
    """Arguments that make `subprocess` leave root; PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    return {"user": UNPRIVILEGED_USER, "group": pwd.getpwnam(UNPRIVILEGED_USER).pw_gid, "extra_groups": []}


def unprivileged_uid() -> int | None:
    """The user id behind `unprivileged`, none where this process is not root."""
    return pwd.getpwnam(UNPRIVILEGED_USER).pw_uid if os.geteuid() == 0 else None


def end_process(process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> None:
    """Send a signal and wait until the process is gone; kill it when that takes too long."""
    with suppress(ProcessLookupError):
        process.send_signal(number)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def at_end(clean: Callable[[], None]) -> None:
    """Run `clean` when this process ends, but not when a child forked from it does."""
    owner = os.getpid()
    atexit.register(lambda: clean() if os.getpid() == owner else None)
