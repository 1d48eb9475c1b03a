"""Time by the calendar of a book: the dates of its nights, not the clock of the machines that score them."""

from db.connections.engine import Connection
from db.ledger.job_lifecycle import Job, find_job
from worker.records.moments import date_of_night

FAR = 100_000  # days: no limit of a policy reaches so far


def days_between(connection: Connection, earlier: int | None, night: Job) -> int:
    """Return the days from an earlier scoring job to this one; `FAR` if there is no earlier one."""
    if earlier is None:
        return FAR
    return max(0, (date_of_night(night) - date_of_night(find_job(connection, earlier))).days)
