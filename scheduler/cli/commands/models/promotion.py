"""`tidemark model promote`, `rollback`, `hold`, `release`, `decisions`, `decision`: change the champion."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scheduler.cli.commands.models.model import app
from scheduler.cli.options import AcceptSuspicious, Json, PortfolioName

if TYPE_CHECKING:
    from db.registry.champions import Decision
    from db.retraining.promotion import ChampionChange
    from scheduler.cli.session import Session

Version = Annotated[str, typer.Argument(metavar="VERSION", help="Model version.")]
Why = Annotated[str, typer.Option("--why", help="The reason, kept with the decision.")]


@app.command("promote")
def promote(version: Version, why: Why = "", accept_suspicious: AcceptSuspicious = False, json: Json = False) -> None:
    """Make a version the champion of its portfolio, whatever the gate decided."""
    from db.retraining.promotion import promote_version
    from scheduler.cli.session import open_session

    with open_session(wants_json=json) as session:
        asked: dict[str, Any] = {"who": session.who, "why": why, "accept_suspicious": accept_suspicious}
        _tell_change(session, promote_version(session.engine, version, **asked))


@app.command("rollback")
def rollback(name: PortfolioName, why: Why = "", json: Json = False) -> None:
    """Restore the previous champion. The nights that the present one scored are marked as unusable."""
    from db.retraining.promotion import roll_back
    from scheduler.cli.session import open_session

    with open_session(wants_json=json) as session:
        _tell_change(session, roll_back(session.engine, name, who=session.who, why=why))


@app.command("hold")
def hold(name: PortfolioName, why: Why = "", json: Json = False) -> None:
    """Stop automatic fine-tuning and promotion. Scoring, monitoring and rollback continue."""
    _set_hold(name, why, held=True, json=json)


@app.command("release")
def release(name: PortfolioName, why: Why = "", json: Json = False) -> None:
    """Allow automatic fine-tuning and promotion again."""
    _set_hold(name, why, held=False, json=json)


@app.command("decisions")
def decisions(
    name: PortfolioName,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="Maximum number of decisions.")] = 100,
    json: Json = False,
) -> None:
    """List every decision about a portfolio's models, newest first."""
    from db.portfolios.catalog import get_portfolio
    from db.registry.champions import list_decisions
    from scheduler.cli.session import open_session

    with open_session(wants_json=json) as session:
        get_portfolio(session.engine, name)
        decisions = [_document(one) for one in list_decisions(session.engine, name, limit=limit)]
        session.output.emit({"portfolio": name, "decisions": decisions})
        columns = ("decision", "at", "action", "version", "against", "promoted", "by", "reason")
        session.output.show_table(columns, [[one[column] for column in columns] for one in decisions])


@app.command("decision")
def decision(
    number: Annotated[int, typer.Argument(metavar="ID", min=1, help="Number of the decision.")],
    out: Annotated[Path | None, typer.Option("--out", help="Write the page to this file, as Markdown.")] = None,
    json: Json = False,
) -> None:
    """Show one decision as a page, with every figure that it is based on."""
    from db.registry.champions import get_decision
    from scheduler.cli.session import open_session
    from scheduler.reports.decision_pages import write_decision_page

    with open_session(wants_json=json) as session:
        found = get_decision(session.engine, number)
        page = write_decision_page(found)
        if out is not None:
            out.write_text(page, encoding="utf-8")
            session.output.say(f"Written: {out}")
        session.output.emit(_document(found) | {"figures": found.figures, "page": None if out is None else str(out)})
        if out is None:
            session.output.show(page)


def _set_hold(name: str, why: str, *, held: bool, json: bool) -> None:
    from db.retraining.promotion import hold as set_hold
    from scheduler.cli.session import open_session

    with open_session(wants_json=json) as session:
        has_changed = set_hold(session.engine, name, held=held, who=session.who, why=why)
        session.output.emit({"portfolio": name, "held": held, "changed": has_changed})
        session.output.show(f"{name} is {'held' if held else 'not held'}{'' if has_changed else ' (no change)'}.")


def _tell_change(session: "Session", change: "ChampionChange") -> None:
    document: dict[str, Any] = {
        "portfolio": change.portfolio,
        "champion": change.version,
        "before": change.before,
        "nights": list(change.nights),
        "job": change.job_id,
    }
    session.output.emit(document)
    session.output.show(f"{change.version} is the champion of {change.portfolio}, replacing {change.before or 'none'}.")
    if change.nights:
        session.output.say(f"Marked as unusable: the scores of jobs {', '.join(map(str, change.nights))}.")
    if change.job_id is not None:
        session.output.say(f"The book is scored again in job {change.job_id}.")


def _document(one: "Decision") -> dict[str, Any]:
    return {
        "decision": one.id,
        "at": one.created_at,
        "action": one.action or "gate",
        "version": one.version,
        "against": one.against_version,
        "promoted": one.promoted,
        "by": one.decided_by,
        "job": one.job_id,
        "reason": one.reason,
    }
