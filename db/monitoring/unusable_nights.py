"""Marks a job's scores as unusable: they are kept for auditors, but no longer shown as the newest."""

from sqlalchemy import Connection, update

from db.events.event_log import record_event
from db.schema.core_tables import jobs
from db.schema.states import JobKind


def mark_unusable(connection: Connection, job_id: int, why: str, *, who: str) -> bool:
    """Mark a scoring job in the caller's transaction; return whether this call did it: the first reason is kept."""
    is_free = (jobs.c.id == job_id) & (jobs.c.kind == JobKind.SCORING) & jobs.c.unusable_reason.is_(None)
    if connection.execute(update(jobs).where(is_free).values(unusable_reason=why)).rowcount != 1:
        return False
    record_event(connection, "job.unusable", who=who, job_id=job_id, why=why)
    return True


def clear_unusable(connection: Connection, job_id: int, why: str, *, who: str) -> bool:
    """Remove the mark in the caller's transaction; return whether there was one."""
    is_marked = (jobs.c.id == job_id) & jobs.c.unusable_reason.is_not(None)
    if connection.execute(update(jobs).where(is_marked).values(unusable_reason=None)).rowcount != 1:
        return False
    record_event(connection, "job.usable", who=who, job_id=job_id, why=why)
    return True
