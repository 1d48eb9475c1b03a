"""The append-only event log: who, when and why. Each event is written in the transaction of the change."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, Insert, Select, bindparam, insert, literal, not_, or_, select

from db.connections.engine import reading
from db.events.webhook_queue import ANY_LISTENS, has_receivers_for, queue_deliveries
from db.schema.core_tables import events

LATE = "events.late"  # loaded after a night that should have seen them
_INSERT = insert(events).returning(events.c.id)
# Accesses to results have their own pages (`db.events.event_pages`); here they would bury the other events.
IS_NO_ACCESS = not_(or_(events.c.event.endswith(".read"), events.c.event.endswith(".exported")))
_INSERT_AND_ASK = insert(events).returning(events.c.id, ANY_LISTENS)  # one way to the server instead of two


@dataclass(frozen=True)
class Event:
    """One line of the log."""

    at: datetime
    event: str
    who: str
    why: str
    job_id: int | None
    shard_id: int | None


def record_event(  # noqa: PLR0913 - the columns of an event
    connection: Connection,
    event: str,
    *,
    who: str,
    why: str = "",
    job_id: int | None = None,
    shard_id: int | None = None,
    portfolio: str | None = None,
) -> int:
    """Append one event in the caller's transaction, with its messages to webhooks; return its id."""
    values = {"event": event, "who": who, "why": why, "job_id": job_id, "shard_id": shard_id, "portfolio": portfolio}
    if not has_receivers_for(event):
        return connection.execute(_INSERT, values).scalar_one()
    event_id, any_listens = connection.execute(_INSERT_AND_ASK, values).one()
    if any_listens:
        queue_deliveries(connection, event_id, event, job_id=job_id, portfolio=portfolio)
    return event_id


def insert_with_event(inserted: Insert) -> Select[int, bool]:
    """Return the statement that inserts a row and, only if it did, the event of it: its id and whether webhooks listen.

    `inserted` returns something; the event's values are bound as `event_of_row`, `who`, `of_job`, `of_portfolio`. One
    way to the server instead of two. PostgreSQL alone: SQLite has no data-modifying part of a statement.
    """
    row = inserted.cte("inserted")
    values = {
        "event": bindparam("event_of_row", type_=events.c.event.type),
        "who": bindparam("who", type_=events.c.who.type),
        "why": literal("", events.c.why.type),
        "job_id": bindparam("of_job", type_=events.c.job_id.type),
        "portfolio": bindparam("of_portfolio", type_=events.c.portfolio.type),
    }
    logged = insert(events).from_select([*values], select(*values.values()).select_from(row)).returning(events.c.id)
    return select(logged.cte("logged").c.id, ANY_LISTENS)


def record_shard_events(
    connection: Connection, event: str, shard_ids: Sequence[int], *, who: str, why: str = "", job_id: int
) -> None:
    """Append one event for each of these shards of a job in the caller's transaction."""
    same = {"event": event, "who": who, "why": why, "job_id": job_id}
    if shard_ids:
        connection.execute(insert(events), [same | {"shard_id": shard_id} for shard_id in shard_ids])


def list_events(engine: Engine, job_id: int, *, limit: int = 200, of_shards: bool | None = None) -> list[Event]:
    """Return the newest events of a job, oldest first; optionally only those of its shards, or only its own."""
    columns = (events.c.at, events.c.event, events.c.who, events.c.why, events.c.job_id, events.c.shard_id)
    statement = (
        select(*columns).where(events.c.job_id == job_id, IS_NO_ACCESS).order_by(events.c.id.desc()).limit(limit)
    )
    if of_shards is not None:
        statement = statement.where(events.c.shard_id.is_not(None) if of_shards else events.c.shard_id.is_(None))
    with reading(engine) as connection:
        return [Event(*row) for row in reversed(connection.execute(statement).all())]


def list_portfolio_events(engine: Engine, portfolio: str, *, limit: int = 50, only: str | None = None) -> list[Event]:
    """Return the newest events that name a portfolio (models, schedules, definitions), newest first.

    `only` is the name of the events that are wanted, None for all.
    """
    columns = (events.c.at, events.c.event, events.c.who, events.c.why, events.c.job_id, events.c.shard_id)
    statement = select(*columns).where(events.c.portfolio == portfolio, IS_NO_ACCESS)
    if only is not None:
        statement = statement.where(events.c.event == only)
    statement = statement.order_by(events.c.id.desc()).limit(limit)
    with reading(engine) as connection:
        return [Event(*row) for row in connection.execute(statement)]
