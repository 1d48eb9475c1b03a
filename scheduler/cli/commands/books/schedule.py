"""`tidemark schedule`: set when a portfolio is scored, and show the result of each due time."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from db.schema.states import CatchUp, Overlap
from scheduler.cli.options import Json, PortfolioName

if TYPE_CHECKING:
    from datetime import datetime

    from db.schedules.due_time_runs import ScheduleHistory, ScheduleRun
    from db.schedules.timetable import Schedule
    from scheduler.cli.session import Session

app = typer.Typer(help="Schedules: which portfolio is scored when.", no_args_is_help=True)

_ScheduleName = Annotated[
    str, typer.Argument(metavar="SCHEDULE", help="Id of the schedule, or name of the portfolio if it has only one.")
]
_Why = Annotated[str, typer.Option("--why", help="Reason, kept in the event log.")]


@app.command("add")
def add(
    name: PortfolioName,
    cron: Annotated[
        str, typer.Option("--cron", help='Minute, hour, day of month, month, day of week: "0 2 * * *" is daily at two.')
    ],
    time_zone: Annotated[str, typer.Option("--tz", help="Time zone, such as Asia/Shanghai.")] = "UTC",
    catch_up: Annotated[
        CatchUp,
        typer.Option("--catch-up", help="Due times missed during downtime: run the latest, all or none of them."),
    ] = CatchUp.LATEST,
    overlap: Annotated[
        Overlap,
        typer.Option("--overlap", help="If the previous job is unfinished at a due time: skip the run, or queue it."),
    ] = Overlap.SKIP,
    json: Json = False,
) -> None:
    """Score a portfolio with its champion at every due time. Adding it again changes its policies."""
    from db.schedules.timetable import ScheduleRequest
    from scheduler.cli.session import open_session
    from scheduler.requests.schedule_changes import add_schedule

    request = ScheduleRequest(name, cron, time_zone, catch_up, overlap)
    with open_session(wants_json=json) as session:
        schedule, outcome = add_schedule(session.engine, request, who=session.who)
        session.output.emit(_document(schedule) | {"outcome": outcome})
        session.output.show(f"Schedule {schedule.id} {outcome}: {_describe(schedule)}.")
        _warn_without_champion(session, name)


@app.command("list")
def list_(
    with_removed: Annotated[bool, typer.Option("--all", help="Include removed schedules.")] = False, json: Json = False
) -> None:
    """List every schedule: next and last run, due times that were missed or skipped."""
    from db.schedules.due_time_runs import ScheduleHistory, read_histories
    from db.schedules.timetable import list_schedules
    from scheduler.cli.session import open_session

    with open_session(wants_json=json) as session:
        histories = read_histories(session.engine)
        listed = [
            (one, histories.get(one.id, ScheduleHistory()))
            for one in list_schedules(session.engine, with_removed=with_removed)
        ]
        session.output.emit({"schedules": [_document(one) | _history_document(history) for one, history in listed]})
        names = ("schedule", "portfolio", "cron", "time zone", "state", "next due", "last run", "last job", "missed",
                 "last missed", "skipped")  # fmt: skip
        session.output.show_table(names, [_list_row(*one) for one in listed])


@app.command("show")
def show(
    name: _ScheduleName,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="Maximum number of due times.")] = 20,
    json: Json = False,
) -> None:
    """Show one schedule and the result of its latest due times."""
    from db.connections.engine import reading
    from db.schedules.due_time_runs import list_runs
    from db.schedules.timetable import find_schedule_named
    from scheduler.cli.session import open_session

    with open_session(wants_json=json) as session:
        with reading(session.engine) as connection:
            schedule = find_schedule_named(connection, name)
        runs = list_runs(session.engine, schedule.id, limit=limit)
        session.output.emit(_document(schedule) | {"runs": [_run_document(run) for run in runs]})
        facts = _document(schedule) | {"next_due_at": _local(schedule, schedule.next_due_at)}
        session.output.show_table(("name", "value"), facts.items(), title=_describe(schedule))
        rows = [(_local(schedule, run.due_at), *list(_run_document(run).values())[1:]) for run in runs]
        session.output.show_table(("due", "state", "job", "cause", "detail", "by hand"), rows)


@app.command("pause")
def pause(name: _ScheduleName, why: _Why = "", json: Json = False) -> None:
    """Pause a schedule. Due times until it is resumed are neither run nor counted as missed."""
    from scheduler.cli.session import open_session
    from scheduler.requests.schedule_changes import pause_schedule

    with open_session(wants_json=json) as session:
        _tell(session, pause_schedule(session.engine, name, who=session.who, why=why))


@app.command("resume")
def resume(name: _ScheduleName, why: _Why = "", json: Json = False) -> None:
    """Resume a paused schedule, starting with its next due time."""
    from scheduler.cli.session import open_session
    from scheduler.requests.schedule_changes import resume_schedule

    with open_session(wants_json=json) as session:
        _tell(session, resume_schedule(session.engine, name, who=session.who, why=why))


@app.command("remove")
def remove(name: _ScheduleName, why: _Why = "", json: Json = False) -> None:
    """Remove a schedule; its history and jobs are kept."""
    from scheduler.cli.session import open_session
    from scheduler.requests.schedule_changes import remove_schedule

    with open_session(wants_json=json) as session:
        _tell(session, remove_schedule(session.engine, name, who=session.who, why=why))


@app.command("run-now")
def run_now(name: _ScheduleName, json: Json = False) -> None:
    """Submit a job of the schedule now; its next due time does not change."""
    from db.ledger.job_lifecycle import get_job
    from scheduler.cli.commands.job import job_document
    from scheduler.cli.session import open_session
    from scheduler.requests.schedule_changes import run_schedule_now

    with open_session(wants_json=json) as session:
        job_id = run_schedule_now(session.engine, name, who=session.who)
        session.output.emit(job_document(get_job(session.engine, job_id)))
        session.output.show(f"Job {job_id} is stored.")
        session.output.say(f"See it with: tidemark job show {job_id}")


def _tell(session: "Session", schedule: "Schedule") -> None:
    session.output.emit(_document(schedule))
    session.output.show(f"Schedule {schedule.id} is {schedule.state}: {_describe(schedule)}.")


def _warn_without_champion(session: "Session", name: str) -> None:
    from db.registry.champions import get_champion

    if get_champion(session.engine, name) is None:
        session.output.say(
            f"Portfolio {name} has no champion yet; until it has one, due times are stored as missed. "
            f"Train one with: tidemark train {name}"
        )


def _describe(schedule: "Schedule") -> str:
    due = _local(schedule, schedule.next_due_at)
    named = f'{schedule.portfolio}, "{schedule.cron}" in {schedule.time_zone}'
    return f"{named} ({_in_words(schedule)}){f', next due {due}' if due else ''}"


def _in_words(schedule: "Schedule") -> str:
    from scheduler.errors import UsageError
    from scheduler.loop.due_times import read_timetable

    try:
        return read_timetable(schedule.cron, schedule.time_zone).in_words()
    except UsageError:  # one that the scheduler paused for it; it must still be listed and removed
        return "cannot be read"


def _local(schedule: "Schedule", moment: "datetime | None") -> str | None:
    """A moment as the clocks of the schedule's time zone show it, or in UTC if there is no such zone."""
    from datetime import UTC
    from zoneinfo import ZoneInfo

    try:
        zone = ZoneInfo(schedule.time_zone)
    except (KeyError, ValueError, OSError):
        zone = UTC
    return None if moment is None else moment.astimezone(zone).strftime("%Y-%m-%d %H:%M %Z")


