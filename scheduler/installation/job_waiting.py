"""Waits for a job to end, and starts the parts that are needed and not running on this machine."""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from db.connections.engine import Engine
from db.ledger.job_lifecycle import Job, find_follow_up, get_job
from db.operations.processes import list_processes
from db.schema.states import QUEUE_OF_KIND
from scheduler.errors import WaitingTimeoutError
from scheduler.installation.parts import build_parts, queues_for
from scheduler.installation.supervision import Supervisor
from scheduler.installation.unfinishable_jobs import find_hindrance
from scheduler.settings import SchedulerSettings

LOOK_SECONDS = 0.2
TEND_SECONDS = 1.0
WARN_AFTER_SECONDS = 5.0
MONITOR_SECONDS = 30.0  # the scores are there; the report about them is worth a short wait, not a long one


@contextmanager
def running_parts(
    settings: SchedulerSettings,
    queues: tuple[str, ...],
    on_event: Callable[[str], None],
    *,
    with_api: bool = False,
) -> Generator[Supervisor]:
    """Run the parts that serve these queues until the block ends, sharing those of other commands."""
    parts = build_parts(settings, queues, with_api=with_api)
    supervisor = Supervisor(parts, settings.state_folder / "run", on_event=on_event)
    try:
        supervisor.tend()
        yield supervisor
    finally:
        supervisor.stop()


def wait_for_job(
    engine: Engine,
    settings: SchedulerSettings,
    job_id: int,
    *,
    on_look: Callable[[Job], None],
    on_event: Callable[[str], None],
    timeout_seconds: float | None = None,
) -> Job:
    """Return the job once it has ended, a scoring job once it has been monitored too.

    `on_look` gets the job at every poll. With the embedded Redis, the required parts are started and stopped again;
    with a separate Redis, a scheduler and workers must run somewhere.

    Raises `WaitingTimeoutError`, which says what is missing if no process serves the job.
    """
    try:
        return _wait(engine, settings, get_job(engine, job_id), on_look, on_event, Patience(timeout_seconds))
    except WaitingTimeoutError as error:  # what this command ran has stopped and signed off
        hindrance = find_hindrance(engine, job_id)
        raise WaitingTimeoutError(job_id, error.state, error.seconds, hindrance) from None


def _wait(
    engine: Engine,
    settings: SchedulerSettings,
    job: Job,
    on_look: Callable[[Job], None],
    on_event: Callable[[str], None],
    patience: "Patience",
) -> Job:
    if not settings.is_redis_embedded:
        warn = _warning_without_scheduler(engine, on_event)
        return _wait_through(engine, job, on_look, warn, patience)
    with running_parts(settings, queues_for(QUEUE_OF_KIND[job.kind]), on_event) as supervisor:
        return _wait_through(engine, job, on_look, supervisor.tend, patience)


class Patience:
    """The time to wait; None means without limit."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self._ends = None if seconds is None else time.monotonic() + seconds
        self._pause = threading.Event()

    @property
    def is_over(self) -> bool:
        """Whether the time has passed."""
        return self._ends is not None and time.monotonic() >= self._ends

    def pause(self) -> None:
        """Pause between two polls."""
        self._pause.wait(LOOK_SECONDS)


def _wait_through(
    engine: Engine, job: Job, on_look: Callable[[Job], None], tend: Callable[[], None], patience: Patience
) -> Job:
    ended = _look_until_ended(engine, job, on_look, tend, patience)
    follow_up = find_follow_up(engine, ended.id)
    if follow_up is not None and follow_up.is_open:
        _look_until_ended(engine, follow_up, lambda _job: None, tend, Patience(MONITOR_SECONDS), is_required=False)
    # The monitor may have marked the scores as not to be used.
    return ended if follow_up is None else get_job(engine, ended.id)


def _look_until_ended(
    engine: Engine,
    job: Job,
    on_look: Callable[[Job], None],
    tend: Callable[[], None],
    patience: Patience,
    *,
    is_required: bool = True,
) -> Job:
    next_tend = 0.0
    on_look(job)
    while job.is_open:
        if patience.is_over:
            if is_required:
                raise WaitingTimeoutError(job.id, job.state, patience.seconds or 0.0)
            break
        if time.monotonic() >= next_tend:
            tend()
            next_tend = time.monotonic() + TEND_SECONDS
        patience.pause()
        job = get_job(engine, job.id)
        on_look(job)
    return job


def _warning_without_scheduler(engine: Engine, on_event: Callable[[str], None]) -> Callable[[], None]:
    """Return a function that says once when no scheduler has been seen for a while."""
    said: list[bool] = []
    begun = time.monotonic()

    def look() -> None:
        if said or time.monotonic() - begun < WARN_AFTER_SECONDS:
            return
        if not any(one.is_alive for one in list_processes(engine)):
            said.append(True)
            on_event(
                "No scheduler or worker has been active on this database for a minute. Start them with: tidemark up"
            )

    return look
