"""`/v1/events`: the whole event log, for keys that reach everything."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from db.events.event_pages import LoggedEvent, page_log
from scheduler.api.context import Admin
from scheduler.api.parameters import NAME_PATTERN, Document, Limit, NumberCursor, Page, problems
from scheduler.api.problems import Problem

router = APIRouter(prefix="/v1/events", tags=["access"])

KIND_PATTERN = r"^[a-z_]{1,40}\.([a-z_]{1,40}|\*)$"
_Kind = Annotated[
    str | None, Query(pattern=KIND_PATTERN, description="Such as key.revoked, or key.*", examples=["key.*"])
]


class EventDocument(Document):
    """Something that happened."""

    id: int = Field(examples=[120])
    at: datetime = Field(examples=["2026-11-24T21:59:03Z"])
    event: str = Field(examples=["scores.exported"])
    who: str = Field(examples=["key 3f9c2a10be77 (nightly)"])
    why: str = Field(examples=["csv, 49990 scores"])
    job: int | None = Field(examples=[2])
    shard: int | None = Field(examples=[None])
    portfolio: str | None = Field(examples=["customers"])


class EventPage(Page):
    """Events, newest first."""

    events: list[EventDocument]


@router.get("", response_model=EventPage, responses=problems())
def list_(
    caller: Admin,
    cursor: NumberCursor = None,
    limit: Limit = 50,
    kind: _Kind = None,
    portfolio: Annotated[str | None, Query(pattern=NAME_PATTERN, examples=["customers"])] = None,
) -> EventPage:
    """List the event log, newest first, including changes to API keys and who read scores."""
    if caller.key.portfolios is not None:
        raise Problem(403, "not-allowed", "the event log covers every portfolio, but this key is limited to some")
    before = None if cursor is None else int(cursor)
    found = page_log(caller.engine, kind=kind, portfolio=portfolio, before=before, limit=limit + 1)
    more = str(found[limit - 1].id) if len(found) > limit else None
    return EventPage(events=[_describe(one) for one in found[:limit]], next_cursor=more)


def _describe(one: LoggedEvent) -> EventDocument:
    names = ("id", "at", "event", "who", "why", "portfolio")
    return EventDocument(job=one.job_id, shard=one.shard_id, **{name: getattr(one, name) for name in names})
