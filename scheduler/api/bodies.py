"""Reads request bodies within limits of bytes, seconds and total memory."""

import asyncio
import re
import time
from dataclasses import dataclass

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from scheduler.api.problems import Problem

# These are streamed to a file, which stops at its own limit.
_UPLOADS = re.compile(r"^/v1/portfolios/[^/]+/(records|outcomes|events/[^/]+)$")
# A client slower than a telephone line of 1998 is slow on purpose.
SLOWEST_BYTES_A_SECOND = 4096


@dataclass
class BytesInFlight:
    """Counts the bytes of request bodies in memory, and limits them."""

    most: int
    held: int = 0

    def take(self, count: int) -> None:
        """Hold more bytes. Raises `HTTPException` (503) above the limit."""
        if self.held + count > self.most:
            detail = f"other requests fill the {self.most} bytes available for request bodies; try again"
            raise HTTPException(503, detail, headers={"Retry-After": "1"})
        self.held += count


class GuardedBody:
    """One request's body, between the server and the application."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, *, limit: int, seconds: float) -> None:
        self._receive = receive
        self._send = send
        self._limit = limit
        self._ends = time.monotonic() + seconds
        self._seconds = seconds
        self._is_upload = _UPLOADS.match(scope["path"]) is not None
        self._said = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
        is_chunked = any(name == b"transfer-encoding" for name, _ in scope["headers"])
        self._is_complete = not is_chunked and self._said.strip(b"0") == b""
        self._has_begun = False
        self._count = 0

    def let_go(self, budget: BytesInFlight) -> None:
        """Release the memory of the body's bytes."""
        if not self._is_upload:
            budget.held -= self._count
            self._count = 0

    def check_length(self) -> None:
        """Raise `Problem` (413) if the header announces a body that is too large."""
        if not self._is_upload and self._said.isdigit() and int(self._said[:20]) > self._limit:
            raise Problem(413, "too-large", self._too_large())

    async def receive(self, budget: BytesInFlight) -> Message:
        """Return the next message. Raises `HTTPException`: 408 too slow, 413 too large, 503 no room."""
        if self._is_complete:
            return await self._receive()
        try:
            async with asyncio.timeout(self._ends - time.monotonic()):
                message = await self._receive()
        except TimeoutError:
            if self._has_begun:  # the response has begun; the reader only checks for a disconnect
                return {"type": "http.disconnect"}
            rate = f"{SLOWEST_BYTES_A_SECOND} more bytes every second"
            detail = f"expected the whole body within {self._seconds:g} s, or {rate}"
            raise HTTPException(408, detail) from None
        self._note(message, budget)
        return message

    async def send(self, message: Message) -> None:
        """Pass the answer on; if it precedes the end of the body, close the connection so that no more is read."""
        if message["type"] == "http.response.start":
            self._has_begun = True
            if not self._is_complete:
                MutableHeaders(scope=message)["Connection"] = "close"
        await self._send(message)

    def _note(self, message: Message, budget: BytesInFlight) -> None:
        size = len(message.get("body", b""))
        if not self._is_upload:
            if self._count + size > self._limit:
                raise HTTPException(413, self._too_large())
            self._take(size, budget)
        self._count += size
        # What came buys time, but never more than there was at first.
        self._ends = min(self._ends + size / SLOWEST_BYTES_A_SECOND, time.monotonic() + self._seconds)
        self._is_complete = not message.get("more_body", False)

    def _take(self, size: int, budget: BytesInFlight) -> None:
        try:
            budget.take(size)
        except HTTPException:
            self.let_go(budget)  # at once: of two that came together, the other has room before this answer is written
            raise

    def _too_large(self) -> str:
        return f"the body of this request may have at most {self._limit} bytes"
