"""Time by the calendar of a book: the dates of its nights, not the clock of the machines that score them."""

from datetime import date

from db.connections.engine import Connection
from db.ledger.job_lifecycle import Job, find_job

FAR = 100_000  # days: no limit of a policy reaches so far


def date_of_night(night: Job) -> date:
    """Return the date of a scoring job's records."""
    return night.definition.monitoring.date_of(night.options, night.created_at)


def days_between(connection: Connection, earlier: int | None, night: Job) -> int:
    """Return the days from an earlier scoring job to this one; `FAR` if there is no earlier one."""
    if earlier is None:
        return FAR
    return max(0, (date_of_night(night) - date_of_night(find_job(connection, earlier))).days)
