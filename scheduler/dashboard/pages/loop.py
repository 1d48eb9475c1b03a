"""`/portfolios/{name}/loop`: the whole history of a portfolio's models on one page, and what happens next."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response

from scheduler.api.parameters import LARGEST_ID, PortfolioName
from scheduler.dashboard.access import Reader
from scheduler.dashboard.charts.loop_chart import timeline_chart
from scheduler.dashboard.charts.saving import Wanted, send_chart
from scheduler.dashboard.rendering import show
from scheduler.reports.loop_reading import cut_nights, read_loop_report
from scheduler.reports.loop_sections import tell_what_is_missing, tell_what_is_next, write_sections

router = APIRouter(prefix="/portfolios/{name}/loop")

_NIGHTS_ON_A_PAGE = 60
_Before = Annotated[int | None, Query(ge=1, le=LARGEST_ID)]


@router.get("")
def show_loop(request: Request, visitor: Reader, name: PortfolioName, before: _Before = None) -> HTMLResponse:
    """Show models, retrainings, refusals and the next step; `before` turns to earlier nights."""
    report = read_loop_report(visitor.caller.engine, visitor.caller.portfolio(name))
    nights, earlier = cut_nights(report.nights, before=before, limit=_NIGHTS_ON_A_PAGE)
    said, why = tell_what_is_next(report)
    return show(
        request,
        visitor,
        "loop.html",
        report=report,
        chart=timeline_chart(report),
        sections=write_sections(report, nights),
        missing=tell_what_is_missing(report),
        said=said,
        why=why,
        earlier=earlier,
    )


@router.get("/charts/{chart}.{file_format}")
def send(visitor: Reader, name: PortfolioName, chart: Literal["timeline"], options: Wanted) -> Response:
    """Send the chart of the page."""
    report = read_loop_report(visitor.caller.engine, visitor.caller.portfolio(name))
    return send_chart(timeline_chart(report), options, file_name=f"{name}-{chart}")
