"""Fixtures of the fault matrix."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduler.simulator import simulate_customers, simulated_portfolio
from tests.faults.site import CUSTOMERS, REPORT, Site, Template, make_template


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table of the matrix."""
    if not REPORT:
        return
    terminalreporter.section("fault matrix")
    terminalreporter.write_line(f"{'injected':>8} {'lost':>5} {'doubled':>8} {'recovery s':>11}  test")
    for one in REPORT:
        counts = f"{one.injected:>8} {one.lost:>5} {one.doubled:>8} {one.recovery_seconds:>11.1f}"
        terminalreporter.write_line(f"{counts}  {one.test}")


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """The trained model that every fault test scores with."""
    folder = tmp_path_factory.mktemp("template")
    portfolio, data = folder / "book.toml", folder / "book.csv"
    portfolio.write_text(simulated_portfolio())
    frame = simulate_customers(CUSTOMERS, 5, unlabelled_share=0.2, text_keys=True)
    frame.drop(columns=["true_probability", "true_outcome"]).to_csv(data, index=False)
    return make_template(folder, (portfolio, data))


@pytest.fixture
def site(any_database_url: str, redis_url: str, template: Template, tmp_path: Path) -> Iterator[Site]:
    """A book ready to be scored, on SQLite and on PostgreSQL, with a real Redis."""
    site = Site(tmp_path, any_database_url, redis_url, template)
    yield site
    site.close()


@pytest.fixture
def laptop_site(redis_url: str, template: Template, tmp_path: Path) -> Iterator[Site]:
    """The same on SQLite alone, for faults that have nothing to do with the database."""
    site = Site(tmp_path, f"sqlite:///{tmp_path / 'tidemark.db'}", redis_url, template)
    yield site
    site.close()
