"""Tests whether the database accepts writes: if not, the pause of a job cannot be stored there."""

from dataclasses import replace

from sqlalchemy import Engine, delete, insert

from db.connections.engine import opened_engine, writing
from db.errors import DatabaseUnreachableError, DatabaseWriteRefusedError
from db.ledger.job_lifecycle import Job, get_job
from db.schema.core_tables import processes
from db.schema.states import JobState, PauseCause

_PROBE = "probe"
_BUSY_SECONDS = 1.0  # a longer write by another process proves that writes are accepted


def find_write_refusal(engine: Engine) -> DatabaseWriteRefusedError | None:
    """Write a row and delete it again; return the refusal; None if the database accepted it or is busy."""
    url = engine.url.render_as_string(hide_password=False)
    try:
        with opened_engine(url, busy_seconds=_BUSY_SECONDS) as impatient, writing(impatient) as connection:
            connection.execute(insert(processes).values(name=_PROBE, kind=_PROBE))
            connection.execute(delete(processes).where(processes.c.name == _PROBE))
    except DatabaseWriteRefusedError as error:
        return error
    except DatabaseUnreachableError:
        return None
    return None


def get_job_as_it_stands(engine: Engine, job_id: int) -> Job:
    """Return a job; an open one shows as paused, with the cause, while the database refuses writes.

    Such a database cannot store that state. Work continues automatically when it accepts writes again.
    """
    job = get_job(engine, job_id)
    refusal = find_write_refusal(engine) if job.is_open else None
    if refusal is None:
        return job
    cause = PauseCause.DISK_FULL if refusal.is_disk_full else PauseCause.DATABASE_REFUSES_WRITES
    return replace(job, state=JobState.PAUSED, cause=cause, detail=str(refusal), resume_at=None)
