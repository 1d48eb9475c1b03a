"""`tidemark events`: the whole event log."""

import re
from typing import Annotated

import typer

from scheduler.cli.options import Json

_KIND = re.compile(r"[a-z_]+\.([a-z_]+|\*)")


def events(
    kind: Annotated[str | None, typer.Option("--kind", help="Only this kind: key.revoked, or a group: key.*")] = None,
    portfolio: Annotated[str | None, typer.Option("--portfolio", help="Only this portfolio.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="Maximum number of events.")] = 50,
    json: Json = False,
) -> None:
    """Show the event log, newest first, including changes to API keys and who read scores."""
    from dataclasses import asdict

    from db.events.event_pages import page_log
    from scheduler.cli.session import open_session
    from scheduler.errors import UsageError

    if kind is not None and not _KIND.fullmatch(kind):
        raise UsageError(f"--kind expects a kind such as key.revoked, or a group such as key.*; got {kind!r}")
    with open_session(wants_json=json) as session:
        found = page_log(session.engine, kind=kind, portfolio=portfolio, limit=limit)
        session.output.emit({"events": [asdict(one) for one in found]})
        rows = [(one.at, one.event, one.who, one.why, one.job_id, one.portfolio) for one in found]
        session.output.show_table(("at", "event", "who", "why", "job", "portfolio"), rows)
