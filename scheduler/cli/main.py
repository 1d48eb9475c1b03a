"""The `tidemark` command. Nothing heavy is imported before a command runs, so that `--help` answers at once."""

import sys
from importlib.metadata import version
from typing import Annotated

import typer
from typer.exceptions import Abort, TyperException

from scheduler.cli.commands import demo, events, job, key, results, running, score, train
from scheduler.cli.commands.books import erase, grants, outcomes, records, schedule
from scheduler.cli.commands.models import drift, loop, promotion, scrub

app = typer.Typer(
    name="tidemark",
    help="Scores whole books of customers with a Transformer every night, and accounts for every record.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _tell_version(is_asked: bool) -> None:  # noqa: FBT001 - typer's signature
    if is_asked:
        typer.echo(f"tidemark {version('tidemark')}")
        raise typer.Exit


@app.callback()
def _begin(
    _version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options before the name of a command."""


app.add_typer(grants.app, name="portfolio")  # with the commands of cli/commands/books/portfolio.py
app.command("load")(records.load)
app.command("train")(train.train)
app.command("score")(score.score)
app.add_typer(job.app, name="job")
app.add_typer(results.scores_app, name="scores")
app.add_typer(results.rejects_app, name="rejects")
app.add_typer(promotion.app, name="model")  # with the commands of model.py and scrub.py there
assert scrub.app is promotion.app, "one group of commands, in several files"
app.add_typer(outcomes.app, name="outcomes")
app.add_typer(drift.app, name="drift")
app.add_typer(loop.app, name="loop")
app.add_typer(schedule.app, name="schedule")
app.command("up")(running.up)
app.command("scheduler")(running.scheduler)
app.command("worker")(running.worker)
app.command("erase")(erase.erase)
app.command("api")(running.api)
app.add_typer(key.app, name="key")
app.command("events")(events.events)
app.command("doctor")(running.doctor)
app.command("demo")(demo.demo)
app.add_typer(running.database_app, name="database")


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code; every error becomes one clear message."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        outcome = app(args=given, prog_name="tidemark", standalone_mode=False)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the one place where every error ends
        from scheduler.cli.failures import report_failure

        if isinstance(error, Abort):
            error = KeyboardInterrupt()
        wants_json = "--json" in given
        usage = error.format_message() if isinstance(error, TyperException) else None
        return report_failure(error, usage=usage, wants_json=wants_json)
    return outcome if isinstance(outcome, int) else 0


if __name__ == "__main__":
    sys.exit(main())
