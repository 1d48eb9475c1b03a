"""Who is the champion: promote a version, roll back, hold and release; outcomes and what they say of each night."""

from dataclasses import asdict
from datetime import datetime
from functools import partial
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Body, Query, Request
from pydantic import Field

from db.retraining.promotion import ChampionChange, hold, promote_version, roll_back
from db.retraining.vintages import list_vintages
from scheduler.api.context import Admin, Caller, Operator, Reader
from scheduler.api.job_documents import Promotion, Reason
from scheduler.api.parameters import LARGEST_ID, Document, Limit, NumberCursor, Page, PortfolioName, Version, problems
from scheduler.api.routes.records import receive_upload, refusal_of
from scheduler.api.strict_json import StrictRoute
from scheduler.data_files.errors import DataFileError
from scheduler.data_files.outcome_file import OutcomeColumns, load_outcome_file
from worker.contract.scratch import own_folder

router = APIRouter(prefix="/v1", tags=["models"], route_class=StrictRoute)
outcomes_router = APIRouter(prefix="/v1/portfolios", tags=["outcomes"])
_ALL = 10_000
_CHANGED = problems(400, 404, 409, 413, 415)

_Reason = Annotated[Reason | None, Body()]
_Column = Annotated[str | None, Query(pattern=r"^[^\x00-\x1f\x7f]{1,63}$", examples=["outcome"])]


class ChampionDocument(Document):
    """The result of a promotion or a rollback."""

    portfolio: str = Field(examples=["customers"])
    champion: str = Field(examples=["m-3f9c2a"])
    before: str | None = Field(examples=["m-77aa01"])
    nights: list[int] = Field(description="scoring jobs marked as unusable", examples=[[12]])
    job: int | None = Field(description="job that scores the book again, if the portfolio asks for it", examples=[None])


class HoldDocument(Document):
    """Whether automatic fine-tuning and promotion are stopped."""

    portfolio: str = Field(examples=["customers"])
    held: bool = Field(examples=[True])
    changed: bool = Field(examples=[True])


class LoadedOutcomes(Document):
    """The result of an upload of outcomes."""

    portfolio: str = Field(examples=["customers"])
    loaded: int = Field(examples=[1200])
    changed: int = Field(description="corrected", examples=[0])
    unchanged: int = Field(description="known before", examples=[0])
    without_score: int = Field(description="outcomes of records that had no score", examples=[3])
    job: int | None = Field(description="job that measures the vintages again", examples=[14])


class VintageDocument(Document):
    """The outcomes of the records of one scoring job, compared with their scores."""

    job: int = Field(examples=[2])
    model_version: str = Field(examples=["m-3f9c2a"])
    outcomes: int = Field(examples=[1200])
    bad: int = Field(examples=[60])
    figures: dict[str, Any] = Field(examples=[{"roc_auc": 0.81}])
    updated_at: datetime | None = Field(examples=["2026-11-24T21:59:03Z"])


class VintagePage(Page):
    """Vintages of a portfolio, newest job first."""

    portfolio: str = Field(examples=["customers"])
    vintages: list[VintageDocument]


@router.post("/models/{version}/promote", response_model=ChampionDocument, responses=_CHANGED)
def promote(caller: Admin, version: Version, reason: Annotated[Promotion | None, Body()] = None) -> ChampionDocument:
    """Make a version the champion of its portfolio, whatever the gate decided."""
    caller.model(version)
    accepts = reason is not None and reason.accept_suspicious
    changed = promote_version(caller.engine, version, who=caller.who, why=_why(reason), accept_suspicious=accepts)
    return _describe(changed)


@router.post(
    "/portfolios/{name}/rollback", response_model=ChampionDocument, responses=problems(400, 404, 409, 413, 415)
)
def rollback(caller: Admin, name: PortfolioName, reason: _Reason = None) -> ChampionDocument:
    """Restore the previous champion. The nights that the present one scored are marked as unusable."""
    caller.portfolio(name)
    return _describe(roll_back(caller.engine, name, who=caller.who, why=_why(reason)))


@router.post("/portfolios/{name}/hold", response_model=HoldDocument, responses=problems(400, 404, 413, 415))
def hold_portfolio(caller: Admin, name: PortfolioName, reason: _Reason = None) -> HoldDocument:
    """Stop automatic fine-tuning and promotion. Scoring, monitoring and rollback continue."""
    return _set_hold(caller, name, reason, held=True)


@router.post("/portfolios/{name}/release", response_model=HoldDocument, responses=problems(400, 404, 413, 415))
def release_portfolio(caller: Admin, name: PortfolioName, reason: _Reason = None) -> HoldDocument:
    """Allow automatic fine-tuning and promotion again."""
    return _set_hold(caller, name, reason, held=False)


@outcomes_router.post("/{name}/outcomes", response_model=LoadedOutcomes, responses=problems(400, 404, 409, 413, 415),
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


@outcomes_router.get("/{name}/outcomes", response_model=VintagePage, responses=problems(404))
def list_realised(caller: Reader, name: PortfolioName, cursor: NumberCursor = None, limit: Limit = 50) -> VintagePage:
    """List the realised figures of each scoring job, newest first."""
    caller.portfolio(name)
    measured = list_vintages(caller.engine, name, limit=_ALL)
    found = [one for one in measured if cursor is None or one.job_id < int(cursor)]
    more = str(found[limit - 1].job_id) if len(found) > limit else None
    names = [field for field in VintageDocument.model_fields if field != "job"]
    vintages = [VintageDocument(job=one.job_id, **{n: getattr(one, n) for n in names}) for one in found[:limit]]
    return VintagePage(portfolio=name, vintages=vintages, next_cursor=more)


def _set_hold(caller: Caller, name: str, reason: Reason | None, *, held: bool) -> HoldDocument:
    caller.portfolio(name)
    has_changed = hold(caller.engine, name, held=held, who=caller.who, why=_why(reason))
    return HoldDocument(portfolio=name, held=held, changed=has_changed)


def _why(reason: Reason | None) -> str:
    return "" if reason is None else reason.why


def _describe(change: ChampionChange) -> ChampionDocument:
    return ChampionDocument(
        portfolio=change.portfolio,
        champion=change.version,
        before=change.before,
        nights=list(change.nights),
        job=change.job_id,
    )
