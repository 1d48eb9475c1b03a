"""Fixtures of the hostile tests: each database with Tidemark's tables in it, and a running API on it."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine

from db.connections.engine import opened_engine
from tests.integration.api.server import RunningApi, running_api

# What these are about comes before the database, so SQLite finds what PostgreSQL finds: `run.py hostile` runs both.
ON_POSTGRESQL = {
    "test_dense_files.py",
    "test_door.py",
    "test_inputs.py",
    "test_pages_of_large_jobs.py",
    "test_slow_receivers.py",
    "test_waiting.py",
}


@pytest.hookimpl(tryfirst=True)  # before `-m` takes its own away
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the runs of these on SQLite to `run.py hostile`."""
    for item in items:
        if item.path.name in ON_POSTGRESQL and "[sqlite" in item.nodeid:
            item.add_marker(pytest.mark.slow)


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
