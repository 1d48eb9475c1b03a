"""Fixtures of the fault matrix."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from scheduler.demo.simulator import simulate_customers, simulated_portfolio
from tests.faults.matrix import Matrix
from tests.faults.site import CUSTOMERS, Site, Template, open_template
from tests.servers import PostgresServer

TEST_SECONDS = 1200


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests that start TensorFlow several times more time than others, on a machine that may be very busy."""
    for item in items:
        if "faults" in item.path.parts and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TEST_SECONDS))


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """The trained model that every fault test scores with; where tests run in several processes, of all of them."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "template"
    folder.mkdir(exist_ok=True)
    portfolio, data = folder / "book.toml", folder / "book.csv"
    with FileLock(folder / "lock"):
        if not data.exists():
            portfolio.write_text(simulated_portfolio())
            frame = simulate_customers(CUSTOMERS, 5, unlabelled_share=0.45, text_keys=True)
            frame.drop(columns=["true_probability", "true_outcome"]).to_csv(data, index=False)
        return open_template(folder, (portfolio, data))


@pytest.fixture
def site(any_database_url: str, redis_url: str, template: Template, matrix: Matrix, tmp_path: Path) -> Iterator[Site]:
    """A book ready to be scored, on SQLite and on PostgreSQL, with a real Redis."""
    site = Site(tmp_path, any_database_url, redis_url, template, matrix)
    yield site
    site.close()


@pytest.fixture
def laptop_site(redis_url: str, template: Template, matrix: Matrix, tmp_path: Path) -> Iterator[Site]:
    """The same on SQLite alone, for faults that have nothing to do with the database."""
    site = Site(tmp_path, f"sqlite:///{tmp_path / 'tidemark.db'}", redis_url, template, matrix)
    yield site
    site.close()


@pytest.fixture
def postgres_site(
    postgres_server: PostgresServer, redis_url: str, template: Template, matrix: Matrix, tmp_path: Path
) -> Iterator[Site]:
    """A book on a PostgreSQL that a test may restart."""
    with postgres_server.fresh_database() as url:
        site = Site(tmp_path, url, redis_url, template, matrix)
        yield site
        site.close()
