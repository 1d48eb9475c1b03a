"""Long responses: checks the key again while sending, and closes the connection when it has ended."""

import asyncio
from collections.abc import AsyncIterable, Iterable, Iterator
from logging import getLogger
from typing import Any

import anyio
import anyio.to_thread
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from db.errors import DatabaseError
from scheduler.api.context import Caller

logger = getLogger(__name__)

LOOK_SECONDS = 1.0
_PIECE_BYTES = 64 << 10  # what the server passes on before it waits for a slow reader


class WatchedResponse(StreamingResponse):
    """A stream that ends within two seconds of its key, so that the client notices the cut."""

    def __init__(self, content: AsyncIterable[Any] | Iterable[Any], *, caller: Caller, **options: Any) -> None:
        super().__init__(content, **options)
        self._caller = caller

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer for as long as the key is in force."""
        sending = anyio.CancelScope()
        watch = asyncio.create_task(self._watch(sending))
        try:
            with sending:
                await super().__call__(scope, receive, send)
        finally:
            watch.cancel()

    async def _watch(self, sending: anyio.CancelScope) -> None:
        is_in_force = True
        while is_in_force:
            await anyio.sleep(LOOK_SECONDS)
            is_in_force = await anyio.to_thread.run_sync(self._look, limiter=self._caller.context.watch_threads)
        logger.info("A key expired or was revoked while its response was being sent; the connection is closed.")
        sending.cancel()

    def _look(self) -> bool:
        try:
            return self._caller.is_in_force()
        except DatabaseError:  # tried again: a long export survives a restart of the server
            return True


def in_pieces(stream: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the stream in pieces, so that little is in transit to a slow reader when its key ends.

    >>> [len(piece) for piece in in_pieces([b"a" * 70_000, b"b"])]
    [65536, 4464, 1]
    """
    for part in stream:
        for start in range(0, len(part), _PIECE_BYTES):
            yield part[start : start + _PIECE_BYTES]
