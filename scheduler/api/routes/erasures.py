"""`/v1/portfolios/{name}/erasures`: removes one person, and proves it."""

from typing import Any

from fastapi import APIRouter, Response
from pydantic import Field

from db.erasure.erasure_proof import Outcome
from scheduler.api.context import Admin
from scheduler.api.parameters import TEXT_PATTERN, Document, PortfolioName, problems
from scheduler.api.problems import Problem
from scheduler.api.strict_json import StrictRoute
from scheduler.requests.person_erasure import describe_erasure, erase_person

router = APIRouter(prefix="/v1/portfolios", tags=["privacy"], route_class=StrictRoute)


class PersonToErase(Document):
    """The key of a record, sent in the body because addresses are logged on the way."""

    record_key: str = Field(min_length=1, max_length=1024, pattern=TEXT_PATTERN, examples=["42"])


class ErasureDocument(Document):
    """What was erased and what is left, by place; every checked place is listed, even with 0."""

    portfolio: str = Field(examples=["customers"])
    erased: dict[str, int] = Field(examples=[{"customers": 1, "tidemark_scores": 12}])
    left: dict[str, int] = Field(examples=[{"customers": 0, "tidemark_scores": 0}])
    proven: bool = Field(description="every place was checked and nothing is left", examples=[True])
    foreign: list[str] = Field(
        description="sources that Tidemark did not create; erase the record there yourself", examples=[[]]
    )
    outcome: str = Field(
        description="erased, left (in a foreign source), not_everywhere or not_yet_gone", examples=["erased"]
    )
    not_looked_at: dict[str, str] = Field(description="places that could not be checked, and why", examples=[{}])
    not_yet_gone: dict[str, str] = Field(description="where bytes remain, and until when", examples=[{}])
    notes: dict[str, str] = Field(description="a remark about a place", examples=[{}])
    beyond_reach: list[str] = Field(description="what Tidemark cannot check", examples=[["backups"]])


_NOT_OVER: dict[int | str, dict[str, Any]] = {
    202: {"model": ErasureDocument, "description": "Erased, but a place could not be checked or still keeps bytes."}
}


@router.post("/{name}/erasures", response_model=ErasureDocument, responses=_NOT_OVER | problems(400, 404, 413, 415))
def erase(caller: Admin, name: PortfolioName, person: PersonToErase, response: Response) -> ErasureDocument:
    """Erase a person's record, scores, rejects and outcomes, then check that nothing is left."""
    caller.portfolio(name)
    erasure = erase_person(caller.engine, name, person.record_key, who=caller.who)
    if erasure.outcome is Outcome.UNKNOWN_KEY:
        raise Problem(404, "unknown-key", f"the key was not found; places checked: {', '.join(erasure.left)}")
    if erasure.outcome in {Outcome.NOT_EVERYWHERE, Outcome.NOT_YET_GONE}:
        response.status_code = 202
    return ErasureDocument(portfolio=name, **describe_erasure(erasure))
