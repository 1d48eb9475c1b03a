"""Fixtures of the hostile tests: each database with Tidemark's tables in it, and a running API on it."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine

from db.connections.engine import opened_engine
from tests.integration.api.server import RunningApi, running_api


@pytest.fixture
def engine(any_database_url: str) -> Iterator[Engine]:
    """An engine on an empty database, SQLite and the newest PostgreSQL."""
    with opened_engine(any_database_url) as opened:
        yield opened


@pytest.fixture
def api(engine: Engine, tmp_path: Path) -> Iterator[RunningApi]:
    """A running API with a state folder of its own."""
    with running_api(engine, home=tmp_path / "home") as running:
        yield running


@pytest.fixture
def admin(api: RunningApi) -> httpx.Client:
    """A client that may do everything."""
    return api.client(api.key())
