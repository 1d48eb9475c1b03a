"""`tidemark load`: loads a file of records into the source table."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from db.events.wording import counted
from scheduler.cli.options import DataFile, Json, PortfolioName

if TYPE_CHECKING:
    import pandas as pd

    from db.portfolios.definition import PortfolioDefinition
    from db.sources.loading import LoadOutcome
    from scheduler.cli.session import Session
    from scheduler.data_files.load_survey import LoadSurvey
    from scheduler.data_files.record_file import DataFile as OpenedFile


def load(
    name: PortfolioName,
    data: DataFile,
    replace: Annotated[
        bool, typer.Option("--replace", help="Recreate the table; its present rows are deleted.")
    ] = False,
    json: Json = False,
) -> None:
    """Load a CSV or Parquet file into the portfolio's source table. Rows with the same key are replaced."""
    from db.portfolios.catalog import get_portfolio
    from db.sources.loading import load_records
    from scheduler.cli.session import open_session
    from scheduler.data_files.load_survey import LoadSurvey
    from scheduler.data_files.record_file import open_data_file

    with open_session(wants_json=json) as session:
        definition = get_portfolio(session.engine, name).definition
        file = open_data_file(data, definition)
        if file.ignored_columns:
            session.output.say(f"Columns not in the portfolio, not loaded: {', '.join(file.ignored_columns)}")
        survey = LoadSurvey()
        outcome = load_records(
            session.engine,
            definition,
            survey.watch(_with_progress(file)),
            key_type=file.key_type,
            replace_all=replace,
            who=session.who,
        )
        _tell_loaded(session, definition, outcome, survey)


def _tell_loaded(
    session: "Session", definition: "PortfolioDefinition", outcome: "LoadOutcome", survey: "LoadSurvey"
) -> None:
    """Report the counts, and what somebody should look at."""
    output = session.output
    counts = {"loaded": outcome.loaded, "replaced": outcome.replaced, "without_key": outcome.without_key}
    found = {"unreadable": survey.unreadable, "repeated_keys": outcome.repeated_keys}
    place = {"portfolio": definition.name, "source": definition.source}
    output.emit({**place, **counts, "total": outcome.total, **found})
    output.show(
        f"Loaded {counted(outcome.loaded, 'record')} into {definition.source} ({outcome.replaced:,} replaced); "
        f"it now holds {outcome.total:,}."
    )
    if outcome.without_key:
        output.say(f"{outcome.without_key:,} without a key: scoring will reject them.")
    if outcome.repeated_keys:
        keys = ", ".join(outcome.repeated_examples)
        output.say(
            f"{counted(outcome.repeated_keys, 'key')} occurred more than once, such as {keys}: "
            "scoring uses the first record of each."
        )
    for warning in survey.warnings:
        output.say(warning)


def _with_progress(file: "OpenedFile") -> Iterator["pd.DataFrame"]:
    """Yield the file's frames and draw a bar for people on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("loading"), BarColumn(), MofNCompleteColumn(), TextColumn("records"), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("loading", total=file.rows_estimate)
        for batch in file.batches():
            yield batch.frame
            progress.advance(task, len(batch.frame))
