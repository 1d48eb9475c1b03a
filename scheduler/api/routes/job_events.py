"""`/v1/jobs/{id}/events`: what happens to a job, as server-sent events, until it has ended."""

import time
from collections.abc import AsyncGenerator
from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.responses import StreamingResponse

from scheduler.api.context import Reader
from scheduler.api.job_watch import JobWatch, Sight
from scheduler.api.parameters import JobId, problems
from scheduler.api.watched import WatchedResponse

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

_EVENT_SCHEMA = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("id", "event", "data")},
}
KEEP_ALIVE_SECONDS = 15.0

LastEventId = Annotated[
    str | None,
    Header(alias="Last-Event-ID", pattern=r"^[0-9]{1,18}$", description="Continue after this event.", examples=["120"]),
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
    stream = _follow(caller.context.jobs, job_id, int(last_event_id or 0), seconds)
    return WatchedResponse(stream, caller=caller, media_type="text/event-stream", headers={"Cache-Control": "no-store"})


async def _follow(watch: JobWatch, job_id: int, last_event: int, seconds: float) -> AsyncGenerator[str]:
    ends = time.monotonic() + seconds
    sight: Sight | None = None
    last_counts = ""
    watch.follow(job_id)
    try:
        while time.monotonic() < ends:
            now = await watch.next_sight(job_id, sight, seconds=min(KEEP_ALIVE_SECONDS, ends - time.monotonic()))
            if now is sight or now is None:
                yield ": still here\n\n"
                continue
            sight = now
            while last_event < sight.newest_event and (found := await watch.events_after(job_id, last_event)):
                for event_id, text in found:
                    last_event = event_id
                    yield f"id: {event_id}\nevent: event\ndata: {text}\n\n"
            if sight.counts != last_counts:
                last_counts = sight.counts
                yield f"event: {'progress' if sight.is_open else 'end'}\ndata: {sight.counts}\n\n"
            if not sight.is_open:
                return
    finally:
        watch.leave(job_id)
