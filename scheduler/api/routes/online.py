"""`POST /v1/score`: some records, scored at once by a worker with the champion."""

import time
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import anyio.to_thread
from fastapi import APIRouter, Request
from pydantic import (
    AfterValidator,
    FailFast,
    Field,
    TypeAdapter,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)
from pydantic_core import PydanticCustomError
from starlette.requests import ClientDisconnect

from scheduler.api.context import Operator
from scheduler.api.parameters import NAME_PATTERN, Document, problems
from scheduler.api.problems import Problem
from scheduler.api.strict_json import StrictRoute
from scheduler.requests.online_scoring import CallerGoneError, OnlineError

router = APIRouter(prefix="/v1", tags=["scoring"], route_class=StrictRoute)

MOST_RECORDS = 1000
MOST_EVENTS_OF_RECORD, MOST_EVENTS = 10_000, 100_000  # of all tables together; the second of a whole request
LONG_SECONDS = 1.0  # an answer that took longer is for a key that is still in force
_Value = str | float | int | bool | None
_Event = Annotated[dict[str, _Value], Field(max_length=2000)]
_Events = Annotated[list[_Event], Field(max_length=MOST_EVENTS_OF_RECORD)]
# By the name of their table; the member that holds them is in the path of a mistake.
_EVENTS: TypeAdapter[Any] = TypeAdapter(dict[Literal["events"], Annotated[dict[str, _Events], Field(max_length=100)]])


def _apart(record: Any, check_values: ValidatorFunctionWrapHandler) -> Any:
    """Check a record's events apart from its values: a list of objects is a mistake in any other column."""
    if not isinstance(record, dict) or not isinstance(record.get("events"), dict):
        return check_values(record)
    given: dict[str, Any] = dict(record)
    tables = _EVENTS.validate_python({"events": given.pop("events")})
    count = _count_events(tables)
    if count > MOST_EVENTS_OF_RECORD:
        expected = f"expected at most {MOST_EVENTS_OF_RECORD:,} events in a record, got {count:,}; send the newest"
        raise PydanticCustomError("too_many_events", "{expected}", {"expected": expected})
    return check_values(given) | tables


def _require_few_events(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    count = sum(_count_events(one) for one in records)
    if count > MOST_EVENTS:
        expected = f"expected at most {MOST_EVENTS:,} events in a request, got {count:,}; send it in parts"
        raise PydanticCustomError("too_many_events", "{expected}", {"expected": expected})
    return records


def _count_events(record: Mapping[str, Any]) -> int:
    tables = record.get("events")
    return sum(map(len, tables.values())) if isinstance(tables, dict) else 0


_VALUE_SCHEMA = {"anyOf": [{"type": one} for one in ("string", "number", "integer", "boolean", "null")]}
_EVENT_SCHEMA = {"type": "object", "additionalProperties": _VALUE_SCHEMA, "maxProperties": 2000}
_LIST_SCHEMA = {"type": "array", "items": _EVENT_SCHEMA}  # the limit is in the description
_TABLES_SCHEMA = {"type": "object", "additionalProperties": _LIST_SCHEMA, "maxProperties": 100}
_RECORD_SCHEMA = {
    "type": "object",
    "properties": {"events": {"anyOf": [_TABLES_SCHEMA, *_VALUE_SCHEMA["anyOf"]]}},
    "additionalProperties": _VALUE_SCHEMA,
    "maxProperties": 2000,
}
_Record = Annotated[dict[str, _Value], Field(max_length=2000), WrapValidator(_apart), WithJsonSchema(_RECORD_SCHEMA)]


class RecordsToScore(Document):
    """Records of one portfolio: every input column by name, null if unknown; other columns are ignored.

    `events` holds the events of a record, at most 10,000 of a record and 100,000 in a request, by the name of their
    table: `{"bookings": [{"booked_at": "2026-11-24T09:30:00", "kind": "card", "amount": 12.5}]}`.
    """

    portfolio: str = Field(pattern=NAME_PATTERN, examples=["customers"])
    # Otherwise a body of wrong values could have a million mistakes.
    records: Annotated[list[_Record], FailFast(), AfterValidator(_require_few_events)] = Field(
        min_length=1, max_length=MOST_RECORDS, examples=[[{"customer_id": 42, "income": 41000}]]
    )


class OnlineScore(Document):
    """A record's score."""

    index: int = Field(description="position in the request", examples=[0])
    record_key: str | None = Field(examples=["42"])
    probability: float = Field(description="of the bad event", examples=[0.031442])
    points: int = Field(description="higher is safer", examples=[612])
    band: str = Field(description="A (safest) to H", examples=["B"])
    reasons: list[str] | None = Field(
        default=None, description="strongest reasons, if the model has reason codes", examples=[["income"]]
    )


class OnlineReject(Document):
    """A record that could not be scored, and why."""

    index: int = Field(description="position in the request", examples=[1])
    record_key: str | None = Field(examples=["43"])
    field: str = Field(examples=["income"])
    reason: str = Field(description="missing_column, not_a_number or infinite", examples=["not_a_number"])
    detail: str = Field(examples=["expected a number"])


class ScoredAtOnce(Document):
    """Every record of the request is a score or a reject."""

    portfolio: str = Field(examples=["customers"])
    model_version: str = Field(examples=["m-3f9c2a"])
    scores: list[OnlineScore]
    rejects: list[OnlineReject]
    ignored_columns: list[str] = Field(
        default=[], description="columns of the records that the portfolio does not name", examples=[["note"]]
    )


@router.post("/score", response_model=ScoredAtOnce, responses=problems(400, 404, 408, 409, 413, 415))
async def score(caller: Operator, wanted: RecordsToScore, request: Request) -> ScoredAtOnce:
    """Score up to 1,000 records immediately with the champion. They are not stored."""
    portfolio = await anyio.to_thread.run_sync(caller.portfolio, wanted.portfolio)
    if portfolio.champion is None:
        raise Problem(409, "state-conflict", f"portfolio {portfolio.name} has no champion yet")

    async def until_gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            continue

    online, began = caller.context.online, time.monotonic()
    try:
        answer = await online.score(portfolio.name, wanted.records, until_gone=until_gone)
    except CallerGoneError:
        raise ClientDisconnect from None
    except OnlineError as error:
        raise Problem(503, "unavailable", str(error), headers={"Retry-After": "2"}) from None
    if time.monotonic() - began > LONG_SECONDS:
        await anyio.to_thread.run_sync(caller.require_in_force)
    return ScoredAtOnce(portfolio=portfolio.name, **answer)
