"""Fixtures that need a database: the same tests run on SQLite and on every PostgreSQL that is there."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from db.engine import open_engine
from db.upgrade import prepare_database


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on an empty database with Tidemark's tables."""
    opened = open_engine(database_url)
    prepare_database(opened)
    yield opened
    opened.dispose()
