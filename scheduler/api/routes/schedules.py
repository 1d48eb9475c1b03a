"""`/v1/schedules`: the timetable."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Body, Query, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from db.connections.engine import reading
from db.schedules.due_time_runs import list_runs
from db.schedules.timetable import Schedule, ScheduleRequest, find_schedule, list_schedules
from db.schema.states import CatchUp, Overlap, RunCause, RunState, ScheduleState
from scheduler.api.context import Caller, Operator, Reader
from scheduler.api.job_documents import JobDocument, Reason, describe_job
from scheduler.api.parameters import NAME_PATTERN, Document, Limit, Page, ScheduleId, problems
from scheduler.api.problems import Problem, not_found
from scheduler.api.strict_json import StrictRoute
from scheduler.errors import UsageError
from scheduler.loop.due_times import read_timetable
from scheduler.requests.schedule_changes import (
    add_schedule,
    pause_schedule,
    remove_schedule,
    resume_schedule,
    run_schedule_now,
)

router = APIRouter(prefix="/v1/schedules", tags=["schedules"], route_class=StrictRoute)

_IdCursor = Annotated[
    str | None,
    Query(
        alias="cursor", description="`next_cursor` of the previous page.", pattern="^[1-9][0-9]{0,8}$", examples=["4"]
    ),
]


class NewSchedule(Document):
    """Score a book with its champion at every due time."""

    portfolio: str = Field(pattern=NAME_PATTERN, examples=["customers"])
    cron: str = Field(max_length=200, description="five fields: minute hour day month weekday", examples=["30 2 * * *"])
    time_zone: str = Field(default="UTC", max_length=64, description="IANA name", examples=["Europe/Berlin"])
    catch_up: CatchUp = Field(default=CatchUp.LATEST, examples=["latest"])
    overlap: Overlap = Field(default=Overlap.SKIP, examples=["skip"])


class ScheduleDocument(Document):
    """One schedule."""

    schedule: int = Field(examples=[1])
    portfolio: str = Field(examples=["customers"])
    cron: str = Field(examples=["30 2 * * *"])
    time_zone: str = Field(examples=["Europe/Berlin"])
    catch_up: CatchUp = Field(examples=["latest"])
    overlap: Overlap = Field(examples=["skip"])
    state: ScheduleState = Field(examples=["active"])
    next_due_at: datetime | None = Field(examples=["2026-11-25T01:30:00Z"])
    created_at: datetime = Field(examples=["2026-11-24T21:59:03Z"])


class RunDocument(Document):
    """The result of a due time."""

    due_at: datetime = Field(examples=["2026-11-24T01:30:00Z"])
    state: RunState = Field(examples=["submitted"])
    job: int | None = Field(examples=[2])
    cause: RunCause | None = Field(examples=[None])
    detail: str | None = Field(examples=[None])
    by_hand: bool = Field(examples=[False])


class ShownScheduleDocument(ScheduleDocument):
    """One schedule with its newest runs, newest first."""

    runs: list[RunDocument]


class SchedulePage(Page):
    """Schedules, in the order of their creation."""

    schedules: list[ScheduleDocument]


@router.post("", status_code=201, response_model=ScheduleDocument, responses={
    200: {"description": "It existed; it was changed or left unchanged.", "model": ScheduleDocument},
    201: {"description": "It was added.", "headers": {"Location": {"schema": {"type": "string"}}}},
    **problems(400, 404, 409, 413, 415),
})  # fmt: skip
def add(caller: Operator, wanted: NewSchedule) -> Response:
    """Add a schedule; sending it again changes its policies."""
    caller.portfolio(wanted.portfolio)
    request = ScheduleRequest(wanted.portfolio, wanted.cron, wanted.time_zone, wanted.catch_up, wanted.overlap)
    try:
        read_timetable(wanted.cron, wanted.time_zone)
    except UsageError as error:
        raise Problem(422, "invalid-request", str(error)) from None
    schedule, outcome = add_schedule(caller.engine, request, who=caller.who)
    is_new = outcome == "added"
    headers = {"Location": f"/v1/schedules/{schedule.id}"} if is_new else None
    return JSONResponse(_describe(schedule).model_dump(mode="json"), 201 if is_new else 200, headers)


@router.get("", response_model=SchedulePage, responses=problems())
def list_(caller: Reader, cursor: _IdCursor = None, limit: Limit = 50) -> SchedulePage:
    """List the schedules of the portfolios that the key has access to, except removed ones."""
    visible = sorted(
        (one for one in list_schedules(caller.engine) if caller.may_see(one.portfolio)), key=lambda s: s.id
    )
    found = [one for one in visible if cursor is None or one.id > int(cursor)]
    more = str(found[limit - 1].id) if len(found) > limit else None
    return SchedulePage(schedules=[_describe(one) for one in found[:limit]], next_cursor=more)


@router.get("/{schedule_id}", response_model=ShownScheduleDocument, responses=problems(404))
def show(caller: Reader, schedule_id: ScheduleId) -> ShownScheduleDocument:
    """Show one schedule with the results of its latest due times."""
    schedule = _find(caller, schedule_id)
    runs = [
        RunDocument(
            due_at=one.due_at,
            state=one.state,
            job=one.job_id,
            cause=one.cause,
            detail=one.detail,
            by_hand=one.is_by_hand,
        )
        for one in list_runs(caller.engine, schedule_id)
    ]
    return ShownScheduleDocument(**_describe(schedule).model_dump(), runs=runs)


@router.post("/{schedule_id}/run", status_code=202, response_model=JobDocument, responses=problems(404, 409))
def run_now(caller: Operator, schedule_id: ScheduleId, response: Response) -> JobDocument:
    """Submit a job of the schedule now; its next due time does not change."""
    _find(caller, schedule_id)
    job = caller.job(run_schedule_now(caller.engine, str(schedule_id), who=caller.who))
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    response.headers["Retry-After"] = "1"
    return describe_job(job)


@router.delete("/{schedule_id}", response_model=ScheduleDocument, responses=problems(404))
def remove(caller: Operator, schedule_id: ScheduleId) -> ScheduleDocument:
    """Remove a schedule permanently; its history and jobs are kept."""
    _find(caller, schedule_id)
    return _describe(remove_schedule(caller.engine, str(schedule_id), who=caller.who))


def _add_change(name: str, act: Callable[..., Schedule], said: str) -> None:
    def change(
        caller: Operator, schedule_id: ScheduleId, reason: Annotated[Reason | None, Body()] = None
    ) -> ScheduleDocument:
        _find(caller, schedule_id)
        why = "" if reason is None else reason.why
        return _describe(act(caller.engine, str(schedule_id), who=caller.who, why=why))

    refusals = problems(400, 404, 409, 413, 415)
    router.post(
        f"/{{schedule_id}}/{name}",
        name=f"{name}_schedule",
        description=said,
        responses=refusals,
        response_model=ScheduleDocument,
    )(change)


_add_change("pause", pause_schedule, "Pause the schedule: no due time fires until it is resumed.")
_add_change("resume", resume_schedule, "Resume the schedule, starting with its next due time.")


def _find(caller: Caller, schedule_id: int) -> Schedule:
    with reading(caller.engine) as connection:
        schedule = find_schedule(connection, schedule_id)
    if not caller.may_see(schedule.portfolio):
        raise not_found("schedule", schedule_id)
    return schedule


def _describe(schedule: Schedule) -> ScheduleDocument:
    names = [name for name in ScheduleDocument.model_fields if name != "schedule"]
    return ScheduleDocument(schedule=schedule.id, **{name: getattr(schedule, name) for name in names})
