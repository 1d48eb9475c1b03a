"""The API's entrance: refuses requests without a valid key before reading the body, and reads bodies within limits.

The key is checked against memory, else in one of a few threads of its own, so that a flood of wrong keys takes no
thread from those who came in.
"""

from functools import partial

import anyio
import anyio.to_thread
from fastapi import FastAPI, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from db.access.api_keys import ApiKey, find_key_in_force
from db.errors import DatabaseError
from db.schema.states import KeyRole
from scheduler.api.bodies import BytesInFlight, GuardedBody
from scheduler.api.context import KEY_OF_SCOPE, ApiContext, key_required
from scheduler.api.problems import Problem, problem_of
from scheduler.api.rate_limits import network_of
from scheduler.dashboard.refusals import SIGN_IN
from scheduler.dashboard.sessions import SIGNED_IN, Sessions

KEY_THREADS = 3
_PAGE_BYTES = 64 << 10  # of a form on the dashboard
_OPEN = ("/healthz", "/readyz")
_OF_KEYS = ("/v1/", "/metrics", "/openapi.json", "/problems/")
_LOOKING = {"GET", "HEAD", "OPTIONS"}


class DoorMiddleware:
    """Lets requests pass with a valid key, or with a dashboard session for pages."""

    def __init__(self, app: ASGIApp, *, site: FastAPI) -> None:
        self._app = app
        self._site = site  # its state is complete only when the first request comes
        self._key_threads = anyio.CapacityLimiter(KEY_THREADS)
        settings = self._context.settings
        self._budget = BytesInFlight(settings.api_bodies_bytes)

    @property
    def _context(self) -> ApiContext:
        return self._site.state.context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        settings = self._context.settings
        is_api = scope["path"].startswith(_OF_KEYS)
        limit = settings.api_body_bytes if is_api else min(_PAGE_BYTES, settings.api_body_bytes)
        body = GuardedBody(scope, receive, send, limit=limit, seconds=settings.api_body_seconds)
        try:
            await self._admit(scope, is_api=is_api)
            body.check_length()
        except (Problem, DatabaseError) as error:
            refusal = error if isinstance(error, Problem) else problem_of(error)
            await refusal.response()(scope, receive, body.send)
            return
        try:
            await self._app(scope, partial(body.receive, self._budget), body.send)
        finally:
            body.let_go(self._budget)

    async def _admit(self, scope: Scope, *, is_api: bool) -> None:
        request = Request(scope)
        address = network_of(request.client.host if request.client else "nowhere")
        if is_api:
            scope[KEY_OF_SCOPE] = await self._find_key(request, address)
        elif scope["path"] == "/readyz" or (scope["path"] == SIGN_IN and scope["method"] not in _LOOKING):
            self._context.keyless_rates.take(address)
        elif scope["path"] not in _OPEN and scope["method"] not in _LOOKING:
            await self._require_session(request, address)

    async def _find_key(self, request: Request, address: str) -> ApiKey:
        context = self._context
        kind, _, text = request.headers.get("authorization", "").partition(" ")
        text = text.strip() if kind.lower() == "bearer" else ""
        key = context.keys.recall(text) if text else None
        if key is None:
            key = await self._look_up(text, address)
        context.rates.take(key.public_id)
        if key.role is KeyRole.READ and request.method not in _LOOKING:
            raise Problem(403, "not-allowed", "a key with the role read may only read (GET)")
        return key

    async def _look_up(self, text: str, address: str) -> ApiKey:
        """Look up a key in the database, except for an address that sends wrong keys too often."""
        context = self._context
        is_familiar = text != "" and context.keys.is_familiar(text)
        if not is_familiar:
            context.keyless_rates.take(address)
        key = None
        if text:
            key = await anyio.to_thread.run_sync(context.keys.check, text, limiter=self._key_threads)
        if key is None:
            raise key_required()
        if not is_familiar:
            context.keyless_rates.give_back(address)
        return key

    async def _require_session(self, request: Request, address: str) -> None:
        sessions: Sessions = self._site.state.sessions
        session = sessions.read(request, SIGNED_IN)
        key = None
        if session is not None:
            find = partial(find_key_in_force, self._context.engine, session.key_id)
            key = await anyio.to_thread.run_sync(find, limiter=self._key_threads)
        if key is None:
            self._context.keyless_rates.take(address)
            raise Problem(401, "key-required", "sign in with an API key")
