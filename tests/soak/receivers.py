"""Receivers of webhooks: one is good, one refuses, one drips its answer for ever, one is not there."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any

from tests.servers.processes import free_port

_DRIP_SECONDS = 1.0


class Receivers:
    """A server whose paths behave in different ways; it notes when each job's end was told to `/good`."""

    def __init__(self) -> None:
        self.told: dict[int, float] = {}
        self._ending = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._nobody = free_port()
        threading.Thread(target=self._server.serve_forever, name="receivers", daemon=True).start()

    @property
    def good_url(self) -> str:
        """Where every message is taken at once."""
        return f"{self._address}/good"

    def bad_url(self, random: Random) -> str:
        """Where messages are refused, answered too slowly, or lost."""
        path = f"/{random.choice(['refuses', 'drips'])}/{random.randrange(10**6)}"
        return random.choice([f"{self._address}{path}", f"http://127.0.0.1:{self._nobody}{path}"])

    def close(self) -> None:
        """End every answer and the server."""
        self._ending.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def _address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def _take(self, body: bytes) -> None:
        message: dict[str, Any] = json.loads(body)
        if str(message.get("type", "")).startswith("job.") or "job" in message:
            job = message.get("job") or message.get("data", {}).get("job")
            state = message.get("state") or message.get("data", {}).get("state")
            if job is not None and state in {None, "done"}:
                self.told.setdefault(int(job), time.monotonic())

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receivers = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.path.startswith("/drips"):
                    self._drip()
                    return
                if self.path.startswith("/good"):
                    receivers._take(body)
                self.send_response(204 if self.path.startswith("/good") else 500)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def _drip(self) -> None:
                self.wfile.write(b"HTTP/1.1 200 OK\r\n")
                try:
                    while not receivers._ending.wait(_DRIP_SECONDS):
                        self.wfile.write(b"X-Drip: x\r\n")
                except OSError:
                    self.close_connection = True

            def log_message(self, *_words: Any) -> None:
                """Say nothing."""

        return Handler
