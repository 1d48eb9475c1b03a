"""`/v1/jobs`: submit, list, show, cancel, pause, resume, retry, one or many."""

import hashlib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Annotated

from fastapi import APIRouter, Body, Query, Response
from fastapi.responses import JSONResponse

from db.errors import StateConflictError
from db.ledger.job_control import pause_job, resume_job, retry_job
from db.ledger.job_lifecycle import Job, cancel_job, list_jobs
from db.ledger.shard_leases import count_shards, find_waiting_error
from db.results.result_pages import JobFilter, count_rejects, page_jobs
from db.schema.states import JobKind, JobState
from scheduler.api.context import Caller, Operator, Reader
from scheduler.api.job_documents import (
    DryRunDocument,
    JobDocument,
    JobPage,
    JobsAction,
    JobsActionOutcome,
    Reason,
    ScoringSubmission,
    ShownJobDocument,
    Submission,
    TrainingSubmission,
    describe_job,
    show_job,
)
from scheduler.api.parameters import NAME_PATTERN, IdempotencyKey, JobId, Limit, NumberCursor, problems
from scheduler.api.problems import Problem
from scheduler.api.strict_json import StrictRoute
from scheduler.requests.job_submission import Request, check_scoring, submit_scoring, submit_training

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=StrictRoute)
actions_router = APIRouter(prefix="/v1/job-actions", tags=["jobs"], route_class=StrictRoute)

LOOK_AGAIN_SECONDS = 1
_AT_ONCE = 1000  # jobs of one action

_ACTIONS: dict[str, Callable[..., Job]] = {
    "cancel": cancel_job, "pause": pause_job, "resume": resume_job, "retry": retry_job,
}  # fmt: skip
_ACCEPTED = {
    "description": "The job is stored and runs as soon as a worker is free.",
    "model": JobDocument,
    "headers": {
        "Location": {"description": "Where to read the job.", "schema": {"type": "string"}},
        "Retry-After": {"description": "Seconds to wait before reading the job.", "schema": {"type": "string"}},
    },
}


@router.post("", status_code=202, response_model=None, responses={
    202: _ACCEPTED, 200: {"description": "A dry run; nothing was stored.", "model": DryRunDocument},
    **problems(400, 404, 409, 413, 415),
})  # fmt: skip
def submit(
    caller: Operator, submission: Annotated[Submission, Body()], idempotency_key: IdempotencyKey = None
) -> Response:
    """Submit a scoring or training job."""
    _require_priority(caller, submission.priority)
    caller.portfolio(submission.portfolio)
    if isinstance(submission, TrainingSubmission) and submission.start_from is not None:
        caller.model(submission.start_from)
    if isinstance(submission, ScoringSubmission) and submission.dry_run:
        return JSONResponse(_dry_run(caller, submission).model_dump(mode="json"))
    with _in_flight(caller, submission.portfolio, idempotency_key):
        job = caller.job(_submit(caller, submission, idempotency_key))
    headers = {"Location": f"/v1/jobs/{job.id}", "Retry-After": str(LOOK_AGAIN_SECONDS)}
    return JSONResponse(describe_job(job).model_dump(mode="json"), 202, headers)


@router.get("", responses=problems(), response_model=JobPage)
def list_(
    caller: Reader,
    cursor: NumberCursor = None,
    limit: Limit = 50,
    portfolio: Annotated[str | None, Query(pattern=NAME_PATTERN, examples=["customers"])] = None,
    kind: Annotated[JobKind | None, Query(examples=["scoring"])] = None,
    state: Annotated[JobState | None, Query(examples=["running"])] = None,
) -> JobPage:
    """List jobs, newest first."""
    wanted = JobFilter(visible_portfolios(caller, portfolio), kind, state)
    before = None if cursor is None else int(cursor)
    found = page_jobs(caller.engine, wanted, before=before, limit=limit + 1)
    more = str(found[limit - 1].id) if len(found) > limit else None
    return JobPage(jobs=[describe_job(job) for job in found[:limit]], next_cursor=more)


@actions_router.post(
    "", responses=problems(400, 413, 415), response_model=JobsActionOutcome, response_model_exclude_none=True
)
def act_on_many(caller: Operator, wanted: JobsAction) -> JobsActionOutcome:
    """Cancel, pause, resume or retry the given jobs, or the newest jobs that match a filter (at most 1,000)."""
    ids = None if wanted.jobs is None else tuple(wanted.jobs)
    reach = visible_portfolios(caller, wanted.portfolio) if ids is None else caller.key.portfolios
    chosen = JobFilter(reach, wanted.kind, wanted.state) if ids is None else JobFilter(reach, ids=ids)
    found = page_jobs(caller.engine, chosen, before=None, limit=_AT_ONCE)
    answers = {job.id: _act(caller, wanted, job) for job in found}
    return JobsActionOutcome(
        changed=[job_id for job_id, refusal in answers.items() if refusal is None],
        unchanged={str(job_id): refusal for job_id, refusal in answers.items() if refusal is not None},
        not_found=None if ids is None else sorted(set(ids) - set(answers)),
    )


