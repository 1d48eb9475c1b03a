"""Fixtures of the hostile tests: each database with Tidemark's tables in it."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from db.engine import open_engine
from db.upgrade import prepare_database


@pytest.fixture
def engine(any_database_url: str) -> Iterator[Engine]:
    """An engine on an empty database, SQLite and the newest PostgreSQL."""
    opened = open_engine(any_database_url)
    prepare_database(opened)
    yield opened
    opened.dispose()
