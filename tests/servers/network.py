"""Hosts on one machine: network namespaces on a switch of their own, with no way to any other network."""

import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_NETWORK = "10.77.0"
END_SECONDS = 20.0
# The host's name is in the names of its workers: a namespace of its own for that as well.
_NAMED = 'hostname "$0" && exec "$@"'


class Network:
    """A switch with hosts; every namespace's name is unique, so networks do not meet."""

    def __init__(self) -> None:
        self._id = uuid.uuid4().hex[:8]
        self._hosts: list[str] = []
        self._addresses: dict[str, str] = {}
        self._servers: list[subprocess.Popen[bytes]] = []
        self._add_namespace("switch")
        self._switch("link", "add", "switch", "type", "bridge")
        self._switch("link", "set", "switch", "up")

    def add_host(self, name: str) -> str:
        """Plug a host in; return its address."""
        self._add_namespace(name)
        port = f"to-{name}"
        self._switch("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", self._namespace(name))
        self._switch("link", "set", port, "master", "switch", "up")
        self._addresses[name] = address = f"{_NETWORK}.{len(self._hosts)}"
        inside = ("ip", "-n", self._namespace(name))
        _run(*inside, "address", "add", f"{address}/24", "dev", "eth0")
        _run(*inside, "link", "set", "eth0", "up")
        return address

    def address_of(self, name: str) -> str:
        """Return a host's address."""
        return self._addresses[name]

    def on(self, name: str) -> tuple[str, ...]:
        """The words before a command that make it run on a host."""
        return ("ip", "netns", "exec", self._namespace(name), "unshare", "--uts", "sh", "-c", _NAMED, name)

    def start(self, name: str, command: Sequence[str | Path], folder: Path) -> None:
        """Start a server on a host; what it says goes to a log in the folder."""
        with (folder / f"{name}.log").open("ab") as log:
            self._servers.append(subprocess.Popen([*self.on(name), *command], stdout=log, stderr=log, cwd=folder))

    def cut(self, name: str) -> None:
        """Pull a host's cable: nothing tells anybody that it is gone."""
        self._switch("link", "set", f"to-{name}", "down")

    def kill(self, name: str) -> None:
        """Kill what runs on a host, as a power cut does; its connections stay open on the other side."""
        self.cut(name)
        for process in self._list_processes(name):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def kill_everything(self) -> None:
        """Kill what runs on the hosts."""
        for name in self._addresses:
            self.kill(name)
        for server in self._servers:
            server.wait(END_SECONDS)

    def close(self) -> None:
        """Kill what runs on the hosts, and take them away."""
        self.kill_everything()
        for name in reversed(self._hosts):
            _run("ip", "netns", "delete", self._namespace(name))

    def _namespace(self, name: str) -> str:
        return f"tidemark-{self._id}-{name}"

    def _add_namespace(self, name: str) -> None:
        _run("ip", "netns", "add", self._namespace(name))
        self._hosts.append(name)
        _run("ip", "-n", self._namespace(name), "link", "set", "lo", "up")

    def _switch(self, *words: str) -> None:
        _run("ip", "-n", self._namespace("switch"), *words)

    def _list_processes(self, name: str) -> list[int]:
        return [int(one) for one in _run("ip", "netns", "pids", self._namespace(name)).split()]


def why_no_network() -> str:
    """Say why this machine cannot hold such hosts; nothing where it can."""
    missing = [tool for tool in ("ip", "unshare", "setpriv", "hostname") if shutil.which(tool) is None]
    if missing:
        return f"network namespaces need {', '.join(missing)}"
    try:
        with open_network() as network:
            network.add_host("probe")
            _run(*network.on("probe"), "true")
    except subprocess.CalledProcessError as error:
        return f"this machine allows no network namespaces: {error.stderr.strip()}"
    return ""


@contextmanager
def open_network() -> Iterator[Network]:
    """Make a network that is gone at the end, whatever happens."""
    network = Network()
    try:
        yield network
    finally:
        network.close()


def _run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout
