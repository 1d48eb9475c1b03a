"""Grants of sources to portfolios: the boundary that every read and write of records has to pass.

A portfolio reads what `load` made for it, and what someone granted who may see every portfolio. The answer is the same
for a table that is not granted and one that is not there.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, delete, insert, select, update

from db.connections.clock import now_plus
from db.connections.engine import reading, writing
from db.errors import NotFoundError, SourceNotGrantedError
from db.events.event_log import record_event
from db.portfolios.definition import PortfolioDefinition, Source
from db.portfolios.source_names import find_kind, name_source, require_no_reserved_table
from db.schema.grant_tables import source_grants


@dataclass(frozen=True)
class Grant:
    """One grant in force. `made_by_load`: the table was made by `load` for this portfolio, which may replace it."""

    portfolio: str
    source: str
    made_by_load: bool
    granted_by: str
    granted_at: datetime


def grant_source(engine: Engine, portfolio: str, source: str, *, who: str) -> Grant:
    """Let a portfolio read a table or view, which need not be there yet; granted again, nothing changes.

    Raises `SourceReservedError` for a reserved table.
    """
    with writing(engine) as connection:
        name = put_grant(connection, Source(portfolio, source), who=who)
        return _find_grant(connection, portfolio, name)


def revoke_source(engine: Engine, portfolio: str, source: str, *, who: str) -> Grant:
    """End a grant at once, also for open jobs; return what it was. Raises `NotFoundError` if there is none."""
    with writing(engine) as connection:
        name = name_source(connection, source)
        granted = _find_grant(connection, portfolio, name)
        connection.execute(update(source_grants).where(_is(portfolio, name)).values(revoked_at=now_plus()))
        record_event(connection, "source.revoked", who=who, portfolio=portfolio, why=name)
    return granted


def list_grants(engine: Engine, portfolio: str | None = None) -> list[Grant]:
    """Return the grants in force of one portfolio, or of all."""
    statement = _select_grants().order_by(source_grants.c.portfolio, source_grants.c.source)
    if portfolio is not None:
        statement = statement.where(source_grants.c.portfolio == portfolio)
    with reading(engine) as connection:
        return [Grant(*row) for row in connection.execute(statement)]


def put_grant(connection: Connection, source: Source, *, who: str) -> str:
    """Grant a source in the caller's transaction; return the name that the database gives it."""
    name = name_source(connection, source.name)
    if find_kind(connection, name) is not None:
        require_no_reserved_table(connection, name, source.name)
    if not is_granted(connection, source.portfolio, name):
        _put(connection, source.portfolio, name, who=who)
        record_event(connection, "source.granted", who=who, portfolio=source.portfolio, why=name)
    return name


def put_grants_of(connection: Connection, definition: PortfolioDefinition, *, who: str) -> None:
    """Grant in the caller's transaction what a definition names."""
    for source in definition.named_sources:
        put_grant(connection, source, who=who)


def require_named_sources(
    connection: Connection, definition: PortfolioDefinition, stored: PortfolioDefinition | None
) -> None:
    """Raise `SourceNotGrantedError` if a definition names a source that is not granted and did not stand there."""
    known = {} if stored is None else stored.named_sources
    for source in definition.named_sources:
        name = name_source(connection, source.name)
        if source not in known:
            require_grant(connection, source, name)


def require_granted(connection: Connection, source: Source) -> str:
    """Return the name that the database gives a source. Raises `SourceError` if the portfolio may not read it."""
    name = name_source(connection, source.name)
    require_grant(connection, source, name)
    if find_kind(connection, name) is not None:
        require_no_reserved_table(connection, name, source.name)
    return name


def require_grant(connection: Connection, source: Source, name: str) -> None:
    """Raise `SourceNotGrantedError` if the grant is not there, or not any more: one look-up by primary key."""
    if not is_granted(connection, source.portfolio, name):
        raise SourceNotGrantedError(source.portfolio, source.name)


def is_granted(connection: Connection, portfolio: str, name: str) -> bool:
    """Whether a grant is in force; `name` is the database's."""
    found = select(source_grants.c.source).where(_is(portfolio, name), source_grants.c.revoked_at.is_(None))
    return connection.execute(found).first() is not None


def is_made_by_load(connection: Connection, source: Source) -> bool:
    """Whether `load` made the table for this very portfolio, and the grant is in force."""
    name = name_source(connection, source.name)
    wanted = (_is(source.portfolio, name), source_grants.c.revoked_at.is_(None), source_grants.c.made_by_load)
    return connection.execute(select(source_grants.c.source).where(*wanted)).first() is not None


def note_made_by_load(connection: Connection, source: Source, *, who: str) -> None:
    """Note in the caller's transaction that `load` has just made the table for this portfolio.

    A portfolio that owned an earlier table of this name loses access: that table is gone.
    """
    name = name_source(connection, source.name)
    others = (source_grants.c.source == name, source_grants.c.portfolio != source.portfolio)
    connection.execute(delete(source_grants).where(*others, source_grants.c.made_by_load))
    if not is_made_by_load(connection, source):
        _put(connection, source.portfolio, name, who=who, made_by_load=True)
        record_event(connection, "source.made", who=who, portfolio=source.portfolio, why=name)


def _put(connection: Connection, portfolio: str, name: str, *, who: str, made_by_load: bool | None = None) -> None:
    values = {"granted_by": who, "granted_at": now_plus(), "revoked_at": None}
    values |= {} if made_by_load is None else {"made_by_load": made_by_load}
    changed = update(source_grants).where(_is(portfolio, name)).values(**values)
    if connection.execute(changed).rowcount != 1:
        connection.execute(insert(source_grants).values(portfolio=portfolio, source=name, **values))


def _find_grant(connection: Connection, portfolio: str, name: str) -> Grant:
    row = connection.execute(_select_grants().where(_is(portfolio, name))).one_or_none()
    if row is None:
        advice = "See them with: tidemark portfolio grants"
        raise NotFoundError("grant", f"of {name} to {portfolio}", advice=advice)
    return Grant(*row)


def _select_grants():  # noqa: ANN202 - SQLAlchemy's own row type is the best description
    columns = (source_grants.c.portfolio, source_grants.c.source, source_grants.c.made_by_load)
    dated = select(*columns, source_grants.c.granted_by, source_grants.c.granted_at)
    return dated.where(source_grants.c.revoked_at.is_(None))


def _is(portfolio: str, name: str):  # noqa: ANN202 - a condition
    return (source_grants.c.portfolio == portfolio) & (source_grants.c.source == name)
