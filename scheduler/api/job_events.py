"""`/v1/jobs/{id}/events`: what happens to a job, as server-sent events, until it has ended."""

import json
import time
from collections.abc import AsyncGenerator
from typing import Annotated

import anyio
import anyio.to_thread
from fastapi import APIRouter, Header
from fastapi.responses import StreamingResponse

from db.engine import Engine
from db.jobs import Job, get_job
from db.pages import list_events_after
from scheduler.api.context import Reader
from scheduler.api.job_documents import describe_job
from scheduler.api.parameters import JobId, problems

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

_EVENT_SCHEMA = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("id", "event", "data")},
}
LOOK_SECONDS = 0.5
KEEP_ALIVE_SECONDS = 15.0

LastEventId = Annotated[
    str | None,
    Header(alias="Last-Event-ID", pattern=r"^[0-9]{1,18}$", description="Go on after this event.", examples=["120"]),
]


@router.get(
    "/{job_id}/events",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "`event` (a line of the log), `progress` (the job as JSON), `end` (its last state).",
            "content": {
                "text/event-stream": {
                    "schema": _EVENT_SCHEMA,
                    "example": 'id: 7\nevent: event\ndata: {"event": "job.done"}\n\n',
                }
            },
        },
        **problems(404),
    },
)
def stream_events(caller: Reader, job_id: JobId, last_event_id: LastEventId = None) -> StreamingResponse:
    """Follow a job: every event of its log, and its counts whenever they change."""
    caller.job(job_id)
    seconds = caller.context.settings.api_stream_seconds
    stream = _follow(caller.engine, job_id, int(last_event_id or 0), seconds)
    return StreamingResponse(stream, media_type="text/event-stream", headers={"Cache-Control": "no-store"})


async def _follow(engine: Engine, job_id: int, seen: int, seconds: float) -> AsyncGenerator[str]:
    ends = time.monotonic() + seconds
    last_counts, last_word = "", time.monotonic()
    while True:
        job, found = await anyio.to_thread.run_sync(_look, engine, job_id, seen)
        for event_id, text in found:
            seen = event_id
            yield f"id: {event_id}\nevent: event\ndata: {text}\n\n"
        counts = describe_job(job).model_dump_json()
        if counts != last_counts:
            yield f"event: {'progress' if job.is_open else 'end'}\ndata: {counts}\n\n"
            last_counts, last_word = counts, time.monotonic()
        if not job.is_open or time.monotonic() > ends:
            return
        if time.monotonic() - last_word > KEEP_ALIVE_SECONDS:
            yield ": still here\n\n"
            last_word = time.monotonic()
        await anyio.sleep(LOOK_SECONDS)


def _look(engine: Engine, job_id: int, seen: int) -> tuple[Job, list[tuple[int, str]]]:
    # The job before its events: what ended it is then among them.
    job = get_job(engine, job_id)
    found = list_events_after(engine, job_id, seen)
    told = [
        (number, {"event": one.event, "at": one.at.isoformat(), "who": one.who, "why": one.why, "shard": one.shard_id})
        for number, one in found
    ]
    return job, [(number, json.dumps(document)) for number, document in told]
