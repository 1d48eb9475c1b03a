"""`tidemark portfolio`: add, list, show and infer."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from db.events.wording import counted
from scheduler.cli.options import DataFile, Json, PortfolioName

if TYPE_CHECKING:
    from db.portfolios.catalog import Portfolio
    from db.portfolios.definition import PortfolioDefinition

app = typer.Typer(help="Portfolios: which records a book contains and how they are scored.", no_args_is_help=True)


@app.command("add")
def add(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Portfolio file (TOML).")], json: Json = False
) -> None:
    """Check a portfolio file and store it. Adding it again updates the stored one."""
    from db.portfolios.catalog import save_portfolio
    from scheduler.cli.session import open_session
    from scheduler.portfolio_files.reader import read_portfolio_file

    definition = read_portfolio_file(file)
    with open_session(wants_json=json) as session:
        outcome = save_portfolio(session.engine, definition, who=session.who)
        session.output.emit({"portfolio": definition.name, "outcome": outcome, "fingerprint": definition.fingerprint})
        session.output.show(f"Portfolio {definition.name} {outcome}.")
        session.output.say(f"Next: tidemark load {definition.name} DATA")
        for one in definition.events:
            session.output.say(f"Then: tidemark load {definition.name} EVENTS --events {one.name}")


@app.command("list")
def list_(json: Json = False) -> None:
    """List every portfolio with its champion."""
    from db.portfolios.catalog import list_portfolios
    from scheduler.cli.session import open_session

    with open_session(wants_json=json) as session:
        portfolios = list_portfolios(session.engine)
        session.output.emit({"portfolios": [_summary(one) for one in portfolios]})
        rows = [(one.name, one.definition.title, one.definition.source, one.champion) for one in portfolios]
        session.output.show_table(("name", "title", "source", "champion"), rows)


@app.command("show")
def show(name: PortfolioName, json: Json = False) -> None:
    """Show one portfolio: columns, score scale, budget, champion."""
    import json as json_module

    from db.portfolios.catalog import get_portfolio
    from scheduler.cli.session import open_session

    with open_session(wants_json=json) as session:
        portfolio = get_portfolio(session.engine, name)
        definition = portfolio.definition
        whole = json_module.loads(definition.to_json())
        session.output.emit(_summary(portfolio) | {"definition": whole})
        columns = [(one.name, one.kind, _codes(one.missing_codes)) for one in definition.fields]
        columns += [
            (", ".join(one.columns), f"{one.kind} history {one.name}", _codes(one.missing_codes))
            for one in definition.histories
        ]
        facts = [(key, value) for key, value in _summary(portfolio).items()]
        session.output.show_table(("name", "value"), facts, title=definition.title)
        session.output.show_table(("column", "kind", "missing codes"), columns)
        if definition.events:
            session.output.show_table(("events", "source", "key, time, type", "window", "fields"), _events(definition))


@app.command("infer")
def infer(
    data: DataFile,
    name: Annotated[str, typer.Option("--name", help="Name of the portfolio.")],
    key: Annotated[str, typer.Option("--key", help="Column that names the record.")],
    target: Annotated[str | None, typer.Option("--target", help="Column with 1 for the bad event.")] = None,
    as_of: Annotated[str | None, typer.Option("--as-of", help="Column with the record's date.")] = None,
    events: Annotated[
        list[str] | None,
        typer.Option("--events", metavar="TABLE=FILE", help="File of events of these records; may be repeated."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="File to write; default: NAME.toml.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
    json: Json = False,
) -> None:
    """Propose a portfolio file from a data file. Each guess has a comment for you to check."""
    from scheduler.cli.output import Output
    from scheduler.errors import UsageError
    from scheduler.portfolio_files.inference.proposal import infer_portfolio
    from scheduler.portfolio_files.reader import parse_portfolio

    path = out or Path(f"{name}.toml")
    if path.exists() and not force:
        raise UsageError(f"{path} already exists; choose another file with --out, or overwrite it with --force")
    text = infer_portfolio(data, name=name, key=key, target=target, as_of=as_of, events=_event_files(events or []))
    definition = parse_portfolio(text, str(path))
    path.write_text(text, encoding="utf-8")
    output = Output(wants_json=json)
    counts = {"fields": len(definition.fields), "histories": len(definition.histories)}
    counts |= {"event_tables": len(definition.events)} if definition.events else {}
    output.emit({"portfolio": name, "file": str(path), **counts})
    fields, histories = counted(counts["fields"], "field"), counted(counts["histories"], "history")
    tables = f", {counted(len(definition.events), 'event table')}" if definition.events else ""
    output.show(f"Wrote {path}: {fields}, {histories}{tables}. Check it and correct it.")
    for line in text.splitlines():
        if line.startswith("# WARNING: "):
            output.say(line.removeprefix("# "))
    output.say(f"Next: tidemark portfolio add {path}")


def _event_files(given: list[str]) -> dict[str, Path]:
    """Read each TABLE=FILE. Raises `UsageError`."""
    from scheduler.errors import UsageError

    files: dict[str, Path] = {}
    for one in given:
        table, is_given, file = one.partition("=")
        if not (table and is_given and file) or table in files:
            raise UsageError(f"--events expects TABLE=FILE, each table once, as in bookings=bookings.csv; got {one!r}")
        files[table] = Path(file)
    return files


def _summary(portfolio: "Portfolio") -> dict[str, Any]:
    definition = portfolio.definition
    return {
        "name": definition.name,
        "title": definition.title,
        "source": definition.source,
        "key": definition.key,
        "target": definition.target,
        "as_of": definition.as_of,
        **({"moment": definition.moment_column} if definition.events else {}),
        "reject_budget": definition.reject_budget,
        "champion": portfolio.champion,
        "fingerprint": definition.fingerprint,
        "updated_at": portfolio.updated_at,
    }


def _events(definition: "PortfolioDefinition") -> list[tuple[str, ...]]:
    """A row for each event table."""
    return [
        (
            one.name,
            one.source,
            ", ".join(name for name in (one.key, one.at, one.type) if name is not None),
            "all" if one.window_days is None else f"{one.window_days:g} days",
            ", ".join(f"{each.name} ({each.kind})" for each in one.fields),
        )
        for one in definition.events
    ]


def _codes(codes: tuple[float | str, ...]) -> str:
    return ", ".join(str(code) for code in codes)
