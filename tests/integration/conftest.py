"""Fixtures that need a database: the same tests run on SQLite and on every PostgreSQL that is there."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from db.engine import opened_engine
from db.upgrade import prepare_database


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on an empty database with Tidemark's tables."""
    yield from _opened(database_url)


@pytest.fixture
def sqlite_engine(tmp_path: Path) -> Iterator[Engine]:
    """The same on SQLite alone, for tests whose subject is not the database."""
    yield from _opened(f"sqlite:///{tmp_path / 'tidemark.db'}")


def _opened(url: str) -> Iterator[Engine]:
    with opened_engine(url) as opened:
        prepare_database(opened)
        yield opened
