"""Refuses bodies that are too large, by what their header says or by what comes; uploads have a limit of their own."""

import re

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scheduler.api.problems import Problem

# These are streamed to a file, which stops at its own limit.
_UPLOADS = re.compile(r"^/v1/portfolios/[^/]+/(records|outcomes)$")


class BodyLimitMiddleware:
    """Counts the bytes of each request's body."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its body counted."""
        if scope["type"] != "http" or _UPLOADS.match(scope["path"]):
            await self._app(scope, receive, send)
            return
        if self._says_too_much(scope):
            await Problem(413, "too-large", self._told()).response()(scope, receive, send)
            return
        count = 0

        async def receive_counted() -> Message:
            nonlocal count
            message = await receive()
            count += len(message.get("body", b""))
            if count > self._limit:
                raise HTTPException(413, self._told())
            return message

        await self._app(scope, receive_counted, send)

    def _says_too_much(self, scope: Scope) -> bool:
        said = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        return said.isdigit() and int(said[:20]) > self._limit

    def _told(self) -> str:
        return f"the body of a request may have {self._limit} bytes"
