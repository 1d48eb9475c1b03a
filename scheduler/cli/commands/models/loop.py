"""`tidemark loop`: the history of a portfolio's models on one page, and what happens next."""

from pathlib import Path
from typing import Annotated

import typer

from scheduler.cli.options import Json, PortfolioName

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
