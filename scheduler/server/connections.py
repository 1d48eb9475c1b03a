"""The server's side of a connection: limits the time and size of headers, and the number of connections.

The server itself waits for headers forever and takes them at any length.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from logging import ERROR, getLogger
from typing import Any, cast

import httptools
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from scheduler.api.problems import MEDIA_TYPE, TITLES
from scheduler.api.rate_limits import network_of
from scheduler.api_settings import ApiSettings

Network = IPv4Network | IPv6Network

HEADER_BYTES = 64 << 10
_PHRASES = {400: "Bad Request", 408: "Request Timeout", 431: "Request Header Fields Too Large", 503: "Unavailable"}


@dataclass
class Connections:
    """Counts and limits the connections of one server."""

    header_seconds: float
    most: int
    proxies: tuple[Network, ...] = ()
    open: Counter[str] = field(default_factory=Counter)

    def add(self, address: str) -> bool:
        """Count a connection; return False above the limit. An address may have half of them, a proxy all."""
        most_of_it = self.most if is_within(address, self.proxies) else self.most // 2
        is_welcome = self.open.total() < self.most and self.open[address] < most_of_it
        self.open[address] += 1
        return is_welcome

    def remove(self, address: str) -> None:
        """Stop counting a connection."""
        self.open[address] -= 1
        if self.open[address] <= 0:
            del self.open[address]


def is_within(address: str, networks: Sequence[Network]) -> bool:
    """Return whether an address lies in one of the networks.

    >>> is_within("10.0.0.7", [ip_network("10.0.0.0/24")]), is_within("nowhere", [ip_network("10.0.0.0/24")])
    (True, False)
    """
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    return any(ip in one for one in networks)


class GuardedProtocol(HttpToolsProtocol):
    """One connection."""

    known: Connections

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        # A line per invalid request would let anybody fill the log.
        self.logger = getLogger(f"{__name__}.server")
        self.logger.setLevel(ERROR)
        self._deadline: asyncio.TimerHandle | None = None
        self._header_bytes = 0
        self._is_in_headers = False
        self._address: str | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request, or refuse."""
        super().connection_made(transport)
        self._address = network_of(self.client[0] if self.client else "nowhere")
        if self.known.add(self._address):
            self._await_headers()
        else:
            self._refuse(503, "unavailable", "too many connections; try again in a moment")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._have_headers()
        if self._address is not None:
            self.known.remove(self._address)
            self._address = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read data; close the connection if it is not HTTP or its headers are too large."""
        self._unset_keepalive_if_required()
        cycle = cast("RequestResponseCycle | None", self.cycle)  # none before the first request
        if self._deadline is None and (cycle is None or cycle.response_complete):
            self._await_headers()
        self._header_bytes += len(data)
        assert self.parser is not None, "it goes with the connection"
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.send_400_response("this is not an HTTP request")
        except httptools.HttpParserUpgrade:
            return  # answered as the plain request that it also is
        if self._is_in_headers and self._header_bytes > HEADER_BYTES:
            self._refuse(431, "headers-too-large", f"the headers of a request may have at most {HEADER_BYTES} bytes")

    def on_message_begin(self) -> None:
        """Count the bytes of its headers, which the parser keeps until they are complete."""
        self._is_in_headers, self._header_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Begin with the request."""
        self._is_in_headers = False
        self._have_headers()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be read."""
        self._refuse(400, "malformed-body", msg)

    def _await_headers(self) -> None:
        self._deadline = self.loop.call_later(self.known.header_seconds, self._give_up)

    def _have_headers(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            message = f"expected the headers of a request within {self.known.header_seconds:g} s"
            self._refuse(408, "too-slow", message)

    def _refuse(self, status: int, name: str, detail: str) -> None:
        self._have_headers()
        if self.transport.is_closing():
            return
        document = {"type": f"/problems/{name}", "title": TITLES[name], "status": status, "detail": detail}
        body = json.dumps(document).encode()
        head = f"HTTP/1.1 {status} {_PHRASES[status]}\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\n"
        self.transport.write(head.encode() + b"connection: close\r\n\r\n" + body)
        self.transport.close()


def server_config(app: FastAPI, settings: ApiSettings, **given: Any) -> uvicorn.Config:
    """Return how the API is served: no access log (paths may hold a record's key), no version in headers."""
    connections = Connections(
        settings.api_header_seconds, settings.api_connections, tuple(map(ip_network, settings.proxies))
    )
    protocol = cast("type[asyncio.Protocol]", type("Protocol", (GuardedProtocol,), {"known": connections}))
    return uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        **given,
    )
