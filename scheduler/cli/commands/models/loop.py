"""`tidemark loop`: the history of a portfolio's models on one page, and what happens next."""

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scheduler.cli.options import Json, PortfolioName, Timeout, Wait

if TYPE_CHECKING:
    from db.ledger.job_lifecycle import Job
    from scheduler.cli.session import Session

_FIGURES = ("roc_auc", "brier", "log_loss")

app = typer.Typer(help="From drift to a better model: what happened, and what happens next.", no_args_is_help=True)


@app.callback()
def _loop() -> None:
    """From drift to a better model: what happened, and what happens next."""


@app.command("show")
def show(
    name: PortfolioName,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE.html", help="Also write everything with a chart into one HTML file."),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=2000, help="Maximum number of nights; the newest are shown.")
    ] = 30,
    json: Json = False,
) -> None:
    """Show all models over time: nights, outcomes, gains, costs, refusals, and what the loop does next."""
    from db.operations.diagnosis import read_database_time
    from db.portfolios.catalog import get_portfolio
    from scheduler.cli.session import open_session
    from scheduler.reports.loop_documents import to_document
    from scheduler.reports.loop_reading import cut_nights, read_loop_report
    from scheduler.reports.loop_sections import tell_what_is_missing, tell_what_is_next, write_sections

    with open_session(wants_json=json) as session:
        report = read_loop_report(session.engine, get_portfolio(session.engine, name))
        nights, earlier = cut_nights(report.nights, before=None, limit=limit)
        if out is not None:
            from scheduler.dashboard.loop_file import check_target, render_file

            check_target(out)
            out.write_text(render_file(report, read_database_time(session.engine)), encoding="utf-8")
            session.output.say(f"Written: {out}")
        cursor = None if earlier is None else str(earlier)
        session.output.emit(
            to_document(report, nights, next_cursor=cursor) | {"file": None if out is None else str(out)}
        )
        for one in write_sections(report, nights):
            session.output.show_table(one.columns, one.rows, title=one.title)
        for sentence in (*tell_what_is_next(report), tell_what_is_missing(report)):
            if sentence:
                session.output.show(sentence)


@app.command("replay")
def replay(
    name: PortfolioName,
    start: Annotated[
        str,
        typer.Option("--from", metavar="DATE", help="First night to play, YYYY-MM-DD; earlier records train a model."),
    ],
    policy: Annotated[
        Path | None,
        typer.Option(
            "--policy", metavar="FILE", help="TOML file with a section [retraining]. [default: the portfolio's own]"
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Train every model in seconds, a little less well.")] = False,
    wait: Wait = True,
    timeout: Timeout = None,
    json: Json = False,
) -> int:
    """Play the loop over the stored past: what it would have promoted, and when; beside simpler policies.

    Nothing is changed. Every policy starts with the same model, trained on all records from before the date.
    """
    from scheduler.cli.commands.submitted import tell_detached, wait_for
    from scheduler.cli.session import open_session
    from scheduler.portfolio_files.reader import read_policy_file
    from scheduler.requests.job_submission import Request, submit_replay

    first_night, chosen = read_date(start), None if policy is None else read_policy_file(policy)
    with open_session(wants_json=json) as session:
        asked = Request(who=session.who)
        job_id = submit_replay(session.engine, name, asked, start=first_night, policy=chosen, quick=quick)
        if not wait:
            return tell_detached(session, job_id)
        return _tell_replay(session, wait_for(session, job_id, timeout))


def read_date(text: str) -> date:
    """Return a date written as YYYY-MM-DD."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"expected a date such as 2026-01-31, got {text!r}", param_hint="--from") from None


def _tell_replay(session: "Session", job: "Job") -> int:
    from scheduler.cli.commands.job import exit_code_of, show_failure

    played: dict[str, Any] = (job.result or {}).get("replay") or {}
    session.output.emit({"job": job.id, "state": job.state, "detail": job.detail} | played)
    if not played:
        show_failure(session, job)
        return exit_code_of(job)
    rows = [
        (policy, *(f"{one[figure]:.4f}" for figure in _FIGURES), one["trainings"], one["alarms"])
        for policy, one in played["policies"].items()
    ]
    title = f"{played['nights']} nights from {played['first_night']} to {played['last_night']}"
    columns = ("policy", "ROC AUC", "Brier score", "log loss", "trainings", "alarms")
    session.output.show_table(columns, rows, title=title)
    told = [(one["night"], one["made"].replace("_", " "), one["outcome"], one["why"]) for one in played["loop"]]
    session.output.show_table(("night", "challenger", "outcome", "why"), told, title="What the loop would have done")
    return exit_code_of(job)
