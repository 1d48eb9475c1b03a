"""Forms of the Models page: promote, roll back, hold, release; each needs a reason and an admin."""

from typing import Annotated, Literal

from fastapi import APIRouter, Form
from fastapi.responses import RedirectResponse, Response

from db.retraining.promotion import hold, promote_version, roll_back
from scheduler.api.parameters import PortfolioName, Version
from scheduler.dashboard.access import Admin
from scheduler.dashboard.reason_field import Reason

router = APIRouter()


@router.post("/models/{version}/promote")
def promote(
    visitor: Admin, version: Version, why: Reason, *, accept_suspicious: Annotated[bool, Form()] = False
) -> Response:
    """Make a version the champion of its portfolio; one with a suspicious column only if the box is ticked."""
    caller, model = visitor.caller, visitor.caller.model(version)
    promote_version(caller.engine, version, who=caller.who, why=why, accept_suspicious=accept_suspicious)
    return RedirectResponse(f"/portfolios/{model.portfolio}/models?done=promote", 303)


@router.post("/portfolios/{name}/rollback")
def rollback(visitor: Admin, name: PortfolioName, why: Reason) -> Response:
    """Restore the previous champion."""
    visitor.caller.portfolio(name)
    roll_back(visitor.caller.engine, name, who=visitor.caller.who, why=why)
    return RedirectResponse(f"/portfolios/{name}/models?done=rollback", 303)


@router.post("/portfolios/{name}/retraining/{action}")
def change_hold(visitor: Admin, name: PortfolioName, action: Literal["hold", "release"], why: Reason) -> Response:
    """Stop or allow automatic fine-tuning and promotion."""
    visitor.caller.portfolio(name)
    hold(visitor.caller.engine, name, held=action == "hold", who=visitor.caller.who, why=why)
    return RedirectResponse(f"/portfolios/{name}/models?done={action}", 303)
