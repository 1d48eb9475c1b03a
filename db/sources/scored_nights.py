"""The newest night that was scored, so that events which come after it are told as late."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from sqlalchemy import Connection, select

from db.portfolios.definition import PortfolioDefinition
from db.schema.core_tables import jobs
from db.schema.states import JobKind, JobState
from db.sources.event_times import as_microseconds

_NEWEST_JOBS = 100  # a past that is scored again later is not the newest night


@dataclass(frozen=True)
class Night:
    """The date of a night, and its end in microseconds since 1970 in UTC: the first moment that it did not see."""

    date: str
    end: int


def find_newest_night(connection: Connection, definition: PortfolioDefinition) -> Night | None:
    """Return the night with the latest date among the newest finished scoring jobs; None if none was scored."""
    scored = select(jobs.c.options, jobs.c.created_at).where(
        jobs.c.portfolio == definition.name, jobs.c.kind == JobKind.SCORING, jobs.c.state == JobState.DONE
    )
    rows = connection.execute(scored.order_by(jobs.c.id.desc()).limit(_NEWEST_JOBS))
    dates = [definition.monitoring.date_of(row.options, row.created_at) for row in rows]
    if not dates:
        return None
    end = datetime.combine(max(dates) + timedelta(days=1), time(), UTC)
    return Night(max(dates).isoformat(), as_microseconds(end))
