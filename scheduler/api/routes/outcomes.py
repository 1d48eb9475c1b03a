"""Outcomes: upload them, see what they say of each night, accept or reject those of a night."""

from dataclasses import asdict
from datetime import date, datetime
from functools import partial
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Body, Query, Request
from pydantic import Field

from db.retraining.outcome_acceptance import trust_outcomes
from db.retraining.realised_nights import RealisedNight, list_realised_nights
from db.schema.states import Trust
from scheduler.api.context import Admin, Operator, Reader
from scheduler.api.job_documents import Reason
from scheduler.api.parameters import (
    LARGEST_ID,
    Document,
    JobId,
    Limit,
    NumberCursor,
    Page,
    PortfolioName,
    problems,
)
from scheduler.api.strict_json import StrictRoute
from scheduler.api.uploads import receive_upload, refusal_of
from scheduler.data_files.errors import DataFileError
from scheduler.data_files.outcome_file import OutcomeColumns, load_outcome_file
from worker.contract.scratch import own_folder

router = APIRouter(prefix="/v1/portfolios", tags=["outcomes"])
trust_router = APIRouter(prefix="/v1/portfolios", tags=["outcomes"], route_class=StrictRoute)

_Column = Annotated[str | None, Query(pattern=r"^[^\x00-\x1f\x7f]{1,63}$", examples=["outcome"])]


class LoadedOutcomes(Document):
    """The result of an upload of outcomes."""

    portfolio: str = Field(examples=["customers"])
    loaded: int = Field(examples=[1200])
    changed: int = Field(description="corrected", examples=[0])
    unchanged: int = Field(description="known before", examples=[0])
    without_score: int = Field(description="outcomes of records that had no score", examples=[3])
    job: int | None = Field(description="job that measures the vintages again", examples=[14])


class FiguresDocument(Document):
    """Two figures of a night; null where they are not known."""

    bad_rate: float | None = Field(examples=[0.051])
    roc_auc: float | None = Field(examples=[0.81])


class VintageDocument(Document):
    """The outcomes of the records of one scoring job, compared with their scores."""

    job: int = Field(examples=[2])
    night: date = Field(description="date of the records, by the portfolio's calendar", examples=["2026-11-01"])
    model_version: str = Field(examples=["m-3f9c2a"])
    scored: int = Field(description="records with a score", examples=[1500])
    outcomes: int = Field(description="final outcomes", examples=[1200])
    bad: int = Field(examples=[60])
    censored: int = Field(description="outcomes that are not final yet (outcome_after)", examples=[0])
    coverage: float | None = Field(description="share of the scored records with an outcome", examples=[0.8])
    expected: FiguresDocument = Field(description="of all scored records, from the scores alone")
    realised: FiguresDocument
    error: FiguresDocument = Field(description="realised less expected")
    trust: Trust | None = Field(description="null: not judged", examples=["trusted"])
    trust_reason: str | None = Field(examples=[None])
    trusted_by: str | None = Field(description="the person who accepted or rejected them", examples=[None])
    figures: dict[str, Any] = Field(examples=[{"roc_auc": 0.81}])
    updated_at: datetime | None = Field(examples=["2026-11-24T21:59:03Z"])


class VintagePage(Page):
    """Vintages of a portfolio, newest job first."""

    portfolio: str = Field(examples=["customers"])
    vintages: list[VintageDocument]


class TrustDocument(Document):
    """The trust in the outcomes of a scoring job after a person accepted or rejected them."""

    portfolio: str = Field(examples=["customers"])
    job: int = Field(examples=[2])
    before: Trust | None = Field(examples=["surprising"])
    trust: Trust = Field(examples=["accepted"])
    vintage_job: int | None = Field(description="job that lets the trigger look again", examples=[15])


class TrustBody(Reason):
    """Accept the outcomes, or reject them, with the reason."""

    accept: bool = Field(strict=True, default=True, description="false rejects them", examples=[True])


@router.post("/{name}/outcomes", response_model=LoadedOutcomes, responses=problems(400, 404, 409, 413, 415),
    openapi_extra={"requestBody": {"required": True, "description": "Key, outcome, and the date when it became known.",
    "content": {
        "text/csv": {"schema": {"type": "string"}, "example": "customer_id,outcome,outcome_date\n1,0,2026-11-01\n"},
        "application/x-ndjson": {"schema": {"type": "string"},
            "example": '{"customer_id": 1, "outcome": 0, "outcome_date": "2026-11-01"}\n'},
        "application/vnd.apache.parquet": {"schema": {"type": "string", "format": "binary"}, "example": "PAR1"},
    }}})  # fmt: skip
async def load_outcomes(
    caller: Operator,
    name: PortfolioName,
    request: Request,
    outcome: _Column = None,
    date: _Column = None,
    job: Annotated[
        int | None, Query(ge=1, le=LARGEST_ID, description="Scoring job the outcomes belong to.", examples=[2])
    ] = None,
) -> LoadedOutcomes:
    """Load outcomes; loading the same file twice changes nothing."""
    await anyio.to_thread.run_sync(caller.portfolio, name)
    if job is not None:
        await anyio.to_thread.run_sync(caller.job, job)
    columns = OutcomeColumns(outcome) if date is None else OutcomeColumns(outcome, date)
    with own_folder("upload") as folder:
        path = await receive_upload(request, folder, caller.context.settings.api_upload_bytes)
        await anyio.to_thread.run_sync(caller.require_in_force)
        load = partial(load_outcome_file, caller.engine, name, path, who=caller.who, columns=columns, scoring_job=job)
        try:
            loaded = asdict(await anyio.to_thread.run_sync(load))
        except DataFileError as error:
            raise refusal_of(error, path) from None
    return LoadedOutcomes(portfolio=name, job=loaded.pop("job_id"), **loaded)


@router.get("/{name}/outcomes", response_model=VintagePage, responses=problems(404))
def list_realised(caller: Reader, name: PortfolioName, cursor: NumberCursor = None, limit: Limit = 50) -> VintagePage:
    """List what was expected of each scoring job and what came of it, newest first."""
    caller.portfolio(name)
    before = None if cursor is None else int(cursor)
    found = list_realised_nights(caller.engine, name, limit=limit + 1, before=before)
    more = str(found[limit - 1].vintage.job_id) if len(found) > limit else None
    return VintagePage(portfolio=name, vintages=[_describe(one) for one in found[:limit]], next_cursor=more)


@trust_router.post(
    "/{name}/outcomes/{job_id}/trust", response_model=TrustDocument, responses=problems(400, 404, 409, 413, 415)
)
def trust(
    caller: Admin, name: PortfolioName, job_id: JobId, asked: Annotated[TrustBody | None, Body()] = None
) -> TrustDocument:
    """Accept the outcomes of a scoring job that look wrong and are right, or reject those that are wrong."""
    caller.portfolio(name)
    asked = asked or TrustBody()
    changed = trust_outcomes(caller.engine, name, job_id, is_accepted=asked.accept, who=caller.who, why=asked.why)
    return TrustDocument(
        portfolio=name, job=job_id, before=changed.before, trust=changed.trust, vintage_job=changed.vintage_job_id
    )


def _describe(night: RealisedNight) -> VintageDocument:
    one = night.vintage
    values: dict[str, Any] = night.to_document() | {"job": one.job_id}
    names = ("model_version", "outcomes", "bad", "trust", "trust_reason", "trusted_by", "figures", "updated_at")
    return VintageDocument(**values, **{name: getattr(one, name) for name in names})
