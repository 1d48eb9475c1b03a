"""Stores portfolios as they were written, and lists them with their champion."""

import difflib
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, insert, select, update

from db.connections.clock import now_plus
from db.connections.engine import reading, writing
from db.errors import NotFoundError
from db.events.event_log import record_event
from db.portfolios.definition import PortfolioDefinition
from db.portfolios.portfolio_sources import note_sources
from db.portfolios.source_grants import put_grants_of, require_named_sources
from db.schema.core_tables import portfolios
from db.schema.model_tables import champions


@dataclass(frozen=True)
class Portfolio:
    """A stored portfolio and its present champion, if there is one."""

    definition: PortfolioDefinition
    champion: str | None
    created_at: datetime
    updated_at: datetime

    @property
    def name(self) -> str:
        """The name of the portfolio."""
        return self.definition.name


def save_portfolio(engine: Engine, definition: PortfolioDefinition, *, who: str, may_grant: bool = True) -> str:
    """Store a portfolio; return "added", "changed" or "unchanged". Its models and scores stay as they are.

    A caller who may grant sources (an administrator without a portfolio limit) grants those in the definition. For
    other callers `SourceNotGrantedError` is raised if one is not granted.
    """
    name, fingerprint = definition.name, definition.fingerprint
    values = {
        "title": definition.title,
        "definition": definition.to_json(),
        "fingerprint": fingerprint,
        "running_shards": definition.running_shards,
    }
    with writing(engine) as connection:
        known = select(portfolios.c.fingerprint, portfolios.c.definition).where(portfolios.c.name == name)
        stored = connection.execute(known.with_for_update()).one_or_none()
        if may_grant:
            put_grants_of(connection, definition, who=who)
        else:
            before = None if stored is None else PortfolioDefinition.from_json(stored.definition)
            require_named_sources(connection, definition, before)
        if stored is not None and stored.fingerprint == fingerprint:
            return "unchanged"
        if stored is None:
            connection.execute(insert(portfolios).values(name=name, **values))
        else:
            changed = update(portfolios).where(portfolios.c.name == name)
            connection.execute(changed.values(**values, updated_at=now_plus()))
        note_sources(connection, definition)
        outcome = "added" if stored is None else "changed"
        record_event(connection, f"portfolio.{outcome}", who=who, portfolio=name, why=f"fingerprint {fingerprint[:12]}")
    return outcome


def get_portfolio(engine: Engine, name: str) -> Portfolio:
    """Return one portfolio. Raises `NotFoundError` with the existing names."""
    with reading(engine) as connection:
        return find_portfolio(connection, name)


def find_portfolio(connection: Connection, name: str) -> Portfolio:
    """Return one portfolio within the caller's transaction. Raises `NotFoundError` with the existing names."""
    row = connection.execute(_select_portfolios().where(portfolios.c.name == name)).one_or_none()
    if row is None:
        known = connection.execute(select(portfolios.c.name).order_by(portfolios.c.name)).scalars().all()
        close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        others = (one for one in known if one not in close)
        raise NotFoundError("portfolio", name, (*close, *others), "Add it with: tidemark portfolio add FILE")
    return _as_portfolio(*row)


def list_portfolios(engine: Engine) -> list[Portfolio]:
    """Return every portfolio by name."""
    with reading(engine) as connection:
        return [_as_portfolio(*row) for row in connection.execute(_select_portfolios().order_by(portfolios.c.name))]


def _select_portfolios():  # noqa: ANN202 - SQLAlchemy's own row type is the best description
    champion = champions.c.version.label("champion")
    columns = (portfolios.c.definition, champion, portfolios.c.created_at, portfolios.c.updated_at)
    return select(*columns).outerjoin(champions, champions.c.portfolio == portfolios.c.name)


def _as_portfolio(definition: str, champion: str | None, created_at: datetime, updated_at: datetime) -> Portfolio:
    return Portfolio(PortfolioDefinition.from_json(definition), champion, created_at, updated_at)
