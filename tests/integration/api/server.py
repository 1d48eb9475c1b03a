"""A running API for tests: the real application behind a real server, in this process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import uvicorn
from fastapi import FastAPI
from sqlalchemy import Engine

from db.access.api_keys import KeyRequest, create_key
from db.schema.states import KeyRole
from scheduler.api_settings import ApiSettings
from scheduler.server.app import create_app
from scheduler.server.connections import server_config
from scheduler.settings import SchedulerSettings
from tests.waiting import wait_for


class RunningApi:
    """Address of a running API, and clients with keys."""

    def __init__(self, engine: Engine, url: str, app: FastAPI) -> None:
        self.engine = engine
        self.url = url
        self.app = app
        self._clients: list[httpx.Client] = []

    def key(self, role: KeyRole = KeyRole.ADMIN, portfolios: list[str] | None = None) -> str:
        """Make a key and return its text."""
        return create_key(self.engine, KeyRequest("test", role, portfolios), who="test")[0]

    def client(self, key: str | None) -> httpx.Client:
        """Return a client that sends this key."""
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        made = httpx.Client(base_url=self.url, headers=headers, timeout=30)
        self._clients.append(made)
        return made

    def close(self) -> None:
        """Close every client."""
        for client in self._clients:
            client.close()


@contextmanager
def running_api(engine: Engine, *, redis_url: str | None = None, **settings: object) -> Iterator[RunningApi]:
    """Serve the API on a free port until the block ends."""
    own = {"redis_url": redis_url} if redis_url else {}
    api_settings = ApiSettings(**settings)  # type: ignore[arg-type]
    app = create_app(engine, api_settings, SchedulerSettings(shard_rows=10, **own))  # type: ignore[arg-type]
    server = uvicorn.Server(server_config(app, api_settings, port=0))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_for(lambda: server.started, 20, "the API to listen")
    port = server.servers[0].sockets[0].getsockname()[1]
    api = RunningApi(engine, f"http://127.0.0.1:{port}", app)
    try:
        yield api
    finally:
        api.close()
        server.should_exit = True
        thread.join(20)
