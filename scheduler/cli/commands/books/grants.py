"""`tidemark portfolio grant`, `revoke-source` and `grants`: which tables and views a portfolio may read."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from scheduler.cli.commands.books.portfolio import app
from scheduler.cli.options import Json, PortfolioName

if TYPE_CHECKING:
    from db.portfolios.source_grants import Grant

Source = Annotated[str, typer.Argument(metavar="SOURCE", help='Table or view: "table" or "schema.table".')]


@app.command("grant")
def grant(name: PortfolioName, source: Source, json: Json = False) -> None:
    """Let a portfolio read a table or view, which need not exist yet. Tidemark's own tables cannot be granted."""
    from db.portfolios.catalog import list_portfolios
    from db.portfolios.source_grants import grant_source
    from scheduler.cli.session import open_session

    with open_session(wants_json=json) as session:
        granted = grant_source(session.engine, name, source, who=session.who)
        session.output.emit(_describe(granted))
        session.output.show(f"Portfolio {name} may read {granted.source}.")
        if name not in {one.name for one in list_portfolios(session.engine)}:
            session.output.say("No portfolio has this name yet.")


@app.command("revoke-source")
def revoke_source(name: PortfolioName, source: Source, json: Json = False) -> None:
    """Revoke a grant at once. Unfinished jobs of the portfolio that read the source fail."""
    from db.portfolios.source_grants import revoke_source
    from scheduler.cli.session import open_session

    with open_session(wants_json=json) as session:
        revoked = revoke_source(session.engine, name, source, who=session.who)
        session.output.emit(_describe(revoked))
        session.output.show(f"Portfolio {name} may no longer read {revoked.source}.")


@app.command("grants")
def grants(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Only this portfolio.")] = None,
    json: Json = False,
) -> None:
    """List the tables and views that portfolios may read, who granted them, and which ones `load` created."""
    from db.portfolios.source_grants import list_grants
    from scheduler.cli.session import open_session

    with open_session(wants_json=json) as session:
        found = list_grants(session.engine, name)
        session.output.emit({"grants": [_describe(one) for one in found]})
        rows = [(one.portfolio, one.source, one.made_by_load, one.granted_by, one.granted_at) for one in found]
        session.output.show_table(("portfolio", "source", "created by load", "by", "since"), rows)


def _describe(granted: "Grant") -> dict[str, Any]:
    names = ("portfolio", "source", "made_by_load", "granted_by", "granted_at")
    return {name: getattr(granted, name) for name in names}
