"""`tidemark outcomes`: load outcomes, and show how good each night's scores turned out to be."""

from pathlib import Path
from typing import Annotated, Any

import typer

from db.events.wording import counted
from scheduler.cli.options import Json, PortfolioName, Timeout, Wait

app = typer.Typer(help="Outcomes: what happened to the records, compared with their scores.", no_args_is_help=True)

_FIGURES = ("roc_auc", "ks", "brier", "bad_rate", "expected_bad_rate", "calibration_slope", "calibration_intercept")


@app.command("load")
def load(
    name: PortfolioName,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV, JSON lines or Parquet file: key, outcome, date.")],
    outcome_column: Annotated[
        str | None, typer.Option("--outcome", help="Column of the outcome; default: outcome, else the target's name.")
    ] = None,
    date_column: Annotated[
        str, typer.Option("--date", help="Column with the date when the outcome became known.")
    ] = "outcome_date",
    job: Annotated[
        int | None,
        typer.Option("--job", min=1, help="Scoring job the outcomes belong to; default: the newest before that date."),
    ] = None,
    wait: Wait = True,
    timeout: Timeout = None,
    json: Json = False,
) -> int:
    """Load outcomes and measure the vintages again. Loading the same file twice changes nothing."""
    from dataclasses import asdict

    from scheduler.cli.session import open_session
    from scheduler.data_files.outcome_file import OutcomeColumns, load_outcome_file
    from scheduler.installation.job_waiting import wait_for_job

    with open_session(wants_json=json) as session:
        loaded = load_outcome_file(
            session.engine,
            name,
            file,
            who=session.who,
            columns=OutcomeColumns(outcome_column, date_column),
            scoring_job=job,
        )
        session.output.emit({"portfolio": name} | asdict(loaded))
        session.output.show(
            f"{counted(loaded.loaded, 'new outcome')}, {loaded.changed:,} corrected, "
            f"{loaded.unchanged:,} already known."
        )
        if loaded.without_score:
            session.output.say(
                f"{loaded.without_score:,} without effect on any score: their records had not been scored by then."
            )
        if loaded.job_id is not None and wait:
            wait_for_job(
                session.engine,
                session.settings,
                loaded.job_id,
                on_look=lambda _job: None,
                on_event=session.output.say,
                timeout_seconds=timeout,
            )
            session.output.say(f"Next: tidemark outcomes show {name}")
    return 0


@app.command("show")
def show(
    name: PortfolioName,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="Maximum number of vintages.")] = 100,
    json: Json = False,
) -> None:
    """Show the realised figures of each scoring job, newest first."""
    from db.portfolios.catalog import get_portfolio
    from db.retraining.vintages import list_vintages
    from scheduler.cli.session import open_session

    with open_session(wants_json=json) as session:
        get_portfolio(session.engine, name)
        vintages: list[dict[str, Any]] = [
            {
                "job": one.job_id,
                "model_version": one.model_version,
                "outcomes": one.outcomes,
                "bad": one.bad,
                "updated_at": one.updated_at,
                "figures": one.figures,
            }
            for one in list_vintages(session.engine, name, limit=limit)
        ]
        session.output.emit({"portfolio": name, "vintages": vintages})
        columns = ("job", "model_version", "outcomes", "bad")
        rows = [[*(one[column] for column in columns), *(one["figures"].get(f) for f in _FIGURES)] for one in vintages]
        session.output.show_table((*columns, *_FIGURES), rows, title=f"Outcomes of {name} by scoring job")
