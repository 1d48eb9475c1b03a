"""`tidemark model scrub`: remove personal records from bundles of older releases."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from scheduler.cli.commands.models.model import app
from scheduler.cli.exit_codes import FAILED
from scheduler.cli.options import Json, Timeout

if TYPE_CHECKING:
    from scheduler.cli.session import Session
    from scheduler.installation.stored_bundles import PeopledBundle

_KEYS = ("version", "portfolio", "contains", "replaced_by", "status")
_COLUMNS = tuple(name.replace("_", " ") for name in _KEYS)
_FOREIGN = "not a version in the registry: remove its folder by hand"
_VALUES = "bin edges and categories of an older release: train again to replace them"


@app.command("scrub")
def scrub(
    version: Annotated[str | None, typer.Argument(metavar="[VERSION]", help="Model version.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every bundle that contains records.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list the bundles that contain personal records.")
    ] = False,
    timeout: Timeout = None,
    json: Json = False,
) -> int:
    """Rewrite bundles of older releases without personal records. Every score stays exactly the same.

    Each rewritten bundle becomes a new model version, including the champion. The old files are removed once the new
    ones are safely stored.
    """
    from db.registry.versions import get_model
    from scheduler.cli.session import open_session
    from scheduler.errors import UsageError
    from scheduler.installation.stored_bundles import find_bundles_with_people

    if (version is None) is not everything and not (version is None and dry_run):
        raise UsageError("name a VERSION or give --all; list them with: tidemark model scrub --dry-run")
    with open_session(wants_json=json) as session:
        if version is not None:
            get_model(session.engine, version)
        found = find_bundles_with_people(session.engine, session.settings.bundles_url)
        chosen = [one for one in found if version in (None, one.version)]
        rows, code = _list_bundles(chosen), 0
        if not dry_run:
            rows, code = _scrub_all(session, chosen, timeout)
        session.output.emit({"dry_run": dry_run, "bundles": rows})
        session.output.show_table(_COLUMNS, [[one[name] for name in _KEYS] for one in rows])
        if not rows:
            session.output.show("No bundle contains personal records.")
    return code


def _list_bundles(bundles: "list[PeopledBundle]") -> list[dict[str, Any]]:
    return [_row(one, None, _describe_contents(one)) for one in bundles]


def _describe_contents(bundle: "PeopledBundle") -> str:
    from scheduler.installation.stored_bundles import VALUES

    if bundle.holds == VALUES:
        return _VALUES
    return _FOREIGN if bundle.portfolio is None else "to be scrubbed"


def _scrub_all(session: "Session", bundles: "list[PeopledBundle]", timeout: float | None) -> tuple[list[Any], int]:
    """Scrub one after the other; return what became of each, and the exit code of the worst."""
    rows, worst = list[dict[str, Any]](), 0
    for bundle in bundles:
        said, replaced_by, code = _describe_contents(bundle), None, 0
        if said == "to be scrubbed":
            said, replaced_by, code = _scrub_one(session, bundle.version, timeout)
        elif said == _FOREIGN:
            code = FAILED
        rows.append(_row(bundle, replaced_by, said))
        worst = max(worst, code)
    return rows, worst


def _scrub_one(session: "Session", version: str, timeout: float | None) -> tuple[str, str | None, int]:
    from scheduler.cli.commands.job import exit_code_of
    from scheduler.cli.progress import job_progress
    from scheduler.installation.job_waiting import wait_for_job
    from scheduler.requests.job_submission import Request, submit_scrubbing

    job_id, say = submit_scrubbing(session.engine, version, Request(session.who)), session.output.say
    say(f"Scrubbing {version} in job {job_id} ...")
    with job_progress(say) as show_progress:
        job = wait_for_job(
            session.engine, session.settings, job_id, on_look=show_progress, on_event=say, timeout_seconds=timeout
        )
    if exit_code_of(job):
        return f"job {job.id} {job.state}: {job.detail}", None, exit_code_of(job)
    return "scrubbed", (job.result or {})["replaced_by"], 0


def _row(bundle: "PeopledBundle", replaced_by: str | None, said: str) -> dict[str, Any]:
    row = {"version": bundle.version, "portfolio": bundle.portfolio, "contains": bundle.holds}
    return row | {"replaced_by": replaced_by, "status": said}
