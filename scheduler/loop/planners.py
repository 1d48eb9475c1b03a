"""Plans several books at once, each in its own thread, so that a slow one does not delay the others.

A planning that lasts for more than QUICK_SECONDS is slow, and so is its book from then on. Of SLOTS threads slow ones
may have SLOW_SLOTS; where there are more, the youngest is cut off and waits for its turn among the slow ones. So a book
that is not slow always finds a thread within QUICK_SECONDS.
"""

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from logging import getLogger

from db.connections.engine import Engine
from db.connections.interruption import Interruption
from db.errors import DatabaseError, DatabaseUnreachableError, DatabaseWriteRefusedError, SourceBusyError
from db.events.wording import counted
from db.ledger.plannings import (
    UnplannedJob,
    claim_planning,
    give_back_planning,
    list_unplanned,
    put_off_planning,
    renew_plannings,
)
from db.schema.states import JobKind
from scheduler.loop.shard_planning import describe, fail_unplanned, plan_job

logger = getLogger(__name__)

SLOTS, SLOW_SLOTS = 8, 6
QUICK_SECONDS = 0.5  # an index walk over 2 million keys takes as long
LEASE_SECONDS = 10.0  # how soon another scheduler plans what a dead one had begun
RENEW_SECONDS = 2.0
STOP_SECONDS = 2.0  # a driver that does not let go is left behind
PUT_OFF_SECONDS = 2.0  # doubled with every attempt
_CUT_OFF, _OVERDUE = "other books had to be planned first", "it took too long"


@dataclass
class Planning:
    """One job that a thread plans now."""

    job: UnplannedJob
    attempt: int
    began_at: float = field(default_factory=time.monotonic)
    interruption: Interruption = field(default_factory=Interruption)
    stopped_because: str | None = None
    error: Exception | None = None
    ended_at: float | None = None

    @property
    def is_over(self) -> bool:
        """Whether its thread is done with it."""
        return self.ended_at is not None

    def is_slow(self, now: float) -> bool:
        """Whether it lasts for longer than a book that is read by its index."""
        return (self.ended_at or now) - self.began_at > QUICK_SECONDS


