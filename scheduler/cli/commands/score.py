"""`tidemark score`: submit a scoring job, and wait for it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from scheduler.cli.commands.submitted import tell_detached, wait_for
from scheduler.cli.exit_codes import DONE, UNUSABLE
from scheduler.cli.options import IdempotencyKey, Json, PortfolioName, Priority, Timeout, Wait

if TYPE_CHECKING:
    from db.ledger.job_lifecycle import Job
    from scheduler.cli.session import Session


def score(
    name: PortfolioName,
    model: Annotated[str | None, typer.Option("--model", help="Model version; default: the champion.")] = None,
    reasons: Annotated[bool, typer.Option("--reasons/--no-reasons", help="Store reason codes with each score.")] = True,
    night: Annotated[
        str | None, typer.Option("--night", help="Date of the records, YYYY-MM-DD; default: today.")
    ] = None,
    wait: Wait = True,
    timeout: Timeout = None,
    priority: Priority = "normal",
    idempotency_key: IdempotencyKey = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and count only; score nothing.")] = False,
    json: Json = False,
) -> int:
    """Score every record of the book."""
    from scheduler.cli.session import open_session
    from scheduler.requests.job_submission import Request, check_scoring, submit_scoring

    with open_session(wants_json=json) as session:
        if dry_run:
            check = check_scoring(session.engine, name, model=model, shard_rows=session.settings.shard_rows)
            session.output.emit({"dry_run": True} | check)
            session.output.show_table(("name", "value"), check.items(), title="Dry run: nothing was submitted")
            return 0
        asked = Request(who=session.who, idempotency_key=idempotency_key, priority=priority)
        options: dict[str, Any] = {} if night is None else {"night": night}
        options |= {} if reasons else {"reasons": False}
        job_id = submit_scoring(session.engine, name, asked, model=model, options=options)
        if not wait:
            return tell_detached(session, job_id)
        job = wait_for(session, job_id, timeout)
        return _tell_scored(session, job)


def _tell_scored(session: "Session", job: "Job") -> int:
    from db.monitoring.drift_reports import find_report
    from scheduler.cli.commands.job import exit_code_of, show_failure

    report = find_report(session.engine, job.id)
    document = _scored_document(job) | {"verdict": None if report is None else report.verdict}
    session.output.emit(document)
    title = f"Job {job.id}: {job.portfolio}"
    session.output.show_table(("name", "value"), document.items(), title=title)
    show_failure(session, job)
    code = exit_code_of(job)
    if code == UNUSABLE:
        session.output.say(
            f"Next: fix the source and score again. For the monitor's findings: tidemark drift show {job.portfolio}. "
            f"To export the scores anyway: tidemark scores export {job.id} scores.csv --unusable"
        )
    if code == DONE:
        session.output.say(f"Next: tidemark scores export {job.id} scores.csv, or read the view latest_scores in SQL")
    if job.rejected:
        session.output.say(f"Rejected records: tidemark rejects export {job.id} rejects.csv")
    return code


def _scored_document(job: "Job") -> dict[str, Any]:
    seconds = job.seconds
    done = job.scored + job.rejected
    return {
        "job": job.id,
        "state": job.state,
        "inputs": job.inputs,
        "scored": job.scored,
        "rejected": job.rejected,
        "seconds": None if seconds is None else round(seconds, 3),
        "records_per_second": round(done / seconds, 1) if seconds else None,
        "model_version": job.model_version,
        "digest": job.digest,
        "cause": job.cause,
        "detail": job.detail,
        "unusable_reason": job.unusable_reason,
    }
