"""Trusts forwarding headers only from proxies named in the settings."""

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

_THIS_MACHINE = {"127.0.0.1", "::1"}
_SCHEMES = {b"http": "http", b"https": "https"}


class ForwardingMiddleware:
    """Puts the client's address and scheme into the scope.

    Without a configured proxy, a proxy on this machine may say that a request came over TLS, but not who sent it: any
    process here could claim to be another client.
    """

    def __init__(self, app: ASGIApp, *, trusted: tuple[str, ...]) -> None:
        self._app = app
        self._trusting = ProxyHeadersMiddleware(app, list(trusted)) if trusted else None  # type: ignore[arg-type]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if self._trusting is not None:
            await self._trusting(scope, receive, send)  # type: ignore[arg-type]
            return
        if scope["type"] == "http" and (scope.get("client") or ("",))[0] in _THIS_MACHINE:
            said = next((value for name, value in scope["headers"] if name == b"x-forwarded-proto"), b"")
            scope["scheme"] = _SCHEMES.get(said.strip(), scope["scheme"])
        await self._app(scope, receive, send)
