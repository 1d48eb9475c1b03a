"""Fixtures of the flow tests: a book in a file, and installations with and without servers of one's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from db.connections.engine import opened_engine
from scheduler.demo.simulator import simulate_customers, simulated_portfolio
from tests.conftest import Databases
from tests.flow.installation import Installation
from tests.trained_book import TIMES, TrainedBook

CUSTOMERS = 600


@pytest.fixture(scope="session")
def book_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A portfolio file and a CSV file of simulated customers; a fifth of the outcomes are not known."""
    folder = tmp_path_factory.mktemp("book with a blank")
    portfolio, data = folder / "book.toml", folder / "book.csv"
    portfolio.write_text(simulated_portfolio())
    frame = simulate_customers(CUSTOMERS, 5, unlabelled_share=0.2, text_keys=True, economy=TIMES)
    frame.drop(columns=["true_probability", "true_outcome"]).to_csv(data, index=False)
    return portfolio, data


@pytest.fixture
def laptop(tmp_path: Path) -> Iterator[Installation]:
    """An installation on the embedded defaults, in a folder with a blank in its name."""
    folder = tmp_path / "a laptop"
    folder.mkdir()
    installation = Installation(folder)
    yield installation
    installation.close()


@pytest.fixture
def laptop_with_tables(laptop: Installation, databases: Databases) -> Installation:
    """The same with Tidemark's tables, which every migration would take seconds to make."""
    home = laptop.folder / "home"
    home.mkdir(mode=0o700)
    databases.copy_tables(home / "tidemark.db")
    return laptop


@pytest.fixture
def cluster(tmp_path: Path, postgres_first_url: str, redis_url: str, template: TrainedBook) -> Iterator[Installation]:
    """The trained book on a database and a Redis of one's own, quick to notice dead workers."""
    settings = {
        "TIDEMARK_DATABASE_URL": postgres_first_url,
        "TIDEMARK_REDIS_URL": redis_url,
        "TIDEMARK_MODELS_URL": str(template.models),
        "TIDEMARK_LEASE_SECONDS": "6",
        "TIDEMARK_HEARTBEAT_SECONDS": "1",
        "TIDEMARK_SWEEP_SECONDS": "1",
        "TIDEMARK_SHARD_ROWS": "12",  # hundreds of shards: the job must still run when its workers are killed
    }
    with opened_engine(postgres_first_url) as engine:
        template.fill(engine)
    installation = Installation(tmp_path, settings)
    yield installation
    installation.close()
