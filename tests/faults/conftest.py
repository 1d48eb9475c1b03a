"""Fixtures of the fault matrix."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.matrix import Matrix
from tests.faults.site import Site
from tests.trained_book import TrainedBook

TEST_SECONDS = 1200


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests that start TensorFlow several times more time than others, on a machine that may be very busy."""
    for item in items:
        if "faults" in item.path.parts and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TEST_SECONDS))


@pytest.fixture
def site(
    any_database_url: str, redis_url: str, template: TrainedBook, matrix: Matrix, tmp_path: Path
) -> Iterator[Site]:
    """A book ready to be scored, on SQLite and on PostgreSQL, with a real Redis."""
    site = Site(tmp_path, any_database_url, redis_url, template, matrix)
    yield site
    site.close()


@pytest.fixture
def laptop_site(
    sqlite_url: str, redis_url: str, template: TrainedBook, matrix: Matrix, tmp_path: Path
) -> Iterator[Site]:
    """The same on SQLite alone, for faults that have nothing to do with the database."""
    site = Site(tmp_path, sqlite_url, redis_url, template, matrix)
    yield site
    site.close()


@pytest.fixture
def postgres_site(
    postgres_url: str, redis_url: str, template: TrainedBook, matrix: Matrix, tmp_path: Path
) -> Iterator[Site]:
    """A book on a PostgreSQL that a test may restart."""
    site = Site(tmp_path, postgres_url, redis_url, template, matrix)
    yield site
    site.close()
