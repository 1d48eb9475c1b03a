"""`tidemark load NAME EVENTS --events TABLE`: loads a file of events into one of a portfolio's event tables."""

from pathlib import Path
from typing import TYPE_CHECKING

from db.events.wording import counted
from scheduler.cli.frame_progress import with_progress

if TYPE_CHECKING:
    from db.sources.event_loading import EventLoad, EventLoadMode, EventLoadOutcome
    from scheduler.cli.output import Output
    from scheduler.data_files.event_file import EventSurvey


def choose_mode(*, replace: bool, append: bool, by_record: bool) -> "EventLoadMode":
    """Return what happens to present events. Raises `UsageError` for two answers."""
    from db.sources.event_loading import EventLoadMode
    from scheduler.errors import UsageError

    given = {"--replace": replace, "--append": append, "--by-record": by_record}
    chosen = [option for option, is_given in given.items() if is_given]
    if len(chosen) > 1:
        raise UsageError(f"{' and '.join(chosen)} exclude each other; use only one")
    modes = {
        "--replace": EventLoadMode.REPLACE,
        "--append": EventLoadMode.APPEND,
        "--by-record": EventLoadMode.BY_RECORD,
    }
    return modes[chosen[0]] if chosen else EventLoadMode.NEW_RECORDS


def require_no_event_options(given: dict[str, bool]) -> None:
    """Raise `UsageError` if an option of events is used for records."""
    from scheduler.errors import UsageError

    used = [option for option, is_given in given.items() if is_given]
    if used:
        raise UsageError(f"{used[0]} is for events: name their table with --events TABLE")


def load_event_file(
    name: str, path: Path, table: str, mode: "EventLoadMode", *, is_trial: bool, wants_json: bool
) -> None:
    """Load a file into the portfolio's event table, all or nothing, and report what was loaded."""
    from db.portfolios.catalog import get_portfolio
    from db.sources.event_loading import EventLoad, load_events
    from scheduler.cli.session import open_session
    from scheduler.data_files.event_file import EventSurvey, checked_frames, open_event_file

    with open_session(wants_json=wants_json) as session:
        definition = get_portfolio(session.engine, name).definition
        events = definition.require_events(table)
        file = open_event_file(path, events)
        if file.ignored_columns:
            session.output.say(f"Columns not in the portfolio, not loaded: {', '.join(file.ignored_columns)}")
        survey = EventSurvey()
        load = EventLoad(definition, events, file.key_type, mode, is_trial=is_trial, who=session.who)
        frames = with_progress(checked_frames(file, survey, definition.reject_budget), file.rows_estimate, "events")
        outcome = load_events(session.engine, load, frames)
        _tell_loaded(session.output, load, outcome, survey)


def _tell_loaded(output: "Output", load: "EventLoad", outcome: "EventLoadOutcome", survey: "EventSurvey") -> None:
    place = {"portfolio": load.definition.name, "events": load.events.name, "source": load.events.source}
    counts = {"loaded": outcome.loaded, "replaced": outcome.replaced, "records": outcome.records}
    late = {"late": outcome.late, "newest_night": outcome.night}
    refused = {"refused": survey.refused, "refusals": survey.document}
    output.emit({**place, **counts, "total": outcome.total, **late, **refused, "dry_run": load.is_trial})
    done, holds = ("Would load", "would then hold") if load.is_trial else ("Loaded", "now holds")
    output.show(
        f"{done} {counted(outcome.loaded, 'event')} of {counted(outcome.records, 'record')} into {load.events.source} "
        f"({outcome.replaced:,} replaced); it {holds} {outcome.total:,}."
    )
    if survey.refused:
        output.say(f"{counted(survey.refused, 'row')} not loaded:")
    for sentence in survey.sentences:
        output.say(sentence)
    if outcome.late:
        output.say(
            f"{counted(outcome.late, 'event')} came late: the night of {outcome.night}, the newest that was scored, "
            "was scored without them."
        )
