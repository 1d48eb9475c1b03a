"""Fixtures that need a database: the same tests run on SQLite and on every PostgreSQL that is there."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from db.connections.engine import opened_engine


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on an empty database with Tidemark's tables."""
    with opened_engine(database_url) as opened:
        yield opened


@pytest.fixture
def sqlite_engine(sqlite_url: str) -> Iterator[Engine]:
    """The same on SQLite alone, for tests whose subject is not the database."""
    with opened_engine(sqlite_url) as opened:
        yield opened
