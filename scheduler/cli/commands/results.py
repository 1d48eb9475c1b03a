"""`tidemark scores export` and `tidemark rejects export`: a job's results as a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scheduler.cli.options import JobId, Json, TargetFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pandas import DataFrame

    from db.ledger.job_lifecycle import Job
    from scheduler.cli.session import Session

Raw = Annotated[
    bool, typer.Option("--raw", help="CSV: put no apostrophe before text that a spreadsheet would read as a formula.")
]

scores_app = typer.Typer(help="Scores of a finished job.", no_args_is_help=True)
rejects_app = typer.Typer(help="Records that could not be scored, and why.", no_args_is_help=True)


@scores_app.callback()
def _scores() -> None:
    """Scores of a finished job."""


@rejects_app.callback()
def _rejects() -> None:
    """Records that could not be scored, and why."""


@scores_app.command("export")
def export_scores(
    job_id: JobId,
    file: TargetFile,
    incomplete: Annotated[bool, typer.Option("--incomplete", help="Export even if the job is not done.")] = False,
    unusable: Annotated[
        bool, typer.Option("--unusable", help="Export even if the scores are marked as unusable.")
    ] = False,
    raw: Raw = False,
    json: Json = False,
) -> None:
    """Write record_key, probability, points, band, model_version and reason_1 to reason_4 of each score, by key."""
    from db.results.exports import SCORE_COLUMNS, read_scores
    from db.schema.states import JobState
    from scheduler.cli.session import open_session
    from scheduler.errors import UnusableScoresError, UsageError
    from scheduler.reports.result_files import write_results

    with open_session(wants_json=json) as session:
        job = _scoring_job(session, job_id)
        if job.state is not JobState.DONE and not incomplete:
            why = f" ({job.detail})" if job.detail else ""
            advice = "its scores are incomplete; --incomplete exports them anyway"
            raise UsageError(f"job {job_id} is {job.state}{why}: {advice}")
        if job.unusable_reason is not None and not unusable:
            raise UnusableScoresError(job_id, job.unusable_reason)

        def frames() -> "Iterator[DataFrame]":
            return _traced(session, job, "scores", file, read_scores(session.engine, job_id))

        written = write_results(session.engine, job.portfolio, file, frames, SCORE_COLUMNS, is_safe=not raw)
        _tell(session, "scores", job_id, file, written)


@rejects_app.command("export")
def export_rejects(job_id: JobId, file: TargetFile, raw: Raw = False, json: Json = False) -> None:
    """Write the rejects as record_key, field, reason, detail."""
    from db.results.exports import REJECT_COLUMNS, read_rejects
    from scheduler.cli.session import open_session
    from scheduler.reports.result_files import write_results

    with open_session(wants_json=json) as session:
        job = _scoring_job(session, job_id)

        def frames() -> "Iterator[DataFrame]":
            return _traced(session, job, "rejects", file, read_rejects(session.engine, job_id))

        written = write_results(session.engine, job.portfolio, file, frames, REJECT_COLUMNS, is_safe=not raw)
        _tell(session, "rejects", job_id, file, written)


def _scoring_job(session: "Session", job_id: int) -> "Job":
    from db.ledger.job_lifecycle import get_job
    from db.schema.states import JobKind
    from scheduler.errors import UsageError

    job = get_job(session.engine, job_id)
    if job.kind is not JobKind.SCORING:
        raise UsageError(f"job {job_id} is a {job.kind} job; only scoring jobs have scores and rejects")
    return job


def _traced(
    session: "Session", job: "Job", what: str, file: Path, frames: "Iterator[DataFrame]"
) -> "Iterator[DataFrame]":
    """Yield the frames after the event log has taken down that they were read."""
    from db.events.event_pages import Access, record_access

    count = job.scored if what == "scores" else job.rejected
    how = f"{file.suffix.lstrip('.')}, {count} {what}, by command"
    record_access(session.engine, Access(what, session.who, job.portfolio, how, job.id), exported=True)
    yield from frames


def _tell(session: "Session", what: str, job_id: int, file: Path, written: int) -> None:
    session.output.emit({"job": job_id, "file": str(file), what: written})
    session.output.show(f"Wrote {written:,} {what} of job {job_id} to {file}.")
