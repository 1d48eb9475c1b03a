"""A browser window without script: it keeps cookies, fills forms with their tokens, and follows no redirect."""

import re
from typing import Any

import httpx
from sqlalchemy import Engine, text

from db.connections.engine import reading
from db.schema.states import KeyRole
from tests.integration.api.server import RunningApi

_TOKEN = re.compile(r'name="token" value="([^"]+)"')


class Window:
    """One window. `page` and `send` return what came; nothing is raised for a refusal."""

    def __init__(self, api: RunningApi) -> None:
        self._client = api.client(None)
        self._client.headers["Accept"] = "text/html,application/xhtml+xml"

    @property
    def cookies(self) -> httpx.Cookies:
        """The cookies of this window."""
        return self._client.cookies

    def page(self, path: str, *, seconds: float = 30) -> httpx.Response:
        """Load a page."""
        return self._client.get(path, timeout=seconds)

    def token(self, path: str = "/jobs") -> str:
        """Return the token that the forms of a page carry."""
        found = _TOKEN.search(self.page(path).text)
        assert found is not None, path
        return found[1]

    def send(
        self, path: str, fields: dict[str, Any] | None = None, *, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """Send a form with the token of this session, unless the fields hold another."""
        filled = {"token": self.token()} | (fields or {})
        return self._client.post(path, data=filled, headers=headers)

    def sign_in(self, key: str, *, to: str = "/") -> httpx.Response:
        """Fill the sign-in form and send it."""
        return self._client.post("/sign-in", data={"key": key, "token": self.token("/sign-in"), "next": to})


def opened(api: RunningApi, role: KeyRole = KeyRole.ADMIN, portfolios: list[str] | None = None) -> Window:
    """Return a window that is signed in with a new key."""
    window = Window(api)
    assert window.sign_in(api.key(role, portfolios)).status_code == 303
    return window


def events_of(engine: Engine) -> list[tuple[str, str, str]]:
    """Return event, who and why of the whole log."""
    with reading(engine) as connection:
        rows = connection.execute(text("SELECT event, who, why FROM tidemark_events ORDER BY id"))
        return [(row[0], row[1], row[2]) for row in rows]
