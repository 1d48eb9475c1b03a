"""What follows a submitted job at the command line: wait for it, or say where it is."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from db.ledger.job_lifecycle import Job
    from scheduler.cli.session import Session


def tell_detached(session: "Session", job_id: int) -> int:
    """Say that the job is stored, and how to follow it."""
    from db.ledger.job_lifecycle import get_job
    from scheduler.cli.commands.job import job_document

    session.output.emit(job_document(get_job(session.engine, job_id)))
    session.output.show(f"Job {job_id} is stored.")
    if session.settings.is_redis_embedded:
        session.output.say(f"It runs while `tidemark up` is running. See it with: tidemark job show {job_id}")
    return 0


def wait_for(session: "Session", job_id: int, timeout: float | None) -> "Job":
    """Show the job's progress until it ends. Ctrl-C ends the waiting, not the job."""
    from scheduler.cli.progress import job_progress
    from scheduler.installation.job_waiting import wait_for_job

    say = session.output.say
    try:
        with job_progress(say) as on_look:
            return wait_for_job(
                session.engine, session.settings, job_id, on_look=on_look, on_event=say, timeout_seconds=timeout
            )
    except KeyboardInterrupt:
        say(f"No longer waiting. Job {job_id} is kept; cancel it with: tidemark job cancel {job_id}")
        raise
