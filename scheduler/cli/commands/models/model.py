"""`tidemark model`: list a portfolio's model versions, show one, write its card, compare two."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from db.events.wording import counted
from scheduler.cli.options import Json, PortfolioName, Timeout

if TYPE_CHECKING:
    from db.registry.versions import ModelVersion

app = typer.Typer(help="Model versions, their quality and their promotion.", no_args_is_help=True)


@app.command("list")
def list_(name: PortfolioName, json: Json = False) -> None:
    """List the model versions of a portfolio, newest first."""
    from db.portfolios.catalog import get_portfolio
    from db.registry.versions import list_models
    from scheduler.cli.session import open_session

    with open_session(wants_json=json) as session:
        get_portfolio(session.engine, name)
        models = list_models(session.engine, name)
        session.output.emit({"portfolio": name, "models": [_document(model) for model in models]})
        names = ("version", "state", "roc_auc", "ks", "brier", "job", "created_at")
        rows = [
            (
                one.version,
                one.state,
                *(one.metrics.get(m) for m in ("roc_auc", "ks", "brier")),
                one.job_id,
                one.created_at,
            )
            for one in models
        ]
        session.output.show_table(names, rows)


@app.command("show")
def show(version: Annotated[str, typer.Argument(metavar="VERSION", help="Model version.")], json: Json = False) -> None:
    """Show one model version: figures on held-out records, and the decisions about it."""
    from db.registry.champions import list_decisions
    from db.registry.versions import get_model
    from scheduler.cli.session import open_session

    with open_session(wants_json=json) as session:
        model = get_model(session.engine, version)
        decisions = [one for one in list_decisions(session.engine, model.portfolio) if one.version == version]
        decisions = [
            {
                "at": one.created_at,
                "promoted": one.promoted,
                "reason": one.reason,
                "by": one.decided_by,
                "against": one.against_version,
                "figures": one.figures,
            }
            for one in decisions
        ]
        session.output.emit(_document(model) | {"decisions": decisions})
        facts = [(key, value) for key, value in _document(model).items() if key != "metrics"]
        session.output.show_table(("name", "value"), [*facts, *model.metrics.items()], title=f"Model {version}")
        columns = ("at", "promoted", "reason", "by", "against")
        session.output.show_table(
            columns, [[one[column] for column in columns] for one in decisions], title="Decisions"
        )


@app.command("report")
def report(
    version: Annotated[str, typer.Argument(metavar="VERSION", help="Model version.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write to; created if missing.")],
    json: Json = False,
) -> None:
    """Write the model card: Markdown, JSON, and its plots as PNG."""
    from db.registry.versions import get_model
    from scheduler.cli.session import open_session
    from scheduler.reports.model_card_files import copy_card

    with open_session(wants_json=json) as session:
        kept = get_model(session.engine, version).kept_as
        written = copy_card(session.settings.bundles_url, kept, out)
        session.output.emit({"version": version, "folder": str(out), "files": [path.name for path in written]})
        session.output.show(f"Wrote the card of model {version}: {', '.join(str(path) for path in written)}")


@app.command("compare")
def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="Model version.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Model version of the same portfolio.")],
    timeout: Timeout = None,
    json: Json = False,
) -> int:
    """Compare two versions on records that neither was trained on: B minus A, with paired 95 % intervals."""
    from scheduler.cli.commands.job import exit_code_of, show_failure
    from scheduler.cli.progress import job_progress
    from scheduler.cli.session import open_session
    from scheduler.errors import UsageError
    from scheduler.installation.job_waiting import wait_for_job
    from scheduler.requests.job_submission import Request, submit_comparison

    with open_session(wants_json=json) as session:
        job_id, say = submit_comparison(session.engine, first, second, Request(session.who)), session.output.say
        with job_progress(say) as show_progress:
            job = wait_for_job(
                session.engine, session.settings, job_id, on_look=show_progress, on_event=say, timeout_seconds=timeout
            )
        found = job.result or {}
        if exit_code_of(job):
            session.output.emit({"job": job.id, "state": job.state, "cause": job.cause, "detail": job.detail})
            show_failure(session, job)
            return exit_code_of(job)
        if not found["figures"]:
            raise UsageError(
                f"{first} and {second} share {counted(found['records'], 'held-out record')}; at least 30 of each "
                "outcome are needed. Score a book with known outcomes with each version instead"
            )
        session.output.emit({"job": job.id} | found)
        title = f"{second} minus {first} on {counted(found['records'], 'record')} that neither was trained on"
        rows = [_compared(name, figure) for name, figure in found["figures"].items()]
        session.output.show_table(("figure", "A", "B", "B - A", "95 % interval"), rows, title=title)
    return 0


def _compared(name: str, figure: dict[str, Any]) -> tuple[str, ...]:
    values = [f"{figure[which]['value']:.4f}" for which in ("first", "second")]
    difference = figure["difference"]
    if difference is None:
        return (name, *values, "", "")
    interval = f"{difference['low']:+.4f} to {difference['high']:+.4f}"
    return (name, *values, f"{difference['value']:+.4f}", interval)


def _document(model: "ModelVersion") -> dict[str, Any]:
    return {
        "version": model.version,
        "portfolio": model.portfolio,
        "state": model.state,
        "job": model.job_id,
        "parent_version": model.parent_version,
        "metrics": model.metrics,
        "created_at": model.created_at,
    }
