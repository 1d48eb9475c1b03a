"""`/v1/portfolios/{name}/records` and `.../events/{table}`: upload records and their events.

Both are streamed to a file, checked, and loaded in one transaction.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import anyio.to_thread
import pandas as pd
from fastapi import APIRouter, Query, Request
from fastapi import Path as PathParameter
from pydantic import Field

from db.portfolios.definition import PortfolioDefinition
from db.sources.event_loading import EventLoad, EventLoadMode, load_events
from db.sources.loading import load_records
from scheduler.api.context import Caller, Operator
from scheduler.api.parameters import NAME_PATTERN, Document, PortfolioName, problems
from scheduler.api.problems import Problem
from scheduler.api.uploads import receive_upload, refusal_of
from scheduler.api_settings import ApiSettings
from scheduler.data_files.errors import DataFileError
from scheduler.data_files.event_file import EventSurvey, checked_frames, open_event_file
from scheduler.data_files.load_survey import LoadSurvey
from scheduler.data_files.record_file import DataFile, open_data_file
from worker.contract.scratch import own_folder

router = APIRouter(prefix="/v1/portfolios", tags=["records"])


class UnreadableValues(Document):
    """Texts in place of numbers."""

    values: int = Field(examples=[12])
    examples: list[str] = Field(examples=[["41000,50"]])


class LoadedRecords(Document):
    """The result of an upload, in records."""

    portfolio: str = Field(examples=["customers"])
    source: str = Field(examples=["customers"])
    loaded: int = Field(examples=[50000])
    replaced: int = Field(description="of these, how many replaced a record with the same key", examples=[120])
    without_key: int = Field(description="they will be rejected", examples=[0])
    total: int = Field(description="records in the source now", examples=[50000])
    ignored_columns: list[str] = Field(description="columns that the portfolio does not name", examples=[["note"]])
    unreadable: dict[str, UnreadableValues] = Field(
        description="columns with text in place of a number; scoring rejects these records",
        examples=[{"income": {"values": 12, "examples": ["41000,50"]}}],
    )
    repeated_keys: int = Field(
        description="keys that occur more than once; scoring uses the first record", examples=[0]
    )


@router.post("/{name}/records", response_model=LoadedRecords, responses=problems(400, 404, 409, 413, 415),
    openapi_extra={"requestBody": {"required": True, "description": "Records; CSV and JSON lines may be gzipped.",
    "content": {
        "text/csv": {"schema": {"type": "string"}, "example": "customer_id,income\n1,41000\n"},
        "application/x-ndjson": {"schema": {"type": "string"}, "example": '{"customer_id": 1, "income": 41000}\n'},
        "application/vnd.apache.parquet": {"schema": {"type": "string", "format": "binary"}, "example": "PAR1"},
    }}})  # fmt: skip
async def upload(
    caller: Operator,
    name: PortfolioName,
    request: Request,
    replace_all: Annotated[
        bool, Query(alias="replace", description="Recreate the table; its present rows are deleted.", examples=[False])
    ] = False,
) -> LoadedRecords:
    """Load records into the portfolio's source table, all or nothing. Rows with the same key are replaced."""
    portfolio = await anyio.to_thread.run_sync(caller.portfolio, name)
    settings = caller.context.settings
    with own_folder("upload") as folder:
        path = await receive_upload(request, folder, settings.api_upload_bytes)
        load = partial(_load, caller, portfolio.definition, path, settings, replace_all=replace_all)
        return await anyio.to_thread.run_sync(load)


class RefusedRows(Document):
    """Rows of a file that could not be loaded."""

    column: str = Field(examples=["booked_at"])
    reason: str = Field(description="no_key, no_time, unreadable_time or not_a_number", examples=["unreadable_time"])
    rows: int = Field(examples=[12])


class LoadedEvents(Document):
    """The result of an upload, in events."""

    portfolio: str = Field(examples=["customers"])
    events: str = Field(examples=["bookings"])
    source: str = Field(examples=["bookings"])
    loaded: int = Field(examples=[2500000])
    replaced: int = Field(description="earlier events that they replaced", examples=[0])
    records: int = Field(description="different keys among them", examples=[50000])
    total: int = Field(description="events in the table now", examples=[2500000])
    late: int = Field(description="before the end of the newest scored night, which did not see them", examples=[0])
    newest_night: str | None = Field(description="its date", examples=["2026-11-24"])
    ignored_columns: list[str] = Field(description="columns that the portfolio does not name", examples=[["note"]])
    refused: int = Field(description="rows that were not loaded", examples=[12])
    refusals: list[RefusedRows]
    dry_run: bool = Field(examples=[False])


