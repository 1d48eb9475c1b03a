"""`/jobs`: list, submit, show one live, cancel, pause, resume and retry, one or all that match a filter."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from db.ledger.job_control import pause_job, resume_job, retry_job
from db.ledger.job_lifecycle import Job, cancel_job
from db.ledger.shard_map import group_shards, iterate_shards
from db.portfolios.catalog import list_portfolios
from db.results.result_pages import JobFilter, count_rejects, page_jobs
from db.schema.states import JobKind, JobState
from scheduler.api.job_documents import JobsAction
from scheduler.api.parameters import LARGEST_ID, NAME_PATTERN, JobId
from scheduler.api.routes.jobs import act_on_many, visible_portfolios
from scheduler.dashboard.access import Operator, Reader, Visitor
from scheduler.dashboard.charts.cells import Cell
from scheduler.dashboard.charts.drawing import Chart
from scheduler.dashboard.charts.job_charts import rejects_chart, shards_chart
from scheduler.dashboard.charts.saving import Wanted, send_chart
from scheduler.dashboard.pages.job_view import view_job
from scheduler.dashboard.reason_field import Reason, Why
from scheduler.dashboard.rendering import show
from scheduler.requests.job_submission import Request as Asked
from scheduler.requests.job_submission import submit_scoring, submit_training

router = APIRouter(prefix="/jobs")

_ROWS = 50
_DRAWN_CELLS = 1_000  # of the map that is saved as a picture
_ACTIONS: dict[str, Callable[..., Job]] = {
    "cancel": cancel_job, "pause": pause_job, "resume": resume_job, "retry": retry_job,
}  # fmt: skip
Action = Literal["cancel", "pause", "resume", "retry"]
# An empty choice of a form is sent as an empty text.
_NAME_OR_ALL = f"^$|{NAME_PATTERN}"
_KindOrAll = JobKind | Literal[""]
_StateOrAll = JobState | Literal[""]


@dataclass(frozen=True)
class ChosenJobs:
    """The filter of a page, sent back with a form."""

    portfolio: Annotated[str, Form(pattern=_NAME_OR_ALL)] = ""
    kind: Annotated[_KindOrAll, Form()] = ""
    state: Annotated[_StateOrAll, Form()] = ""


@router.get("")
def list_(
    request: Request,
    visitor: Reader,
    portfolio: Annotated[str, Query(pattern=_NAME_OR_ALL)] = "",
    kind: _KindOrAll = "",
    state: _StateOrAll = "",
    before: Annotated[int | None, Query(ge=1, le=LARGEST_ID)] = None,
) -> HTMLResponse:
    """List jobs that match a filter, newest first."""
    caller = visitor.caller
    wanted = JobFilter(visible_portfolios(caller, portfolio or None), kind or None, state or None)
    found = page_jobs(caller.engine, wanted, before=before, limit=_ROWS + 1)
    names = [one.name for one in list_portfolios(caller.engine) if caller.may_see(one.name)]
    chosen = {"portfolio": portfolio, "kind": kind, "state": state}
    more = found[_ROWS - 1].id if len(found) > _ROWS else None
    values = {"jobs": found[:_ROWS], "names": names, "chosen": chosen, "more": more, "once": visitor.fresh_name()}
    return show(request, visitor, "jobs.html", kinds=list(JobKind), states=list(JobState), **values)


@router.post("")
def submit(
    visitor: Operator,
    portfolio: Annotated[str, Form(pattern=NAME_PATTERN)],
    kind: Annotated[Literal["scoring", "training"], Form()],
    once: Annotated[str, Form(pattern="^[A-Za-z0-9_-]{8,64}$")],
) -> Response:
    """Submit a scoring or training job; sent twice by one page, it is one job."""
    caller = visitor.caller
    caller.portfolio(portfolio)
    asked = Asked(caller.who, f"dashboard-{caller.key.public_id}-{once}")
    submit_kind = submit_scoring if kind == "scoring" else submit_training
    job_id = submit_kind(caller.engine, portfolio, asked)
    return RedirectResponse(f"/jobs/{job_id}?done=submitted", 303)


@router.post("/actions")
def act_on_filtered(
    request: Request,
    visitor: Operator,
    chosen: Annotated[ChosenJobs, Depends()],
    action: Annotated[Action, Form()],
    why: Reason,
) -> HTMLResponse:
    """Apply an action to every job that matches the filter, and show the result for each."""
    wanted = JobsAction(
        action=action,
        portfolio=chosen.portfolio or None,
        kind=chosen.kind or None,
        state=chosen.state or None,
        why=why,
    )
    return show(request, visitor, "actions.html", action=action, outcome=act_on_many(visitor.caller, wanted))


@router.get("/{job_id}")
def show_one(request: Request, visitor: Reader, job_id: JobId) -> HTMLResponse:
    """Show one job."""
    return show(request, visitor, "job.html", view=view_job(visitor.caller, job_id))


@router.get("/{job_id}/live")
def show_live(request: Request, visitor: Reader, job_id: JobId) -> HTMLResponse:
    """Show the live part of a job's page."""
    return show(request, visitor, "job_live.html", view=view_job(visitor.caller, job_id))


@router.get("/{job_id}/charts/{name}.{file_format}")
def send(visitor: Reader, job_id: JobId, name: Literal["rejects", "shards"], options: Wanted) -> Response:
    """Send a chart of the job."""
    return send_chart(_chart_of(visitor, job_id, name), options, file_name=f"job-{job_id}-{name}")


@router.post("/{job_id}/{action}")
def act(visitor: Operator, job_id: JobId, action: Action, why: Why = "") -> Response:
    """Cancel, pause, resume or retry one job."""
    visitor.caller.job(job_id)
    _ACTIONS[action](visitor.caller.engine, job_id, who=visitor.caller.who, why=why)
    return RedirectResponse(f"/jobs/{job_id}?done={action}", 303)


def _chart_of(visitor: Visitor, job_id: int, name: str) -> Chart:
    visitor.caller.job(job_id)
    if name == "rejects":
        return rejects_chart(count_rejects(visitor.caller.engine, job_id))
    engine = visitor.caller.engine
    cells = [Cell(one) for one in group_shards(engine, job_id, most=_DRAWN_CELLS)]
    return shards_chart(cells, iterate_shards(engine, job_id))
