"""`/v1/portfolios/{name}/sources`: which tables and views a portfolio may read; for keys without a portfolio limit."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import Field

from db.portfolios.source_grants import Grant, grant_source, list_grants, revoke_source
from scheduler.api.context import Admin, Caller
from scheduler.api.parameters import Document, PortfolioName, problems
from scheduler.api.problems import Problem
from scheduler.api.strict_json import StrictRoute

router = APIRouter(prefix="/v1/portfolios", tags=["portfolios"], route_class=StrictRoute)

_SOURCE_PATTERN = r"^[^\x00-\x1f\x7f-\x9f.]{1,63}(\.[^\x00-\x1f\x7f-\x9f.]{1,63})?$"


class SourceToGrant(Document):
    """A table or view, which need not exist yet."""

    source: str = Field(pattern=_SOURCE_PATTERN, description='"table" or "schema.table"', examples=["customers"])


class GrantDocument(Document):
    """A table or view that a portfolio may read."""

    portfolio: str = Field(examples=["customers"])
    source: str = Field(description="the name in the database", examples=["public.customers"])
    made_by_load: bool = Field(description="load created the table and may replace it", examples=[True])
    granted_by: str = Field(examples=["anna"])
    granted_at: datetime = Field(examples=["2026-11-24T21:59:03Z"])


class GrantList(Document):
    """What a portfolio may read."""

    grants: list[GrantDocument]


@router.get("/{name}/sources", response_model=GrantList, responses=problems())
def list_(caller: Admin, name: PortfolioName) -> GrantList:
    """List the tables and views that a portfolio may read."""
    _require_no_limit(caller)
    return GrantList(grants=[_describe(one) for one in list_grants(caller.engine, name)])


@router.post("/{name}/sources", response_model=GrantDocument, responses=problems(400, 409, 413, 415))
def grant(caller: Admin, name: PortfolioName, wanted: SourceToGrant) -> GrantDocument:
    """Let a portfolio read a table or view. Tidemark's own tables cannot be granted."""
    _require_no_limit(caller)
    return _describe(grant_source(caller.engine, name, wanted.source, who=caller.who))


@router.post("/{name}/sources/revoke", response_model=GrantDocument, responses=problems(400, 404, 409, 413, 415))
def revoke(caller: Admin, name: PortfolioName, wanted: SourceToGrant) -> GrantDocument:
    """Revoke a grant at once. Unfinished jobs of the portfolio that read the source fail."""
    _require_no_limit(caller)
    return _describe(revoke_source(caller.engine, name, wanted.source, who=caller.who))


def _require_no_limit(caller: Caller) -> None:
    if not caller.may_grant:
        advice = "granting a source needs an administrator's key without a portfolio limit"
        raise Problem(403, "not-allowed", f"{advice}, or with: tidemark portfolio grant NAME SOURCE")


def _describe(granted: Grant) -> GrantDocument:
    return GrantDocument.model_validate(granted)
