"""A real API process, `python -m scheduler.server.process`, and raw connections to it."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import Engine

from db.access.api_keys import KeyRequest, create_key
from db.schema.states import KeyRole
from tests.hostile.probe import probing
from tests.servers.processes import end_process
from tests.waiting import wait_for

QUICK_SECONDS = 0.2
START_SECONDS = 120  # a deadline, not a speed


class ApiProcess:
    """A running API process."""

    def __init__(self, engine: Engine, url: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.engine = engine
        self.url = url
        self.process = process
        self.log = log
        parts = urlsplit(url)
        self.address = (str(parts.hostname), int(parts.port or 0))

    def key(self, role: KeyRole = KeyRole.ADMIN) -> str:
        """Make a key and return its text."""
        return create_key(self.engine, KeyRequest("test", role), who="test")[0]

    def connect(self, seconds: float = 30) -> socket.socket:
        """Return a plain connection."""
        return socket.create_connection(self.address, timeout=seconds)

    def idle_seconds(self, *paths: str, key: str = "") -> float:
        """Return within what the answers come while nothing else is asked: what the machine is like just now."""
        with probing(self.url, *paths, key=key) as seen:
            pass
        return max(seen.quantile(path, 0.99) for path in paths)


def quick(idle: float, seconds: float = QUICK_SECONDS) -> float:
    """Return the limit for an answer: the one that was promised, on a machine that is busy with other things more."""
    return max(seconds, 4 * idle)


def head(path: str, *lines: str, method: str = "POST") -> bytes:
    """Return the head of a request."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: tidemark", *lines, "", ""]).encode()


def read_all(connection: socket.socket) -> bytes:
    """Return everything that comes until the other side closes."""
    found = b""
    while piece := _receive(connection):
        found += piece
    return found


def _receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except ConnectionResetError:
        return b""


@contextmanager
def api_process(engine: Engine, database_url: str, folder: Path, **settings: object) -> Iterator[ApiProcess]:
    """Run an API process until the block ends."""
    home, log = folder / "api-home", folder / "api.log"
    own = {"TIDEMARK_HOME": str(home), "TIDEMARK_DATABASE_URL": database_url, "TIDEMARK_API_PORT": "0"}
    own |= {f"TIDEMARK_{name}".upper(): str(value) for name, value in settings.items()}
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TIDEMARK_")}
    with log.open("wb") as written:
        command = [sys.executable, "-m", "scheduler.server.process"]
        process = subprocess.Popen(command, env=clean | own, stdout=written, stderr=written)
    try:
        url = wait_for(lambda: _url_of(process, home), START_SECONDS, "the API to answer")
        yield ApiProcess(engine, url, process, log)
    finally:
        end_process(process)


def _url_of(process: subprocess.Popen[bytes], home: Path) -> str | None:
    assert process.poll() is None, "the API process ended"
    try:
        return str(json.loads((home / "run" / "api.json").read_text())["url"])
    except (OSError, ValueError):
        return None