def _act(caller: Caller, wanted: JobsAction, job: Job) -> str | None:
    """Carry out the action on one job; return the reason if it was refused."""
    if not wanted.fits(job):
        return f"job {job.id} does not match the filter that was sent with its id"
    try:
        _ACTIONS[wanted.action](caller.engine, job.id, who=caller.who, why=wanted.why)
    except StateConflictError as error:
        return str(error)
    return None


@router.get("/{job_id}", responses=problems(404), response_model=ShownJobDocument)
def show(caller: Reader, job_id: JobId) -> ShownJobDocument:
    """Show one job: counts, digest, cause, shards by state, rejects by reason."""
    job, engine = caller.job(job_id), caller.engine
    shards = {str(state): count for state, count in count_shards(engine, job_id).items()}
    return show_job(job, shards, count_rejects(engine, job_id), find_waiting_error(engine, job_id))


def _add_action(name: str, act: Callable[..., Job], said: str) -> None:
    def change(caller: Operator, job_id: JobId, reason: Annotated[Reason | None, Body()] = None) -> JobDocument:
        caller.job(job_id)
        why = "" if reason is None else reason.why
        return describe_job(act(caller.engine, job_id, who=caller.who, why=why))

    refusals = problems(400, 404, 409, 413, 415)
    router.post(
        f"/{{job_id}}/{name}", name=f"{name}_job", description=said, responses=refusals, response_model=JobDocument
    )(change)


_add_action("cancel", cancel_job, "Cancel the job; workers stop at their next batch and write nothing more.")
_add_action("pause", pause_job, "Pause the job: start no more of its shards; running shards finish.")
_add_action("resume", resume_job, "Continue a paused job where it stopped.")
_add_action("retry", retry_job, "Run the failed shards of a failed job again; finished shards are kept.")


def visible_portfolios(caller: Caller, wanted: str | None) -> tuple[str, ...] | None:
    """Return the requested portfolio if the key has access to it, or all that it has access to."""
    if wanted is None:
        return caller.key.portfolios
    return (wanted,) if caller.may_see(wanted) else ()


def _require_priority(caller: Caller, priority: str) -> None:
    if priority == "interactive" and not caller.key.may_interactive:
        detail = "this key may not use the priority interactive; send normal or nightly, or omit priority"
        parts = [{"detail": "not allowed for this key", "pointer": "#/priority"}]
        raise Problem(403, "not-allowed", detail, parts=parts)


@contextmanager
def _in_flight(caller: Caller, portfolio: str, key: str | None) -> Generator[None]:
    """Refuse a request whose idempotency key is in use right now. The database settles conflicts between processes."""
    name = None if key is None else hashlib.sha256(f"{portfolio} {key}".encode()).hexdigest()
    running = caller.context.in_flight
    if name is None:
        yield
        return
    if name in running:
        detail = "a request with this idempotency key is being processed; send it again in a moment"
        raise Problem(409, "request-in-flight", detail, headers={"Retry-After": "1"})
    running.add(name)
    try:
        yield
    finally:
        running.discard(name)


def _submit(caller: Caller, submission: ScoringSubmission | TrainingSubmission, key: str | None) -> int:
    asked = Request(caller.who, key, submission.priority)
    if isinstance(submission, ScoringSubmission):
        return submit_scoring(
            caller.engine, submission.portfolio, asked, model=submission.model_version, options=submission.options
        )
    return submit_training(caller.engine, submission.portfolio, asked, options=submission.options)


def _dry_run(caller: Caller, submission: ScoringSubmission) -> DryRunDocument:
    shard_rows = caller.context.scheduler_settings.shard_rows
    found = check_scoring(caller.engine, submission.portfolio, model=submission.model_version, shard_rows=shard_rows)
    newest = list_jobs(
        caller.engine, portfolio=submission.portfolio, kind=JobKind.SCORING, state=JobState.DONE, limit=1
    )
    rate = describe_job(newest[0]).records_per_second if newest else None
    estimate = None if rate is None else round(found["inputs"] / rate, 1)
    return DryRunDocument(dry_run=True, seconds_estimate=estimate, **found)
