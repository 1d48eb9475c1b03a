"""`tidemark outcomes`: load outcomes, show how good each night's scores turned out to be, accept or reject outcomes."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from db.events.wording import counted
from scheduler.cli.options import Json, PortfolioName, Timeout, Wait

if TYPE_CHECKING:
    from db.retraining.outcomes import OutcomeLoad
    from db.retraining.realised_nights import RealisedNight
    from scheduler.cli.session import Session

app = typer.Typer(help="Outcomes: what happened to the records, compared with their scores.", no_args_is_help=True)

_COLUMNS = (
    *("job", "night", "model_version", "scored", "outcomes", "coverage", "censored"),
    *("bad_rate", "expected", "error", "roc_auc", "expected", "error", "ks", "brier", "calibration_slope", "trust"),
)


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
    from scheduler.cli.session import open_session
    from scheduler.data_files.outcome_file import OutcomeColumns, load_outcome_file

    with open_session(wants_json=json) as session:
        loaded = load_outcome_file(
            session.engine,
            name,
            file,
            who=session.who,
            columns=OutcomeColumns(outcome_column, date_column),
            scoring_job=job,
        )
        _tell_loaded(session, name, loaded)
        if loaded.job_id is not None and wait:
            _wait_for_verdict(session, name, loaded.job_id, timeout)
    return 0


def _tell_loaded(session: "Session", name: str, loaded: "OutcomeLoad") -> None:
    session.output.emit({"portfolio": name} | asdict(loaded))
    session.output.show(
        f"{counted(loaded.loaded, 'new outcome')}, {loaded.changed:,} corrected, {loaded.unchanged:,} already known."
    )
    if loaded.without_score:
        session.output.say(
            f"{loaded.without_score:,} without effect on any score: their records had not been scored by then."
        )


def _wait_for_verdict(session: "Session", name: str, job_id: int, timeout: float | None) -> None:
    """Wait until the vintages are measured again, and say which of their outcomes are not used."""
    from db.ledger.job_lifecycle import get_job
    from scheduler.installation.job_waiting import wait_for_job

    say = session.output.say
    wait_for_job(
        session.engine,
        session.settings,
        job_id,
        on_look=lambda _job: None,
        on_event=say,
        timeout_seconds=timeout,
    )
    distrusted = (get_job(session.engine, job_id).result or {}).get("distrusted")
    if distrusted:
        say(f"Not used, because they may be wrong: outcomes of jobs {', '.join(map(str, distrusted))}.")
    say(f"Next: tidemark outcomes show {name}")


@app.command("show")
def show(
    name: PortfolioName,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="Maximum number of vintages.")] = 100,
    json: Json = False,
) -> None:
    """Show what was expected of each scoring job and what came of it, newest first."""
    from db.portfolios.catalog import get_portfolio
    from db.retraining.realised_nights import list_realised_nights
    from scheduler.cli.session import open_session

    with open_session(wants_json=json) as session:
        get_portfolio(session.engine, name)
        found = [_document(one) for one in list_realised_nights(session.engine, name, limit=limit)]
        session.output.emit({"portfolio": name, "vintages": found})
        title = f"Outcomes of {name} by scoring job"
        session.output.show_table(_COLUMNS, [_row(one) for one in found], title=title)
        for one in found:
            if one["trust_reason"]:
                session.output.show(f"job {one['job']}: {one['trust']}: {one['trust_reason']}")


@app.command("trust")
def trust(
    name: PortfolioName,
    job: Annotated[int, typer.Option("--job", min=1, help="Scoring job whose outcomes are meant.")],
    reject: Annotated[bool, typer.Option("--reject", help="Reject them: they are wrong.")] = False,
    why: Annotated[str, typer.Option("--why", help="The reason, kept in the event log.")] = "",
    json: Json = False,
) -> None:
    """Accept the outcomes of a scoring job that look wrong and are right; with --reject, reject wrong ones."""
    from db.retraining.outcome_acceptance import trust_outcomes
    from scheduler.cli.session import open_session

    with open_session(wants_json=json) as session:
        words: dict[str, Any] = {"is_accepted": not reject, "who": session.who, "why": why}
        changed = trust_outcomes(session.engine, name, job, **words)
        document = {"portfolio": name, "job": job, "before": changed.before, "trust": changed.trust}
        session.output.emit(document | {"vintage_job": changed.vintage_job_id})
        use = "not used" if reject else "used from now on, to learn from and to judge by"
        session.output.show(f"The outcomes of job {job} are {changed.trust}: they are {use}.")
        if changed.vintage_job_id is not None:
            session.output.say(f"Job {changed.vintage_job_id} looks whether they ask for anything.")


def _document(one: "RealisedNight") -> dict[str, Any]:
    vintage = one.vintage
    return {
        "job": vintage.job_id,
        "model_version": vintage.model_version,
        "outcomes": vintage.outcomes,
        "bad": vintage.bad,
        "updated_at": vintage.updated_at,
        "trust": vintage.trust,
        "trust_reason": vintage.trust_reason,
        "trusted_by": vintage.trusted_by,
        "figures": vintage.figures,
    } | one.to_document()


def _row(one: dict[str, Any]) -> list[Any]:
    known = [one[column] for column in ("job", "night", "model_version", "scored", "outcomes", "coverage", "censored")]
    sides = ("realised", "expected", "error")
    compared = [one[side][figure] for figure in ("bad_rate", "roc_auc") for side in sides]
    figures = [one["figures"].get(figure) for figure in ("ks", "brier", "calibration_slope")]
    return [*known, *compared, *figures, one["trust"]]
