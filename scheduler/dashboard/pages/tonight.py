"""`/`: the state of each portfolio's night."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from db.monitoring.latest_jobs import read_latest_jobs, read_present_rates
from db.operations.diagnosis import read_database_time
from db.operations.processes import list_processes
from db.portfolios.catalog import list_portfolios
from db.schedules.due_time_runs import read_histories
from db.schedules.timetable import list_schedules
from db.schema.states import ScheduleState
from scheduler.dashboard.access import Reader, Visitor
from scheduler.dashboard.pages.night_standing import WORST_FIRST, PortfolioNight, Standing, describe_night
from scheduler.dashboard.rendering import show

router = APIRouter()


@router.get("/")
def tonight(request: Request, visitor: Reader) -> HTMLResponse:
    """Show every portfolio that the key has access to."""
    return _show(request, visitor, "tonight.html")


@router.get("/tonight/live")
def tonight_live(request: Request, visitor: Reader) -> HTMLResponse:
    """Show the live part of the page."""
    return _show(request, visitor, "tonight_live.html")


def _show(request: Request, visitor: Visitor, template: str) -> HTMLResponse:
    nights = _read_nights(visitor)
    counts = {str(one): sum(night.standing is one for night in nights) for one in Standing}
    counts |= {str(Standing.DUE): sum(night.is_due for night in nights)}
    rate = sum(night.rate or 0.0 for night in nights)
    alive = {one.kind.partition(":")[0] for one in list_processes(visitor.caller.engine) if one.is_alive}
    missing = [part for part in ("scheduler", "worker") if part not in alive]
    return show(request, visitor, template, nights=nights, counts=counts, rate=rate, missing=missing)


def _read_nights(visitor: Visitor) -> list[PortfolioNight]:
    caller = visitor.caller
    portfolios = [one for one in list_portfolios(caller.engine) if caller.may_see(one.name)]
    names = [one.name for one in portfolios]
    latest, rates = read_latest_jobs(caller.engine, names), read_present_rates(caller.engine, names)
    schedules, histories = list_schedules(caller.engine), read_histories(caller.engine)
    now = read_database_time(caller.engine)
    nights: list[PortfolioNight] = []
    for portfolio in portfolios:
        active = [one for one in schedules if one.portfolio == portfolio.name and one.state is ScheduleState.ACTIVE]
        runs = [histories[one.id] for one in active if one.id in histories]
        jobs, rate = latest.get(portfolio.name), rates.get(portfolio.name)
        nights.append(describe_night(portfolio, jobs, active, runs, rate=rate, now=now))
    return sorted(nights, key=lambda night: WORST_FIRST.index(night.standing))
