"""`tidemark drift`: compare two files of scores, show a portfolio's nights, and decide about one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scheduler.cli.options import JobId, Json, PortfolioName

if TYPE_CHECKING:
    from worker.drift import Distribution

app = typer.Typer(help="How far scores have moved.", no_args_is_help=True)


@app.callback()
def _drift() -> None:
    """How far scores have moved."""


@app.command("compare")
def compare_files(
    reference: Annotated[Path, typer.Argument(metavar="REFERENCE", help="CSV or Parquet file of scores.")],
    current: Annotated[Path, typer.Argument(metavar="CURRENT", help="CSV or Parquet file of scores.")],
    column: Annotated[str, typer.Option("--column", help="Name of the column that holds the scores.")] = "score",
    json: Json = False,
) -> None:
    """Compare the scores of two files: PSI with its interval, KS, Wasserstein, Jensen-Shannon, and a verdict."""
    from scheduler.cli.output import Output
    from scheduler.data_files.score_file import read_score_file

    document = comparison_document(read_score_file(reference, column), read_score_file(current, column))
    output = Output(wants_json=json)
    output.emit(document)
    shown = [(name, as_range(value) if isinstance(value, list) else value) for name, value in document.items()]
    output.show_table(("name", "value"), shown, title=f"{current.name} against {reference.name}")


@app.command("show")
def show(
    name: PortfolioName,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE.png", help="Also draw the nights into this PNG file.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=1000, help="Maximum number of nights; the newest are shown.")
    ] = 30,
    json: Json = False,
) -> None:
    """Show the monitored nights of a portfolio, oldest first: verdict, PSI, shift of the mean, reasons."""
    from db.portfolios.catalog import get_portfolio
    from scheduler.cli.session import open_session
    from scheduler.reports.night_report import COLUMNS, draw_nights, is_undecided, read_nights, row_of

    with open_session(wants_json=json) as session:
        get_portfolio(session.engine, name)
        nights = read_nights(session.engine, name, limit=limit)
        if out is not None:
            draw_nights(nights, name, out)
        document = {"portfolio": name, "nights": [one.to_document() for one in nights]}
        session.output.emit(document | {"file": None if out is None else str(out)})
        session.output.show_table(COLUMNS, map(row_of, nights), title=f"Nights of {name}")
        if out is not None:
            session.output.show(f"Wrote the chart to {out}.")
        undecided = [one.report.job_id for one in nights if is_undecided(one.report.figures)]
        if undecided:
            session.output.say(
                f"Job {undecided[-1]} looks like a fault, but is not certain. Decide with: "
                f"tidemark drift decide {undecided[-1]} --broken (or --honest)"
            )


@app.command("decide")
def decide(
    job_id: JobId,
    broken: Annotated[
        bool | None,
        typer.Option(
            "--broken/--honest",
            help="The pipeline was broken: nobody should use the scores; or the records are as they should be.",
            show_default=False,
        ),
    ] = None,
    why: Annotated[str, typer.Option("--why", help="The reason, kept in the event log.")] = "",
    json: Json = False,
) -> None:
    """Decide about a night that the monitor suspects: was its pipeline broken, or did the business change?

    With --broken its scores are marked as unusable, with --honest a mark of the monitor is removed.
    """
    from db.monitoring.night_decisions import decide_night
    from scheduler.cli.session import open_session
    from scheduler.errors import UsageError

    if broken is None:
        raise UsageError("expected --broken or --honest, got neither; see the reasons with: tidemark drift show NAME")
    with open_session(wants_json=json) as session:
        decided = decide_night(session.engine, job_id, is_broken=broken, who=session.who, why=why)
        session.output.emit(
            {
                "job": decided.job_id,
                "portfolio": decided.portfolio,
                "decision": decided.decision,
                "verdict": decided.verdict,
                "unusable_reason": decided.unusable_reason,
                "changed": decided.has_changed,
            }
        )
        marked = "its scores can be used" if decided.unusable_reason is None else "its scores are marked as unusable"
        unchanged = "" if decided.has_changed else " (no change)"
        session.output.show(f"Job {job_id} is {decided.decision}: {marked}, verdict {decided.verdict}{unchanged}.")


def comparison_document(reference: "Distribution", current: "Distribution") -> dict[str, Any]:
    """Return every figure of a comparison by name; without scores on a side there is nothing but the counts."""
    from db.schema.states import Verdict
    from worker.drift import DriftFigures, compare, judge

    if reference.count and current.count:
        figures = compare(reference, current)
        document = figures.to_document() | {"verdict": judge(figures)}
    else:
        document: dict[str, Any] = dict.fromkeys(DriftFigures.__dataclass_fields__)
        document |= {"n_reference": reference.count, "n_current": current.count}
        document |= {"unscorable_reference": reference.unscorable, "unscorable_current": current.unscorable}
        document["verdict"] = Verdict.INSUFFICIENT
    return document | _promised("reference", reference) | _promised("current", current)


def as_range(interval: list[float]) -> str:
    """Return an interval as people read it."""
    return " to ".join(f"{value:.4f}" for value in interval)


def _promised(side: str, distribution: "Distribution") -> dict[str, float | None]:
    """Return the AUC and the bad rate that scores promise if they are calibrated probabilities of the bad event."""
    from worker.drift import are_probabilities, expected_auc, expected_bad_rate

    names = (f"expected_auc_{side}", f"expected_bad_rate_{side}")
    if not are_probabilities(distribution):
        return dict.fromkeys(names)
    scores = (distribution.values, distribution.counts)
    return dict(zip(names, (expected_auc(*scores), expected_bad_rate(*scores)), strict=True))
