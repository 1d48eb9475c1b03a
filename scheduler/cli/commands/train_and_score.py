"""`tidemark train` and `tidemark score`: submit a job, and wait for it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from db.events.wording import counted
from db.schema.states import NetworkSize
from scheduler.cli.exit_codes import DONE, REFUSED, UNUSABLE
from scheduler.cli.options import AcceptSuspicious, IdempotencyKey, Json, PortfolioName, Priority, Timeout, Wait

if TYPE_CHECKING:
    from db.ledger.job_lifecycle import Job
    from scheduler.cli.session import Session

_NEXT_STEPS = {
    "suspicious": "Next: if the column is known only after the outcome, remove it from the portfolio file and train "
    "again. If it is known beforehand: tidemark train {portfolio} --accept-suspicious, or: "
    "tidemark model promote {version} --accept-suspicious",
    "chance": "Next: check the target and the key, load more records with known outcomes, or add more informative "
    "columns. To use it anyway: tidemark model promote {version}",
}
_REPORT_SECONDS = 30.0  # how long a waiting command waits for the monitor once the scores are there


def train(
    name: PortfolioName,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Random seed.")] = None,
    seeds: Annotated[
        int | None,
        typer.Option("--seeds", min=1, max=16, help="How many times the usual number of ensemble members to train."),
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, max=1000, help="Maximum number of epochs.")] = None,
    size: Annotated[
        NetworkSize | None,
        typer.Option(
            "--size",
            help="Width of the network: small, usual or large. small scores 1.9 times as fast. [default: usual]",
        ),
    ] = None,
    start_from: Annotated[
        str | None,
        typer.Option("--from", metavar="VERSION", help="Start from this version's network and input transform."),
    ] = None,
    time_limit: Annotated[
        float | None,
        typer.Option("--time-limit", min=0.1, metavar="MIN", help="Stop fitting after about this many minutes."),
    ] = None,
    sample: Annotated[
        int | None, typer.Option("--sample", min=100, metavar="RECORDS", help="Train on at most this many records.")
    ] = None,
    class_weights: Annotated[
        bool, typer.Option("--class-weights", help="Give both outcomes equal weight while fitting (for rare events).")
    ] = False,
    trees: Annotated[
        bool, typer.Option("--trees/--no-trees", help="Include boosted trees in the model where they help.")
    ] = True,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="A first model in seconds; a full training follows and has to pass the gate."),
    ] = False,
    folds: Annotated[
        int | None,
        typer.Option(
            "--folds",
            min=2,
            max=50,
            metavar="K",
            help="Also cross-validate with this many folds; the model card shows the result.",
        ),
    ] = None,
    hold: Annotated[bool, typer.Option("--hold", help="Do not promote the new model.")] = False,
    accept_suspicious: AcceptSuspicious = False,
    wait: Wait = True,
    timeout: Timeout = None,
    priority: Priority = "normal",
    idempotency_key: IdempotencyKey = None,
    json: Json = False,
) -> int:
    """Train a model on the labelled records; the gate decides whether it becomes the champion."""
    from scheduler.cli.session import open_session
    from scheduler.requests.job_submission import Request, submit_training

    options = {"seed": seed, "seeds": seeds, "epochs": epochs, "from": start_from, "time_limit": time_limit}
    options |= {
        "size": None if size is None else str(size),
        "folds": folds,
        "sample": sample,
        "class_weights": class_weights or None,
        "trees": None if trees else False,
        "quick": quick or None,
        "hold": hold or None,
        "accept_suspicious": accept_suspicious or None,
    }
    given = {option: value for option, value in options.items() if value is not None}
    with open_session(wants_json=json) as session:
        asked = Request(who=session.who, idempotency_key=idempotency_key, priority=priority)
        job_id = submit_training(session.engine, name, asked, options=given)
        if not wait:
            return _tell_detached(session, job_id)
        job = _wait_for(session, job_id, timeout)
        return _tell_trained(session, job)


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
            return _tell_detached(session, job_id)
        job = _wait_for(session, job_id, timeout)
        return _tell_scored(session, job)


def _tell_detached(session: "Session", job_id: int) -> int:
    from db.ledger.job_lifecycle import get_job
    from scheduler.cli.commands.job import job_document

    session.output.emit(job_document(get_job(session.engine, job_id)))
    session.output.show(f"Job {job_id} is stored.")
    if session.settings.is_redis_embedded:
        session.output.say(f"It runs while `tidemark up` is running. See it with: tidemark job show {job_id}")
    return 0


def _wait_for(session: "Session", job_id: int, timeout: float | None) -> "Job":
    from scheduler.cli.progress import job_progress
    from scheduler.installation.job_waiting import wait_for_job

    say = session.output.say
    try:
        with job_progress(say) as on_look:
            return wait_for_job(
                session.engine, session.settings, job_id, on_look=on_look, on_event=say, timeout_seconds=timeout
            )
    except KeyboardInterrupt:
        say(f"No longer waiting. Job {job_id} is kept; cancel it with: tidemark job cancel {job_id}")
        raise


def _tell_trained(session: "Session", job: "Job") -> int:
    from scheduler.cli.commands.job import exit_code_of, show_failure

    result = job.result or {}
    document = {"job": job.id, "state": job.state, "model_version": job.model_version, "seconds": job.seconds}
    names = ("metrics", "folds", "counts", "promoted", "reason", "refused_for", "suspicious", "full_training_job")
    found = {name: result.get(name) for name in names}
    session.output.emit(document | found | {"cause": job.cause, "detail": job.detail})
    if job.result is None:
        show_failure(session, job)
        return exit_code_of(job)
    session.output.show_table(
        ("held-out records", "value"), result["metrics"].items(), title=f"Model {job.model_version}"
    )
    if "folds" in result:
        figures = result["folds"]["figures"]
        rows = [(name, one["mean"], f"{one['low']:.4f} to {one['high']:.4f}") for name, one in figures.items()]
        title = f"{counted(result['folds']['folds'], 'fold')}, {result['folds']['by']}"
        session.output.show_table(("cross-validation", "mean", "95 % interval"), rows, title=title)
    session.output.show(f"{'Promoted' if result['promoted'] else 'Not promoted'}: {result['reason']}.")
    if result.get("full_training_job") is not None:
        session.output.say(f"The full training follows as job {result['full_training_job']}.")
    if result.get("refused_for") is not None:
        session.output.say(
            _NEXT_STEPS[result["refused_for"]].format(portfolio=job.portfolio, version=job.model_version)
        )
        return REFUSED
    session.output.say(f"Next: tidemark score {job.portfolio}")
    return exit_code_of(job)


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
