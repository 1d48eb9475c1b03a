"""`tidemark model`: list a portfolio's model versions, show one."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from scheduler.cli.options import Json, PortfolioName

if TYPE_CHECKING:
    from db.registry import ModelVersion

app = typer.Typer(help="Model versions: what each is and how good.", no_args_is_help=True)


@app.command("list")
def list_(name: PortfolioName, json: Json = False) -> None:
    """List the model versions of a portfolio, newest first."""
    from db.portfolios import get_portfolio
    from db.registry import list_models
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
    from db.registry import get_model, list_decisions
    from scheduler.cli.session import open_session

    with open_session(wants_json=json) as session:
        model = get_model(session.engine, version)
        decisions = [one for one in list_decisions(session.engine, model.portfolio) if one.version == version]
        told = [
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
        session.output.emit(_document(model) | {"decisions": told})
        facts = [(key, value) for key, value in _document(model).items() if key != "metrics"]
        session.output.show_table(("", "value"), [*facts, *model.metrics.items()], title=f"Model {version}")
        columns = ("at", "promoted", "reason", "by", "against")
        session.output.show_table(columns, [[one[column] for column in columns] for one in told], title="Decisions")


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
