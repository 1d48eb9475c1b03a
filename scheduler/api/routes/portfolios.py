"""`/v1/portfolios`: add, list, show."""

import json
import tomllib
from datetime import datetime
from functools import partial
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from db.portfolios.catalog import Portfolio, get_portfolio, list_portfolios, save_portfolio
from scheduler.api.context import Admin, Reader
from scheduler.api.parameters import NAME_PATTERN, Document, Limit, Page, PortfolioName, problems
from scheduler.api.problems import Problem
from scheduler.api.strict_json import parse_strictly
from scheduler.portfolio_files.reader import parse_portfolio, read_portfolio_document

router = APIRouter(prefix="/v1/portfolios", tags=["portfolios"])

LARGEST_FILE_BYTES = 1 << 20

_TOML = """name = "customers"
key = "customer_id"
target = "default_next_month"

[fields.income]
kind = "numeric"
"""
_NameCursor = Annotated[
    str | None,
    Query(
        alias="cursor", description="`next_cursor` of the previous page.", pattern=NAME_PATTERN, examples=["customers"]
    ),
]


class PortfolioDocument(Document):
    """A portfolio and its champion."""

    name: str = Field(examples=["customers"])
    title: str = Field(examples=["Customers"])
    source: str = Field(examples=["customers"])
    key: str = Field(examples=["customer_id"])
    target: str | None = Field(examples=["default_next_month"])
    as_of: str | None = Field(examples=[None])
    reject_budget: float = Field(examples=[0.01])
    champion: str | None = Field(examples=["m-3f9c2a"])
    fingerprint: str = Field(examples=["6a1f"])
    updated_at: datetime = Field(examples=["2026-11-24T21:59:03Z"])


class ShownPortfolioDocument(PortfolioDocument):
    """A portfolio with its whole definition."""

    definition: dict[str, Any] = Field(examples=[{"name": "customers", "fields": [], "histories": []}])


class PortfolioPage(Page):
    """Portfolios, by name."""

    portfolios: list[PortfolioDocument]


class StoredPortfolio(Document):
    """The result of storing a portfolio."""

    portfolio: str = Field(examples=["customers"])
    outcome: str = Field(description="added, changed or unchanged", examples=["added"])
    fingerprint: str = Field(examples=["6a1f"])


@router.post("", status_code=201, response_model=StoredPortfolio, responses={
    200: {"description": "It existed; it was changed or left unchanged.", "model": StoredPortfolio},
    201: {"description": "It was added.", "headers": {"Location": {"schema": {"type": "string"}}}},
    **problems(400, 409, 413, 415),
}, openapi_extra={"requestBody": {"required": True, "description": "A portfolio file, as TOML or as JSON.",
    "content": {
        "application/toml": {"schema": {"type": "string"}, "example": _TOML},
        "application/json": {"schema": {"type": "object"}, "example": tomllib.loads(_TOML)},
    }}})  # fmt: skip
async def add(caller: Admin, request: Request) -> Response:
    """Check a portfolio and store it; sending it again updates it.

    A key without a portfolio limit grants the sources in the file; for any other key they must already be granted.
    """
    body = await request.body()
    if len(body) > LARGEST_FILE_BYTES:
        raise Problem(413, "too-large", f"a portfolio file may have at most {LARGEST_FILE_BYTES} bytes")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/toml":
        definition = await anyio.to_thread.run_sync(parse_portfolio, _decoded(body), "the body")
    elif kind == "application/json":
        document = parse_strictly(body)
        if not isinstance(document, dict):
            parts = [{"detail": "expected an object", "pointer": "#"}]
            raise Problem(422, "invalid-portfolio", "1 mistake in the portfolio", parts=parts)
        definition = read_portfolio_document(document, "the body")
    else:
        raise Problem(415, "unsupported-media-type", "expected application/toml or application/json")
    if not caller.may_see(definition.name):
        raise Problem(403, "not-allowed", "this key has no access to a portfolio of this name")
    if "\\u0000" in definition.to_json():
        raise Problem(422, "invalid-portfolio", "a text of the portfolio holds the character NUL")
    save = partial(save_portfolio, caller.engine, definition, who=caller.who, may_grant=caller.may_grant)
    outcome = await anyio.to_thread.run_sync(save)
    stored = StoredPortfolio(portfolio=definition.name, outcome=outcome, fingerprint=definition.fingerprint)
    status = 201 if outcome == "added" else 200
    headers = {"Location": f"/v1/portfolios/{definition.name}"} if status == 201 else None
    return JSONResponse(stored.model_dump(mode="json"), status, headers)


@router.get("", response_model=PortfolioPage, responses=problems())
def list_(caller: Reader, cursor: _NameCursor = None, limit: Limit = 50) -> PortfolioPage:
    """List the portfolios that the key has access to."""
    names = [one for one in list_portfolios(caller.engine) if caller.may_see(one.name)]
    found = [one for one in names if cursor is None or one.name > cursor]
    more = found[limit - 1].name if len(found) > limit else None
    return PortfolioPage(portfolios=[PortfolioDocument(**_summary(one)) for one in found[:limit]], next_cursor=more)


@router.get("/{name}", response_model=ShownPortfolioDocument, responses=problems(404))
def show(caller: Reader, name: PortfolioName) -> ShownPortfolioDocument:
    """Show one portfolio with its whole definition."""
    caller.portfolio(name)
    portfolio = get_portfolio(caller.engine, name)
    return ShownPortfolioDocument(**_summary(portfolio), definition=json.loads(portfolio.definition.to_json()))


def _decoded(body: bytes) -> str:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Problem(400, "malformed-body", "the body is not UTF-8") from error
    if "\x00" in text:
        raise Problem(400, "malformed-body", "the body holds the character NUL")
    return text


def _summary(portfolio: Portfolio) -> dict[str, Any]:
    definition = portfolio.definition
    own = ("name", "title", "source", "key", "target", "as_of", "reject_budget", "fingerprint")
    values = {name: getattr(definition, name) for name in own}
    return values | {"champion": portfolio.champion, "updated_at": portfolio.updated_at}
