"""Changes of schedules by people: add, pause, resume, remove, run now. Each is one transaction."""

from dataclasses import replace
from datetime import datetime

from db.connections.engine import Engine, writing
from db.operations.diagnosis import read_database_time
from db.schedules.due_time_runs import store_missed, submit_by_hand
from db.schedules.timetable import (
    Schedule,
    ScheduleRequest,
    find_schedule,
    find_schedule_named,
    lock_schedule,
    move_schedule,
    save_schedule,
)
from db.schema.states import RunCause, ScheduleState
from scheduler.errors import UsageError
from scheduler.loop.due_times import read_timetable
from scheduler.loop.schedule_firing import split_due_times


def add_schedule(engine: Engine, request: ScheduleRequest, *, who: str) -> tuple[Schedule, str]:
    """Store a schedule whose first due time is the next one from now; return it with "added", "changed", "unchanged".

    Raises `UsageError` for an invalid cron expression or time zone, `NotFoundError` for an unknown portfolio.
    """
    timetable = read_timetable(request.cron, request.time_zone)
    next_due_at = timetable.next_after(read_database_time(engine))
    with writing(engine) as connection:
        return save_schedule(connection, replace(request, cron=timetable.cron), next_due_at=next_due_at, who=who)


def pause_schedule(engine: Engine, name: str, *, who: str, why: str = "") -> Schedule:
    """Pause a schedule until `resume_schedule`; earlier due times that were not handled are stored as missed."""
    return _stop(engine, name, ScheduleState.PAUSED, who=who, why=why)


def remove_schedule(engine: Engine, name: str, *, who: str, why: str = "") -> Schedule:
    """End a schedule permanently. Its history and its jobs stay."""
    return _stop(engine, name, ScheduleState.REMOVED, who=who, why=why)


def resume_schedule(engine: Engine, name: str, *, who: str, why: str = "") -> Schedule:
    """Resume a schedule from its next due time; those during the pause are neither run nor missed."""
    with writing(engine) as connection:
        schedule, now = lock_schedule(connection, find_schedule_named(connection, name).id)
        if schedule.state is ScheduleState.ACTIVE:
            return schedule
        next_due_at = read_timetable(schedule.cron, schedule.time_zone).next_after(now)
        move_schedule(connection, schedule, ScheduleState.ACTIVE, next_due_at=next_due_at, who=who, why=why)
        return find_schedule(connection, schedule.id)


def run_schedule_now(engine: Engine, name: str, *, who: str) -> int:
    """Submit a job of the schedule now, even if it is paused; return the job's id. The next due time does not change.

    Raises `StateConflictError` without a champion, for a removed schedule, and where the overlap policy says `skip`
    and a job of this schedule is not finished.
    """
    with writing(engine) as connection:
        schedule, now = lock_schedule(connection, find_schedule_named(connection, name).id)
        return submit_by_hand(connection, schedule, now, who=who)


def _stop(engine: Engine, name: str, state: ScheduleState, *, who: str, why: str) -> Schedule:
    with writing(engine) as connection:
        schedule, now = lock_schedule(connection, find_schedule_named(connection, name).id)
        if schedule.state is state:
            return schedule
        overdue = _overdue(schedule, now)
        store_missed(connection, schedule, overdue, RunCause(state), f"{state} before it was run", who=who)
        move_schedule(connection, schedule, state, next_due_at=None, who=who, why=why)
        return find_schedule(connection, schedule.id)


def _overdue(schedule: Schedule, now: datetime) -> list[datetime]:
    first = schedule.next_due_at
    if first is None or first > now:
        return []
    try:
        return split_due_times(read_timetable(schedule.cron, schedule.time_zone), first, now)[0]
    except UsageError:  # a schedule that cannot be read must still go away
        return [first]
