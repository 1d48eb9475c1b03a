"""`tidemark job`: list, show, cancel, pause, resume, retry, verify; and how commands describe a job."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from db.events.wording import counted
from scheduler.cli.exit_codes import CANCELLED, DONE, FAILED, REJECT_BUDGET, UNUSABLE
from scheduler.cli.options import JobId, Json

if TYPE_CHECKING:
    from db.ledger.job_lifecycle import Job
    from scheduler.cli.session import Session

Why = Annotated[str, typer.Option("--why", help="Reason, kept in the event log.")]

app = typer.Typer(help="Jobs and their progress.", no_args_is_help=True)


@app.command("list")
def list_(
    portfolio: Annotated[str | None, typer.Option("--portfolio", help="Only this portfolio.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="scoring, training, fine_tuning or monitoring.")] = None,
    state: Annotated[
        str | None, typer.Option("--state", help="queued, running, paused, done, failed or cancelled.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="Maximum number of jobs.")] = 20,
    json: Json = False,
) -> None:
    """List the newest jobs."""
    from db.ledger.job_lifecycle import list_jobs
    from db.schema.states import JobKind, JobState
    from scheduler.cli.session import open_session

    wanted_kind, wanted_state = _choose(JobKind, "kind", kind), _choose(JobState, "state", state)
    with open_session(wants_json=json) as session:
        jobs = list_jobs(session.engine, portfolio=portfolio, kind=wanted_kind, state=wanted_state, limit=limit)
        session.output.emit({"jobs": [job_document(job) for job in jobs]})
        names = ("job", "kind", "portfolio", "state", "inputs", "scored", "rejected", "seconds", "model_version")
        rows = [[job_document(job)[name] for name in names] for job in jobs]
        session.output.show_table(names, rows)


@app.command("show")
def show(job_id: JobId, json: Json = False) -> None:
    """Show one job: counts, digest, cause, shards and events."""
    from db.events.event_log import list_events
    from db.ledger.shard_leases import count_shards, find_waiting_error
    from db.operations.write_health import get_job_as_it_stands
    from scheduler.cli.session import open_session

    with open_session(wants_json=json) as session:
        job = get_job_as_it_stands(session.engine, job_id)
        shards = count_shards(session.engine, job_id)
        events = list_events(session.engine, job_id)
        document = job_document(job) | {"waits_because": find_waiting_error(session.engine, job_id), "shards": shards}
        log = [{"at": one.at, "event": one.event, "who": one.who, "why": one.why} for one in events]
        session.output.emit(document | {"options": job.options, "result": job.result, "events": log})
        facts = [(name, value) for name, value in document.items() if name != "shards"]
        facts.append(("shards", ", ".join(f"{count} {state}" for state, count in shards.items())))
        session.output.show_table(("name", "value"), facts, title=f"Job {job_id}")
        session.output.show_table(("at", "event", "who", "why"), [tuple(one.values()) for one in log[-20:]])


@app.command("cancel")
def cancel(
    job_id: JobId,
    why: Why = "",
    json: Json = False,
) -> None:
    """Cancel a job; workers stop at their next batch and write nothing more."""
    from db.ledger.job_lifecycle import cancel_job
    from scheduler.cli.session import open_session

    with open_session(wants_json=json) as session:
        job = cancel_job(session.engine, job_id, who=session.who, why=why)
        session.output.emit(job_document(job))
        session.output.show(f"Job {job_id} is cancelled.")


@app.command("pause")
def pause(job_id: JobId, why: Why = "", json: Json = False) -> None:
    """Pause a job: start no more of its shards; running shards finish."""
    from db.ledger.job_control import pause_job
    from scheduler.cli.session import open_session

    with open_session(wants_json=json) as session:
        _tell_moved(session, pause_job(session.engine, job_id, who=session.who, why=why))


@app.command("resume")
def resume(job_id: JobId, why: Why = "", json: Json = False) -> None:
    """Continue a paused job where it stopped."""
    from db.ledger.job_control import resume_job
    from scheduler.cli.session import open_session

    with open_session(wants_json=json) as session:
        _tell_moved(session, resume_job(session.engine, job_id, who=session.who, why=why))


@app.command("retry")
def retry(job_id: JobId, why: Why = "", json: Json = False) -> None:
    """Run the failed shards of a failed job again; finished shards are kept."""
    from db.ledger.job_control import retry_job
    from scheduler.cli.session import open_session

    with open_session(wants_json=json) as session:
        _tell_moved(session, retry_job(session.engine, job_id, who=session.who, why=why))


@app.command("verify")
def verify(job_id: JobId, json: Json = False) -> int:
    """Recount a finished job's stored scores, recompute their digest, and compare both with the job."""
    from db.results.verification import verify_job
    from scheduler.cli.session import open_session

    with open_session(wants_json=json) as session:
        found = verify_job(session.engine, job_id)
        document = {
            "job": job_id,
            "ok": not found.problems,
            "inputs": found.job.inputs,
            "scored": found.scored,
            "rejected": found.rejected,
            "stale_rows": found.stale_rows,
            "digest": found.digest,
            "problems": list(found.problems),
        }
        session.output.emit(document)
        if found.problems:
            session.output.say("\n".join(f"Job {job_id}: {problem}." for problem in found.problems))
            return FAILED
        session.output.show(
            f"Job {job_id} is verified: {counted(found.job.inputs, 'record')} = {counted(found.scored, 'score')} + "
            f"{counted(found.rejected, 'reject')}, digest {found.digest}."
        )
        return DONE


def _tell_moved(session: "Session", job: "Job") -> None:
    session.output.emit(job_document(job))
    session.output.show(f"Job {job.id} is {job.state}.")


def job_document(job: "Job") -> dict[str, Any]:
    """Return the shown facts of a job, by name."""
    return {
        "job": job.id,
        "kind": job.kind,
        "task": job.task,
        "portfolio": job.portfolio,
        "state": job.state,
        "inputs": job.inputs,
        "scored": job.scored,
        "rejected": job.rejected,
        "seconds": None if job.seconds is None else round(job.seconds, 3),
        "model_version": job.model_version,
        "digest": job.digest,
        "data_fingerprint": job.data_fingerprint,
        "cause": job.cause,
        "detail": job.detail,
        "unusable_reason": job.unusable_reason,
        "resume_at": job.resume_at,
        "progress": job.progress,
        "requested_by": job.requested_by,
        "created_at": job.created_at,
        "planning_since": job.planning_since,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
    }


def exit_code_of(job: "Job") -> int:
    """Return the exit code of a command that waited for this job."""
    from db.schema.states import FailureCause, JobState

    if job.cause is FailureCause.REJECT_BUDGET:
        return REJECT_BUDGET
    if job.state is JobState.DONE and job.unusable_reason is not None:
        return UNUSABLE
    return {JobState.DONE: DONE, JobState.CANCELLED: CANCELLED}.get(job.state, FAILED)


def show_failure(session: "Session", job: "Job") -> None:
    """Say why a job did not succeed."""
    code = exit_code_of(job)
    if code == DONE:
        return
    if code == UNUSABLE:
        session.output.say(f"Job {job.id}: its scores are marked as unusable: {job.unusable_reason}.")
        return
    why = f": {job.detail}" if job.detail else ""
    session.output.say(f"Job {job.id} {job.state}{why}. See: tidemark job show {job.id}")


def _choose(choices: Any, option: str, value: str | None) -> Any:
    from scheduler.errors import UsageError

    if value is None:
        return None
    known = [str(choice) for choice in choices]
    if value not in known:
        raise UsageError(f"--{option} expects one of {', '.join(known)}; got {value!r}")
    return choices(value)
