"""Forms of the Models page: promote, roll back, hold, release; each with its reason, each by an admin."""

from typing import Annotated, Literal

from fastapi import APIRouter, Form
from fastapi.responses import RedirectResponse, Response

from db.promotion import hold, promote_version, roll_back
from scheduler.api.parameters import TEXT_PATTERN, PortfolioName, Version
from scheduler.dashboard.access import Admin

router = APIRouter()

# Who changes what a bank decides with says why.
Reason = Annotated[str, Form(min_length=3, max_length=500, pattern=TEXT_PATTERN)]


@router.post("/models/{version}/promote")
def promote(visitor: Admin, version: Version, why: Reason) -> Response:
    """Make a version the champion of its portfolio."""
    model = visitor.caller.model(version)
    promote_version(visitor.caller.engine, version, who=visitor.caller.who, why=why)
    return RedirectResponse(f"/portfolios/{model.portfolio}/models?done=promote", 303)


@router.post("/portfolios/{name}/rollback")
def rollback(visitor: Admin, name: PortfolioName, why: Reason) -> Response:
    """Put the champion before the present one back."""
    visitor.caller.portfolio(name)
    roll_back(visitor.caller.engine, name, who=visitor.caller.who, why=why)
    return RedirectResponse(f"/portfolios/{name}/models?done=rollback", 303)


@router.post("/portfolios/{name}/retraining/{action}")
def change_hold(visitor: Admin, name: PortfolioName, action: Literal["hold", "release"], why: Reason) -> Response:
    """Stop fine-tuning and promotion by itself, or let them go on."""
    visitor.caller.portfolio(name)
    hold(visitor.caller.engine, name, held=action == "hold", who=visitor.caller.who, why=why)
    return RedirectResponse(f"/portfolios/{name}/models?done={action}", 303)
