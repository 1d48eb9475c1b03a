"""Finds jobs that cannot finish in the present situation, and says what to do about each."""

from dataclasses import dataclass

from db.connections.engine import Engine
from db.events.wording import counted
from db.operations.diagnosis import OpenJob, list_open_jobs
from db.operations.processes import list_processes
from db.schema.states import JobState

_PLANNING_SECONDS = 60  # a scheduler checks several times a second


@dataclass(frozen=True)
class UnfinishableJob:
    """A job, why it cannot end, and what to do."""

    job_id: int
    why: str
    advice: str


def find_unfinishable_jobs(engine: Engine) -> list[UnfinishableJob]:
    """Return the jobs that cannot end, oldest first."""
    alive = [one.kind for one in list_processes(engine) if one.is_alive]
    queues = [kind.removeprefix("worker:").split(",") for kind in alive if kind.startswith("worker:")]
    served = {queue for one in queues for queue in one}
    found = ((job, _examine(job, served, has_scheduler="scheduler" in alive)) for job in list_open_jobs(engine))
    return [UnfinishableJob(job.job_id, *hindrance) for job, hindrance in found if hindrance is not None]


def find_hindrance(engine: Engine, job_id: int) -> str:
    """Return why nothing works on an open job and what to do, "" where something does."""
    found = next((one for one in find_unfinishable_jobs(engine) if one.job_id == job_id), None)
    return "" if found is None else f"{found.why}; {found.advice}"


def _examine(job: OpenJob, served: set[str], *, has_scheduler: bool) -> tuple[str, str] | None:
    if job.state is JobState.PAUSED:
        return _examine_paused(job)
    if not has_scheduler:
        return "no scheduler is running", "start one: tidemark up"
    if job.state is JobState.QUEUED:
        is_late = job.waits_seconds > _PLANNING_SECONDS
        return (
            (f"not planned for {job.waits_seconds:.0f} s", "look for the job in the scheduler's log")
            if is_late
            else None
        )
    if job.says_open != job.waiting + job.running:
        counts = f"its row says {counted(job.says_open, 'open shard')}, but there are {job.waiting + job.running:,}"
        return counts, f"tidemark job cancel {job.job_id}, submit it again, and report this as a fault"
    if job.queue not in served:
        return f"no worker serves the queue {job.queue}", f"tidemark worker --queues {job.queue}, or: tidemark up"
    return None


def _examine_paused(job: OpenJob) -> tuple[str, str]:
    if job.cause is None:
        return "paused by a person", f"tidemark job resume {job.job_id}"
    return f"paused, {job.cause}: {job.detail}", "fix the cause; the job then continues automatically"
