"""`/portfolios/{name}/customer`: one record's score over time, with its reasons.

The key is sent as a form and stands in no address: addresses end in the logs of proxies and in browsers' histories.
"""

import base64
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, Response

from db.events.event_pages import Access, record_access
from db.events.wording import counted
from db.portfolios.catalog import Portfolio
from db.portfolios.reason_texts import reason_texts_of
from db.results.score_history import list_person_scores
from scheduler.api.parameters import PortfolioName
from scheduler.dashboard.access import Reader, Sender, Visitor
from scheduler.dashboard.charts.customer_chart import customer_chart
from scheduler.dashboard.charts.drawing import Chart, FileFormat, Scheme, Width, save_chart
from scheduler.dashboard.charts.saving import ChartOptions, send_chart
from scheduler.dashboard.rendering import show
from scheduler.requests.person_erasure import forms_of_key

router = APIRouter(prefix="/portfolios/{name}/customer")

_Key = Annotated[str, Form(min_length=1, max_length=1000, pattern=r"^[^\x00]*$")]


@router.get("")
def ask(request: Request, visitor: Reader, name: PortfolioName) -> HTMLResponse:
    """Ask for the key."""
    portfolio = visitor.caller.portfolio(name)
    return show(request, visitor, "customer.html", portfolio=portfolio, key=None, chart=None, pictures={})


@router.post("")
def look_up(request: Request, visitor: Sender, name: PortfolioName, record_key: _Key) -> HTMLResponse:
    """Show the record's scores, newest first in the table."""
    portfolio = visitor.caller.portfolio(name)
    chart = _chart_of(visitor, portfolio, record_key, "in the dashboard")
    pictures = _draw_all(chart) if chart is not None else {}
    return show(request, visitor, "customer.html", portfolio=portfolio, key=record_key, chart=chart, pictures=pictures)


@router.post("/save")
def save(
    visitor: Sender, name: PortfolioName, record_key: _Key, file_format: Annotated[FileFormat, Form()]
) -> Response:
    """Send the chart or its table as a file."""
    portfolio = visitor.caller.portfolio(name)
    form = f"as {file_format}"
    chart = _chart_of(visitor, portfolio, record_key, form, exported=True) or customer_chart([], {})
    return send_chart(chart, ChartOptions(file_format, save=True), file_name=f"{name}-one-record")


def _chart_of(visitor: Visitor, portfolio: Portfolio, key: str, form: str, *, exported: bool = False) -> Chart | None:
    """Return the chart with its table; None if the record has no result. The event log has the access, not the key."""
    forms = forms_of_key(portfolio.name, key)
    found = list_person_scores(visitor.caller.engine, portfolio.name, forms)
    access = Access("scores", visitor.caller.who, portfolio.name, f"one record {form}, {counted(len(found), 'night')}")
    record_access(visitor.caller.engine, access, exported=exported)
    texts = reason_texts_of(portfolio.definition, {code for one in found for code in one.reasons})
    return customer_chart(found, texts) if found else None


def _draw_all(chart: Chart) -> dict[str, str]:
    """Return the picture for each scheme and width as a data URL, so that no address contains the key."""
    return {
        f"{scheme}-{width}": "data:image/svg+xml;base64,"
        + base64.b64encode(save_chart(chart, FileFormat.SVG, scheme, width)).decode()
        for scheme in Scheme
        for width in Width
    }
