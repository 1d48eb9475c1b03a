"""`/v1/portfolios/{name}/erasures`: removes one person, and proves it."""

from fastapi import APIRouter
from pydantic import Field

from scheduler.api.context import Admin
from scheduler.api.parameters import TEXT_PATTERN, Document, PortfolioName, problems
from scheduler.api.strict_json import StrictRoute
from scheduler.privacy import erase_person

router = APIRouter(prefix="/v1/portfolios", tags=["privacy"], route_class=StrictRoute)


class PersonToErase(Document):
    """The key of a record. It stands in the body, since addresses are logged on the way."""

    record_key: str = Field(min_length=1, max_length=1024, pattern=TEXT_PATTERN, examples=["42"])


class ErasureDocument(Document):
    """What was erased, and what is left, by table."""

    portfolio: str = Field(examples=["customers"])
    erased: dict[str, int] = Field(examples=[{"customers": 1, "tidemark_scores": 12}])
    left: dict[str, int] = Field(examples=[{"customers": 0, "tidemark_scores": 0}])
    proven: bool = Field(description="nothing is left", examples=[True])
    foreign: list[str] = Field(description="sources that Tidemark did not make; erase there yourself", examples=[[]])


@router.post("/{name}/erasures", response_model=ErasureDocument, responses=problems(400, 404, 413, 415))
def erase(caller: Admin, name: PortfolioName, person: PersonToErase) -> ErasureDocument:
    """Erase a person's record, scores, rejects and outcomes, then count again."""
    caller.portfolio(name)
    found = erase_person(caller.engine, name, person.record_key, who=caller.who)
    return ErasureDocument(
        portfolio=name, erased=found.erased, left=found.left, proven=found.is_proven, foreign=list(found.foreign)
    )
