"""Error pages for browsers, and headers that keep other sites and scripts out."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scheduler.api.problems import MEDIA_TYPE

SIGN_IN = "/sign-in"
# The API's own: programs read them, whatever they say they accept.
_OF_THE_API = ("/v1/", "/metrics", "/healthz", "/readyz", "/openapi.json", "/problems/")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
# Their addresses change with their content.
_KEPT = {"Cache-Control": "public, max-age=31536000, immutable"}


class PageMiddleware:
    """Turns problem details into pages for browsers, and adds the headers to everything that is not the API's."""

    def __init__(self, app: ASGIApp, *, render: Callable[[str, dict[str, Any]], str]) -> None:
        self._app = app
        self._render = render

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; replace a refusal by a page."""
        if scope["type"] != "http" or scope["path"].startswith(_OF_THE_API):
            await self._app(scope, receive, send)
            return
        wants_page = "text/html" in Headers(scope=scope).get("accept", "")
        refused: Message | None = None
        body = b""

        async def send_page(message: Message) -> None:
            nonlocal refused, body
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if wants_page and headers.get("content-type") == MEDIA_TYPE:
                    refused = message
                    return
                is_static = scope["path"].startswith("/static/") and message["status"] == 200
                for name, value in (HEADERS | _KEPT if is_static else HEADERS).items():
                    headers.setdefault(name, value)
            elif refused is not None:
                body += message.get("body", b"")
                if not message.get("more_body", False):
                    await self._answer(scope, refused, json.loads(body))(scope, receive, send)
                return
            await send(message)

        await self._app(scope, receive, send_page)

    def _answer(self, scope: Scope, refused: Message, problem: dict[str, Any]) -> Response:
        headers = dict(HEADERS)
        refused_headers = Headers(raw=refused["headers"])
        headers |= {name: refused_headers[name] for name in ("retry-after", "allow") if name in refused_headers}
        if problem["status"] == 401 and scope["method"] == "GET":
            path = scope["path"] + (f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else "")
            to = SIGN_IN if path == "/" else f"{SIGN_IN}?next={quote(path, safe='')}"
            return RedirectResponse(to, 303, headers)
        return HTMLResponse(self._render("refused.html", {"problem": problem}), problem["status"], headers)
