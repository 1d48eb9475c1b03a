"""`tidemark load`: loads a file of records into the source table, or a file of events into one of their tables."""

from typing import TYPE_CHECKING, Annotated

import typer

from db.events.wording import counted
from scheduler.cli.commands.books.event_load import choose_mode, load_event_file, require_no_event_options
from scheduler.cli.frame_progress import with_progress
from scheduler.cli.options import DataFile, Json, PortfolioName

if TYPE_CHECKING:
    from db.portfolios.definition import PortfolioDefinition
    from db.sources.loading import LoadOutcome
    from scheduler.cli.session import Session
    from scheduler.data_files.load_survey import LoadSurvey


def load(
    name: PortfolioName,
    data: DataFile,
    replace: Annotated[
        bool, typer.Option("--replace", help="Recreate the table; its present rows are deleted.")
    ] = False,
    events: Annotated[
        str | None, typer.Option("--events", metavar="TABLE", help="Load events into this [events.TABLE].")
    ] = None,
    append: Annotated[
        bool, typer.Option("--append", help="With --events: add to the events that a record has already.")
    ] = False,
    by_record: Annotated[
        bool, typer.Option("--by-record", help="With --events: replace all events of the file's records.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --events: check and count everything, store nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Load a CSV, JSON lines or Parquet file into the portfolio's source table. Rows with the same key are replaced.

    With --events the file holds events, any number of rows for each record.
    """
    if events is not None:
        how = choose_mode(replace=replace, append=append, by_record=by_record)
        load_event_file(name, data, events, how, is_trial=dry_run, wants_json=json)
        return
    require_no_event_options({"--append": append, "--by-record": by_record, "--dry-run": dry_run})
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
            survey.watch(with_progress((batch.frame for batch in file.batches()), file.rows_estimate, "records")),
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
