"""Every source that a portfolio has ever had, because an erased person may be in one that its file no longer names."""

from dataclasses import dataclass

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from db.portfolios.definition import PortfolioDefinition, Source
from db.schema.privacy_tables import portfolio_sources


@dataclass(frozen=True)
class NamedSource:
    """A table or view, and the column that names its records."""

    source: Source
    key: str


def note_sources(connection: Connection, definition: PortfolioDefinition) -> None:
    """Remember the sources that a definition names, in the transaction that stores it."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    for source, keys in definition.named_sources.items():
        for key in keys:
            noted = dialect.insert(portfolio_sources).values(portfolio=definition.name, source=source.name, key=key)
            connection.execute(noted.on_conflict_do_nothing())


def list_sources(connection: Connection, portfolio: str) -> list[NamedSource]:
    """Return every source that the portfolio ever had, by name."""
    columns = (portfolio_sources.c.source, portfolio_sources.c.key)
    rows = connection.execute(select(*columns).where(portfolio_sources.c.portfolio == portfolio).order_by(*columns))
    return [NamedSource(Source(portfolio, row.source), row.key) for row in rows]
