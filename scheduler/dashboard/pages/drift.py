"""`/portfolios/{name}/drift`: what the monitor found, night by night."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response

from scheduler.api.parameters import LARGEST_ID, PortfolioName
from scheduler.api.problems import not_found
from scheduler.dashboard.access import Reader
from scheduler.dashboard.charts.saving import Wanted, send_chart
from scheduler.dashboard.pages.drift_view import view_drift
from scheduler.dashboard.rendering import show

router = APIRouter(prefix="/portfolios/{name}/drift")

ChartName = Literal["scores", "nights", "fields", "migration"]
_Job = Annotated[int | None, Query(ge=1, le=LARGEST_ID)]


@router.get("")
def show_drift(request: Request, visitor: Reader, name: PortfolioName, job: _Job = None) -> HTMLResponse:
    """Show the newest night in full, or that of a job, among the nights before it."""
    return show(request, visitor, "drift.html", view=view_drift(visitor.caller, name, job))


@router.get("/charts/{chart}.{file_format}")
def send(visitor: Reader, name: PortfolioName, chart: ChartName, options: Wanted, job: _Job = None) -> Response:
    """Send a chart of the page."""
    view = view_drift(visitor.caller, name, job)
    if view.chosen is None or chart not in view.charts:
        raise not_found("chart", chart)
    return send_chart(view.charts[chart], options, file_name=f"{name}-{chart}-{view.chosen.date}")
