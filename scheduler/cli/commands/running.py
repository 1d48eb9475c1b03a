"""`tidemark up`, `scheduler`, `worker`, `api`, `doctor` and `database upgrade`: run and maintain the system."""

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scheduler.cli.exit_codes import DONE, FAILED
from scheduler.cli.options import Json

if TYPE_CHECKING:
    from pathlib import Path

database_app = typer.Typer(help="Database tables and roles.", no_args_is_help=True)


def up(
    scoring_workers: Annotated[
        int | None, typer.Option("--scoring-workers", min=1, help="Scoring processes; default: one per core.")
    ] = None,
    with_api: Annotated[bool, typer.Option("--api/--no-api", help="Also serve the HTTP API and the dashboard.")] = True,
    json: Json = False,
) -> int:
    """Run everything on this machine in the foreground: Redis unless a URL is set, scheduler, workers, API."""
    from scheduler.cli.session import open_session
    from scheduler.installation.foreground import run_until_stopped

    if scoring_workers is not None:
        os.environ["TIDEMARK_SCORING_WORKERS"] = str(scoring_workers)
    with open_session(wants_json=json) as session:
        settings, output = session.settings, session.output
        addresses = {"home": str(settings.state_folder), "database": session.database_address}
        output.say(f"Tidemark runs in {addresses['home']}, database {addresses['database']}. Ctrl-C stops it.")
        session.engine.dispose()
        run_until_stopped(
            settings,
            with_api=with_api,
            sign_in=_way_into(settings.state_folder),
            on_event=output.say,
            on_ready=lambda parts: output.emit(addresses | {"parts": parts}),
        )
    output.say("Stopped. Unfinished jobs continue at the next start.")
    return DONE


def _way_into(home: "Path") -> str:
    """Return how to sign in to the dashboard. The key itself is never shown."""
    from db.settings import DatabaseSettings
    from scheduler.client.local_api import KEY_FILE

    if DatabaseSettings().database_url is None:
        return f"the key for signing in is in {home / KEY_FILE}"
    return "create a key for signing in: tidemark key create NAME"


def scheduler(json: Json = False) -> None:
    """Run one scheduler in the foreground; any number may run in parallel. It waits while the database is down."""
    from db.errors import DatabaseUnreachableError
    from scheduler.cli.output import Output
    from scheduler.installation.extras import SERVER, require_extras

    require_extras(SERVER)
    module = ["scheduler.loop.process"]
    try:
        _become(module, wants_json=json)
    except DatabaseUnreachableError as error:
        Output(wants_json=json).say(f"The scheduler is waiting: {error}")
        _turn_into(module)


def worker(
    queues: Annotated[
        str, typer.Option("--queues", help="Queues to serve, separated by commas.")
    ] = "scoring,training,monitoring",
    concurrency: Annotated[int | None, typer.Option("--concurrency", min=1, help="Processes; default: cores.")] = None,
    json: Json = False,
) -> None:
    """Run one Celery worker in the foreground."""
    from scheduler.installation.extras import extras_of_queues, require_extras

    require_extras(*extras_of_queues(queues.split(",")))
    more = [] if concurrency is None else ["--concurrency", str(concurrency)]
    _become(["worker", "--queues", queues, *more], wants_json=json)


def api(json: Json = False) -> None:
    """Run the HTTP API in the foreground; any number may run in parallel."""
    from scheduler.installation.extras import SERVER, require_extras

    require_extras(SERVER)
    _become(["scheduler.server.process"], wants_json=json)


def doctor(json: Json = False) -> int:
    """Check this installation and say how to fix each problem."""
    from scheduler.cli.output import Output
    from scheduler.installation.doctor import examine

    output = Output(wants_json=json)
    findings = examine()
    is_well = all(one.state != "fail" for one in findings)
    checks = [{"check": one.check, "state": one.state, "found": one.found, "advice": one.advice} for one in findings]
    output.emit({"ok": is_well, "checks": checks})
    output.show_table(("check", "state", "found", "what to do"), [tuple(one.values()) for one in checks])
    return DONE if is_well else FAILED


@database_app.callback()
def _database() -> None:
    """The database's tables."""


@database_app.command("upgrade")
def upgrade(json: Json = False) -> None:
    """Bring the tables of an older release up to date. Make a backup first."""
    from db.connections.engine import opened_engine
    from db.migrations.upgrade import schema_versions, upgrade_database
    from db.settings import DatabaseSettings
    from scheduler.cli.output import Output

    with opened_engine(DatabaseSettings().url) as engine:
        before = upgrade_database(engine)
        after, _ = schema_versions(engine)
    output = Output(wants_json=json)
    output.emit({"before": before, "after": after})
    output.show(f"Schema version {before} -> {after}.")


@database_app.command("roles")
def roles(
    analyst: Annotated[
        list[str] | None,
        typer.Option(
            "--analyst", metavar="ROLE=PORTFOLIO", help="Also create a role that can read only this portfolio's scores."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Print the SQL that creates a PostgreSQL role with minimal rights for each kind of process."""
    from db.migrations.database_roles import roles_sql
    from scheduler.cli.output import Output
    from scheduler.requests.database_roles import read_analysts

    sql = roles_sql(read_analysts(analyst or []))
    output = Output(wants_json=json)
    output.emit({"sql": sql})
    output.show(sql)


def _become(module_and_arguments: list[str], *, wants_json: bool) -> None:
    """Check the database, then turn this process into the one that was asked for: signals reach it directly."""
    from scheduler.cli.session import open_session

    with open_session(wants_json=wants_json) as session:
        document: dict[str, Any] = {"pid": os.getpid(), "module": module_and_arguments[0]}
        session.output.emit(document | {"database": session.database_address})
    _turn_into(module_and_arguments)


def _turn_into(module_and_arguments: list[str]) -> None:
    os.execv(sys.executable, [sys.executable, "-m", *module_and_arguments])  # noqa: S606 - our own command
