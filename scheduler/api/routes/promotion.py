"""Who is the champion: promote a version, roll back, hold and release."""

from typing import Annotated

from fastapi import APIRouter, Body
from pydantic import Field

from db.retraining.promotion import ChampionChange, hold, promote_version, roll_back
from scheduler.api.context import Admin, Caller
from scheduler.api.job_documents import Promotion, Reason
from scheduler.api.parameters import Document, PortfolioName, Version, problems
from scheduler.api.strict_json import StrictRoute

router = APIRouter(prefix="/v1", tags=["models"], route_class=StrictRoute)
_CHANGED = problems(400, 404, 409, 413, 415)

_Reason = Annotated[Reason | None, Body()]


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