class Planners:
    """The plannings of one scheduler."""

    def __init__(
        self,
        engine: Engine,
        *,
        name: str,
        shard_rows: int | None,
        max_attempts: int,
        longest_seconds: float,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self._engine, self._name, self._shard_rows = engine, name, shard_rows
        self._max_attempts, self._longest_seconds, self._on_end = max_attempts, longest_seconds, on_end
        self._running: list[Planning] = []
        self._slow_books: set[str] = set()
        self._renewed_at = 0.0
        self._look_again = threading.Event()

    @property
    def is_busy(self) -> bool:
        """Whether anything is being planned."""
        return bool(self._running)

    def look(self) -> None:
        """Answer for what has ended, keep what goes on, cut off what must end, begin what waits. Never waits itself."""
        self._answer_for_ended()
        self._renew()
        self._cut_off(time.monotonic())
        self._begin_waiting()

    def stop(self) -> None:
        """Interrupt every planning and give its job back: another scheduler, or the next one, plans it."""
        for planning in self._running:
            planning.stopped_because = _CUT_OFF
        ends = time.monotonic() + STOP_SECONDS
        while time.monotonic() < ends and not all(one.is_over for one in self._running):
            for planning in self._running:
                _interrupt(planning)
            self._look_again.wait(0.05)
        for planning in self._running:
            try:
                give_back_planning(self._engine, planning.job.job_id, planner=self._name)
            except DatabaseError as error:
                logger.warning(
                    "The job was not released; its lease will expire: job %d: %s", planning.job.job_id, error
                )

    def _begin_waiting(self) -> None:
        waiting = list_unplanned(self._engine)
        for job in (job for job in waiting if job.kind is not JobKind.SCORING):
            self._begin(job, self._plan)  # nothing of the book is read for it
        self._answer_for_ended()
        books = [job for job in waiting if job.kind is JobKind.SCORING]
        now = time.monotonic()
        slow = {one.job.portfolio: one.is_slow(now) for one in self._running}
        for job in choose_books(books, slow, self._slow_books):
            self._begin(job, self._plan_apart)

    def _begin(self, job: UnplannedJob, plan: Callable[[Planning], None]) -> None:
        attempt = claim_planning(self._engine, job.job_id, planner=self._name, lease_seconds=LEASE_SECONDS)
        if attempt is None:
            return
        if attempt > self._max_attempts:  # its planner died, or lost the database, every time
            fail_unplanned(self._engine, job.job_id, f"planning never finished in {counted(attempt - 1, 'attempt')}")
            return
        planning = Planning(job, attempt)
        self._running.append(planning)
        plan(planning)

    def _plan_apart(self, planning: Planning) -> None:
        # A daemon: a driver that does not let go must not keep the process from stopping.
        name = f"planner-{planning.job.job_id}"
        threading.Thread(target=self._plan, args=(planning,), name=name, daemon=True).start()

    def _plan(self, planning: Planning) -> None:
        try:
            job_id, interruption = planning.job.job_id, planning.interruption
            plan_job(self._engine, job_id, shard_rows=self._shard_rows, interruption=interruption)
        except Exception as error:  # noqa: BLE001 - the border of a thread; answered for by the loop
            planning.error = error
        finally:
            planning.ended_at = time.monotonic()
            self._on_end()

    def _answer_for_ended(self) -> None:
        for planning in [one for one in self._running if one.is_over]:
            book = planning.job.portfolio
            if planning.is_slow(time.monotonic()):
                self._slow_books.add(book)
            elif planning.error is None:
                self._slow_books.discard(book)
            try:
                self._answer(planning)
            except DatabaseError as error:  # retried at the next check; the lease is kept meanwhile
                logger.warning("The result of a planning could not be stored: job %d: %s", planning.job.job_id, error)
                continue
            self._running.remove(planning)

    def _answer(self, planning: Planning) -> None:
        job_id, error = planning.job.job_id, planning.error
        if error is None:
            return
        is_about_all = isinstance(error, DatabaseUnreachableError | DatabaseWriteRefusedError)
        if planning.stopped_because == _CUT_OFF or is_about_all:
            logger.warning(
                "The job is waiting to be planned again: job %d: %s", job_id, planning.stopped_because or error
            )
            give_back_planning(self._engine, job_id, planner=self._name)
        elif isinstance(error, SourceBusyError) and planning.attempt < self._max_attempts:
            self._put_off(planning, error)
        else:
            tried = (
                f" ({planning.stopped_because}; {counted(planning.attempt, 'attempt')})"
                if planning.stopped_because
                else ""
            )
            fail_unplanned(self._engine, job_id, f"{describe(error)}{tried}")

    def _put_off(self, planning: Planning, error: SourceBusyError) -> None:
        job_id, seconds = planning.job.job_id, PUT_OFF_SECONDS * 2 ** (planning.attempt - 1)
        reason = f" ({planning.stopped_because})" if planning.stopped_because else ""
        why = f"planning attempt {planning.attempt} of {self._max_attempts} failed: {error}{reason}"
        logger.warning("The job will be planned again in %g s: job %d: %s", seconds, job_id, why)
        put_off_planning(self._engine, job_id, planner=self._name, why=why, seconds=seconds)

    def _renew(self) -> None:
        now = time.monotonic()
        if not self._running or now - self._renewed_at < RENEW_SECONDS:
            return
        self._renewed_at = now
        job_ids = [one.job.job_id for one in self._running]
        ours = renew_plannings(self._engine, job_ids, planner=self._name, lease_seconds=LEASE_SECONDS)
        for planning in self._running:
            if planning.job.job_id not in ours and planning.stopped_because is None:  # cancelled, or paused
                planning.stopped_because = _CUT_OFF

    def _cut_off(self, now: float) -> None:
        slow = [one for one in self._running if one.is_slow(now)]
        for planning in sorted(slow, key=lambda one: one.began_at)[SLOW_SLOTS:]:
            self._slow_books.add(planning.job.portfolio)
            planning.stopped_because = planning.stopped_because or _CUT_OFF
        for planning in self._running:
            if now - planning.began_at > self._longest_seconds:
                planning.stopped_because = planning.stopped_because or f"{_OVERDUE}: {self._longest_seconds:g} s"
            if planning.stopped_because and not planning.is_over:  # at every check: it may be between two statements
                _interrupt(planning)


def choose_books(
    waiting: Sequence[UnplannedJob], running: Mapping[str, bool], slow_books: Collection[str]
) -> list[UnplannedJob]:
    """Return the jobs to begin: one of each book that is not `running` (with whether it is slow), slow ones last.

    >>> jobs = [UnplannedJob(1, JobKind.SCORING, "slow"), UnplannedJob(2, JobKind.SCORING, "quick")]
    >>> [job.job_id for job in choose_books(jobs, {}, {"slow"})]
    [2, 1]
    """
    chosen: list[UnplannedJob] = []
    slow_room = SLOW_SLOTS - sum(is_slow or book in slow_books for book, is_slow in running.items())
    for job in sorted(waiting, key=lambda one: one.portfolio in slow_books):
        is_slow = job.portfolio in slow_books
        if job.portfolio in running or (is_slow and slow_room <= 0):
            continue
        if len(running) + len(chosen) >= SLOTS:
            break
        slow_room -= is_slow
        chosen.append(job)
    return chosen


def _interrupt(planning: Planning) -> None:
    # Cancelling asks the server over a connection of its own, which may hang where the server does.
    threading.Thread(target=planning.interruption.interrupt, daemon=True).start()
