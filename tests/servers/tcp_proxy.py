"""A proxy between a client and a server that goes silent, resets connections, or cuts them around a COMMIT."""

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

_CHUNK = 65_536
_POLL_SECONDS = 0.5
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, no time: close sends RST


@dataclass(eq=False)
class Pair:
    """One connection: the client's socket and ours to the server."""

    client: socket.socket
    server: socket.socket
    is_muted: bool = False

    def reset(self) -> None:
        """Break both at once, without a goodbye."""
        for one in (self.client, self.server):
            with suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            with suppress(OSError):
                one.close()


class TcpProxy:
    """Listens on a port of 127.0.0.1 and carries everything to a server's port, until it is told not to."""

    def __init__(self, port: int, *, on_request: Callable[[Pair, bytes], str] | None = None) -> None:
        """`on_request` sees what clients send and says "pass", "cut" (it never arrives) or "mute" (no answer does)."""
        self._target = ("127.0.0.1", port)
        self._on_request = on_request
        self._flowing = threading.Event()
        self._flowing.set()
        self._is_last = False
        self._pairs: set[Pair] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def silence(self) -> None:
        """Carry nothing any more; connections stay open, new ones are accepted and hear nothing."""
        self._flowing.clear()

    def silence_after_this(self) -> None:
        """Carry the request that is being looked at, and nothing any more, its answer least of all."""
        self._is_last = True

    def speak(self) -> None:
        """Carry on, with what was held back."""
        self._flowing.set()

    def reset_all(self) -> int:
        """Break every connection; return how many there were."""
        with self._lock:
            broken, self._pairs = self._pairs, set()
        for pair in broken:
            pair.reset()
        return len(broken)

    def close(self) -> None:
        """Listen no more and break what is open."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.speak()
        self.reset_all()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._target, timeout=_POLL_SECONDS * 4)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            pair = Pair(client, server)
            with self._lock:
                self._pairs.add(pair)
            threading.Thread(target=self._carry_requests, args=(pair,), daemon=True).start()
            threading.Thread(target=self._carry_answers, args=(pair,), daemon=True).start()

    def _carry_requests(self, pair: Pair) -> None:
        with suppress(OSError):
            while data := pair.client.recv(_CHUNK):
                self._flowing.wait()
                said = "pass" if self._on_request is None else self._on_request(pair, data)
                if said == "cut":
                    break
                pair.is_muted = said == "mute"
                if self._is_last:
                    self.silence()
                    self._is_last = False
                pair.server.sendall(data)
                if pair.is_muted:
                    return  # the answer ends the pair
        self._forget(pair)

    def _carry_answers(self, pair: Pair) -> None:
        with suppress(OSError):
            while (data := pair.server.recv(_CHUNK)) and not pair.is_muted:
                self._flowing.wait()
                pair.client.sendall(data)
        self._forget(pair)

    def _forget(self, pair: Pair) -> None:
        with self._lock:
            self._pairs.discard(pair)
        pair.reset()
