"""Reads every followed job in one task and one thread, however many streams are open."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from logging import getLogger

import anyio
import anyio.to_thread

from db.connections.engine import Engine
from db.errors import DatabaseError
from db.events.event_log import Event
from db.ledger.job_lifecycle import Job
from db.results.result_pages import find_newest_events, list_events_after, list_jobs_of
from scheduler.api.job_documents import describe_job
from scheduler.api.seldom import SeldomLogger

LOOK_SECONDS = 0.5
_THREADS = 2  # of all streams together
_seldom = SeldomLogger(getLogger(__name__))


@dataclass(frozen=True)
class Sight:
    """A snapshot of a job: its counts as JSON, and the id of its newest event."""

    is_open: bool
    counts: str
    newest_event: int


@dataclass
class _Followed:
    """A job with its streams."""

    streams: int = 0
    sight: Sight | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class JobWatch:
    """Shared by the streams of one event loop. Reads only while a stream is open."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._threads = anyio.CapacityLimiter(_THREADS)
        self._followed: dict[int, _Followed] = {}
        self._task: asyncio.Task[None] | None = None
        self._event_reads: dict[tuple[int, int], asyncio.Task[list[tuple[int, str]]]] = {}

    def follow(self, job_id: int) -> None:
        """Start reading this job."""
        self._followed.setdefault(job_id, _Followed()).streams += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    def leave(self, job_id: int) -> None:
        """Stop reading the job if this was its last stream."""
        followed = self._followed[job_id]
        followed.streams -= 1
        if followed.streams == 0:
            del self._followed[job_id]

    async def next_sight(self, job_id: int, before: Sight | None, *, seconds: float) -> Sight | None:
        """Return the job as soon as it changes, or unchanged after that many seconds."""
        followed = self._followed[job_id]
        if followed.sight is not before:
            return followed.sight
        try:
            async with asyncio.timeout(seconds):
                await followed.changed.wait()
        except TimeoutError:
            return before
        return followed.sight

    async def events_after(self, job_id: int, after_id: int) -> list[tuple[int, str]]:
        """Return the job's events after one of them, with ids, as JSON; streams at the same event share a query."""
        place = (job_id, after_id)
        asked = self._event_reads.get(place)
        if asked is None:
            asked = asyncio.create_task(self._read_events(job_id, after_id))
            self._event_reads[place] = asked
            asked.add_done_callback(lambda _: self._event_reads.pop(place, None))
        return await asyncio.shield(asked)

    async def _read_events(self, job_id: int, after_id: int) -> list[tuple[int, str]]:
        return await anyio.to_thread.run_sync(_read_events, self._engine, job_id, after_id, limiter=self._threads)

    async def _run(self) -> None:
        while self._followed:
            try:
                self._note(
                    await anyio.to_thread.run_sync(_look, self._engine, list(self._followed), limiter=self._threads)
                )
            except DatabaseError as error:
                _seldom.warning("Followed jobs cannot be read: %s", error)
            await asyncio.sleep(LOOK_SECONDS)

    def _note(self, sights: Mapping[int, Sight]) -> None:
        for job_id, sight in sights.items():
            followed = self._followed.get(job_id)
            if followed is not None and followed.sight != sight:
                followed.sight = sight
                followed.changed.set()
                followed.changed = asyncio.Event()


def _look(engine: Engine, job_ids: list[int]) -> dict[int, Sight]:
    # The jobs before their events: what ended a job is then among them.
    jobs = list_jobs_of(engine, job_ids)
    newest = find_newest_events(engine, job_ids)
    return {job.id: _sight_of(job, newest.get(job.id, 0)) for job in jobs}


def _sight_of(job: Job, newest: int) -> Sight:
    return Sight(job.is_open, describe_job(job).model_dump_json(), newest)


def _read_events(engine: Engine, job_id: int, after_id: int) -> list[tuple[int, str]]:
    return [(number, json.dumps(_tell(one))) for number, one in list_events_after(engine, job_id, after_id)]


def _tell(one: Event) -> dict[str, object]:
    return {"event": one.event, "at": one.at.isoformat(), "who": one.who, "why": one.why, "shard": one.shard_id}