@router.post("/{name}/events/{table}", response_model=LoadedEvents, responses=problems(400, 404, 409, 413, 415),
    openapi_extra={"requestBody": {"required": True, "description": "Events; CSV and JSON lines may be gzipped.",
    "content": {
        "text/csv": {"schema": {"type": "string"}, "example": "customer_id,booked_at\n1,2026-11-24T09:30:00\n"},
        "application/x-ndjson": {"schema": {"type": "string"}, "example": '{"customer_id": 1, "booked_at": "2026"}\n'},
        "application/vnd.apache.parquet": {"schema": {"type": "string", "format": "binary"}, "example": "PAR1"},
    }}})  # fmt: skip
async def upload_events(
    caller: Operator,
    name: PortfolioName,
    table: Annotated[str, PathParameter(pattern=NAME_PATTERN, examples=["bookings"])],
    request: Request,
    mode: Annotated[
        EventLoadMode,
        Query(description="What happens to events that the records of the file have already.", examples=["append"]),
    ] = EventLoadMode.NEW_RECORDS,
    dry_run: Annotated[bool, Query(description="Check and count everything, store nothing.", examples=[False])] = False,
) -> LoadedEvents:
    """Load events into one of the portfolio's event tables, all or nothing.

    Without a mode the upload is refused if records of the file have events already.
    """
    portfolio = await anyio.to_thread.run_sync(caller.portfolio, name)
    definition, settings = portfolio.definition, caller.context.settings
    events = definition.require_events(table)
    with own_folder("upload") as folder:
        path = await receive_upload(request, folder, settings.api_upload_bytes)
        load = EventLoad(definition, events, "text", mode, is_trial=dry_run, who=caller.who)
        return await anyio.to_thread.run_sync(_load_events, caller, load, path, settings)


def _load(
    caller: Caller, definition: PortfolioDefinition, path: Path, settings: ApiSettings, *, replace_all: bool
) -> LoadedRecords:
    caller.require_in_force()  # an upload may have taken long
    try:
        file = open_data_file(path, definition, most_bytes=settings.api_upload_bytes)
        _require_size(file.rows_estimate or 0, settings)
        survey = LoadSurvey()
        frames = survey.watch(_frames(file, settings))
        outcome = load_records(
            caller.engine, definition, frames, key_type=file.key_type, replace_all=replace_all, who=caller.who
        )
    except DataFileError as error:
        raise refusal_of(error, path) from None
    counts = {"loaded": outcome.loaded, "replaced": outcome.replaced, "without_key": outcome.without_key}
    return LoadedRecords(
        portfolio=definition.name,
        source=definition.source,
        total=outcome.total,
        ignored_columns=list(file.ignored_columns),
        unreadable={name: UnreadableValues(**found) for name, found in survey.unreadable.items()},
        repeated_keys=outcome.repeated_keys,
        **counts,
    )


def _load_events(caller: Caller, load: EventLoad, path: Path, settings: ApiSettings) -> LoadedEvents:
    caller.require_in_force()  # an upload may have taken long
    survey = EventSurvey()
    try:
        file = open_event_file(path, load.events, most_bytes=settings.api_upload_bytes)
        _require_size(file.rows_estimate or 0, settings, "events")
        frames = checked_frames(file, survey, load.definition.reject_budget)
        outcome = load_events(caller.engine, replace(load, key_type=file.key_type), frames)
    except DataFileError as error:
        raise refusal_of(error, path) from None
    counts = {name: getattr(outcome, name) for name in ("loaded", "replaced", "records", "total", "late")}
    return LoadedEvents(
        portfolio=load.definition.name,
        events=load.events.name,
        source=load.events.source,
        newest_night=outcome.night,
        ignored_columns=list(file.ignored_columns),
        refused=survey.refused,
        refusals=[RefusedRows(**one) for one in survey.document],
        dry_run=load.is_trial,
        **counts,
    )


def _frames(file: DataFile, settings: ApiSettings) -> Iterator[pd.DataFrame]:
    rows = 0
    for batch in file.batches():
        rows += len(batch.frame)
        _require_size(rows, settings)
        yield batch.frame


def _require_size(rows: int, settings: ApiSettings, what: str = "records") -> None:
    if rows > settings.api_upload_rows:
        raise Problem(413, "too-large", f"an upload may hold at most {settings.api_upload_rows} {what}")