def _document(schedule: "Schedule") -> dict[str, Any]:
    return {
        "schedule": schedule.id,
        "portfolio": schedule.portfolio,
        "cron": schedule.cron,
        "time_zone": schedule.time_zone,
        "catch_up": schedule.catch_up,
        "overlap": schedule.overlap,
        "state": schedule.state,
        "next_due_at": schedule.next_due_at,
        "created_at": schedule.created_at,
    }


def _history_document(history: "ScheduleHistory") -> dict[str, Any]:
    return {
        "last_due_at": history.last_due_at,
        "last_job": history.last_job_id,
        "last_job_state": history.last_job_state,
        "missed": history.missed,
        "last_missed_at": history.last_missed_at,
        "skipped": history.skipped,
    }


def _run_document(run: "ScheduleRun") -> dict[str, Any]:
    return {
        "due_at": run.due_at,
        "state": run.state,
        "job": run.job_id,
        "cause": run.cause,
        "detail": run.detail,
        "by_hand": run.is_by_hand,
    }


def _list_row(schedule: "Schedule", history: "ScheduleHistory") -> tuple[Any, ...]:
    due = (schedule.next_due_at, history.last_due_at, history.last_missed_at)
    next_due, last_due, last_missed = (_local(schedule, moment) for moment in due)
    last_job = f"{history.last_job_id} {history.last_job_state}" if history.last_job_id else None
    named = (schedule.id, schedule.portfolio, schedule.cron, schedule.time_zone, schedule.state)
    return (*named, next_due, last_due, last_job, history.missed, last_missed, history.skipped)
