"""Pages of the whole event log, newest first, and the record of who read scores and rejects."""

from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy import Engine, or_, select

from db.connections.clock import now_plus
from db.connections.engine import reading, writing
from db.events.event_log import record_event
from db.schema.core_tables import events, jobs

_TOLD_AGAIN_AFTER_SECONDS = 3600.0


@dataclass(frozen=True)
class LoggedEvent:
    """One line of the log, with its number."""

    id: int
    at: datetime
    event: str
    who: str
    why: str
    job_id: int | None
    shard_id: int | None
    portfolio: str | None


@dataclass(frozen=True)
class Access:
    """An access to results: `what` is scores or rejects, `how` the format and the count, never a record's key."""

    what: str
    who: str
    portfolio: str
    how: str
    job_id: int | None = None


def page_log(
    engine: Engine, *, kind: str | None = None, portfolio: str | None = None, before: int | None = None, limit: int = 50
) -> list[LoggedEvent]:
    """Return the newest events below the number `before`, newest first; of a kind such as key.revoked, or key.*."""
    statement = select(*(events.c[field.name] for field in fields(LoggedEvent))).order_by(events.c.id.desc())
    if kind is not None:
        group, _, name = kind.partition(".")
        is_kind = events.c.event.startswith(f"{group}.", autoescape=True) if name == "*" else events.c.event == kind
        statement = statement.where(is_kind)
    if portfolio is not None:
        of_its_jobs = events.c.job_id.in_(select(jobs.c.id).where(jobs.c.portfolio == portfolio))
        statement = statement.where(or_(events.c.portfolio == portfolio, of_its_jobs))
    if before is not None:
        statement = statement.where(events.c.id < before)
    with reading(engine) as connection:
        return [LoggedEvent(*row) for row in connection.execute(statement.limit(limit))]


def record_access(engine: Engine, access: Access, *, exported: bool = False) -> None:
    """Record an access before anything is shown: if it cannot be recorded, nothing is shown."""
    with writing(engine) as connection:
        record_event(
            connection,
            _name_of(access, exported=exported),
            who=access.who,
            why=access.how,
            job_id=access.job_id,
            portfolio=access.portfolio,
        )


def record_page(engine: Engine, access: Access) -> None:
    """Record that someone reads a job's results, once an hour, because a listing has thousands of pages."""
    same = (
        events.c.job_id == access.job_id,
        events.c.event == _name_of(access, exported=False),
        events.c.who == access.who,
    )
    recent = select(events.c.id).where(*same, events.c.at > now_plus(-_TOLD_AGAIN_AFTER_SECONDS)).limit(1)
    with reading(engine) as connection:
        is_recorded = connection.execute(recent).scalar() is not None
    if not is_recorded:
        record_access(engine, access)


def _name_of(access: Access, *, exported: bool) -> str:
    return f"{access.what}.{'exported' if exported else 'read'}"
