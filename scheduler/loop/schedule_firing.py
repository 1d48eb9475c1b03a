"""Turns due times into jobs, after any downtime and with any number of schedulers."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from logging import getLogger

from db.connections.engine import Engine, writing
from db.errors import DatabaseUnreachableError, DatabaseWriteRefusedError
from db.schedules.due_time_runs import WHO, DueTime, ScheduleRun, store_due_times, store_missed
from db.schedules.timetable import Schedule, advance_schedule, list_due_schedule_ids, lock_schedule, move_schedule
from db.schema.states import CatchUp, Overlap, RunCause, ScheduleState
from scheduler.errors import UsageError
from scheduler.loop.due_times import Timetable, read_timetable

logger = getLogger(__name__)

# A check is one transaction, and on SQLite every process waits for it: a thousand due times, nearly three years,
# take about a second. More than that is stored by several checks.
LOOK_DUE_TIMES = 1000


def fire_due_schedules(engine: Engine, *, grace_seconds: float) -> list[int]:
    """Store the result of every due time that has passed, and submit the jobs; return their ids.

    Each schedule is one transaction under its lock, by the database's clock: any number of schedulers may call this at
    once, and each due time is stored once.
    """
    job_ids: list[int] = []
    for schedule_id in list_due_schedule_ids(engine):
        try:
            runs = _fire_schedule(engine, schedule_id, timedelta(seconds=grace_seconds))
        except (DatabaseUnreachableError, DatabaseWriteRefusedError):
            raise
        except Exception:
            logger.exception("Schedule not fired; the other schedules are: schedule %d.", schedule_id)
            continue
        job_ids += [run.job_id for run in runs if run.job_id is not None]
    return job_ids


def split_due_times(
    timetable: Timetable, first: datetime, now: datetime, *, limit: int | None = None
) -> tuple[list[datetime], datetime]:
    """Return the due times from `first` to `now`, at most `limit` of them, and the one that follows."""
    came: list[datetime] = []
    # From just before: where a country changed its clocks since `first` was computed, the rules of today hold.
    for due in timetable.due_after(first - timedelta(seconds=1)):
        if due > now or len(came) == limit:
            return came, due
        came.append(due)
    raise UsageError(f'the cron expression "{timetable.cron}" matches no time after {now.isoformat()}')


def choose_due_times(
    came: Sequence[datetime], following: datetime, now: datetime, *, catch_up: CatchUp, grace: timedelta
) -> list[DueTime]:
    """Return for each past due time whether it is run, by the catch-up policy.

    `all` runs each, `none` those that are not older than the grace period, `latest` the newest alone - which is not
    among them where the due time that follows has come as well.
    """
    if catch_up is CatchUp.ALL:
        return [DueTime(due, is_wanted=True) for due in came]
    if catch_up is CatchUp.NONE:
        return [DueTime(due, is_wanted=now - due <= grace) for due in came]
    newest = came[-1] if came and following > now else None
    return [DueTime(due, is_wanted=due == newest) for due in came]


def may_overlap(schedule: Schedule, came: Sequence[datetime], now: datetime, *, grace: timedelta) -> bool:
    """Return whether jobs are submitted while one of this schedule is unfinished.

    They are with the overlap policy `queue`, and while `all` catches up, because then each due time has to run.
    """
    is_late = bool(came) and now - came[0] > grace
    return schedule.overlap is Overlap.QUEUE or (schedule.catch_up is CatchUp.ALL and is_late)


def _fire_schedule(engine: Engine, schedule_id: int, grace: timedelta) -> list[ScheduleRun]:
    with writing(engine) as connection:
        schedule, now = lock_schedule(connection, schedule_id)
        if schedule.next_due_at is None or schedule.next_due_at > now:
            return []  # another scheduler was first, or a person paused it
        try:
            timetable = read_timetable(schedule.cron, schedule.time_zone)
            came, following = split_due_times(timetable, schedule.next_due_at, now, limit=LOOK_DUE_TIMES)
        except UsageError as error:
            store_missed(connection, schedule, [schedule.next_due_at], RunCause.UNREADABLE, str(error), who=WHO)
            move_schedule(connection, schedule, ScheduleState.PAUSED, next_due_at=None, who=WHO, why=str(error))
            logger.error("Schedule paused because it cannot be read: schedule %d: %s", schedule_id, error)  # noqa: TRY400 - the cause is the message
            return []
        due_times = choose_due_times(came, following, now, catch_up=schedule.catch_up, grace=grace)
        is_queueing = may_overlap(schedule, came, now, grace=grace)
        runs = store_due_times(connection, schedule, due_times, may_overlap=is_queueing)
        advance_schedule(connection, schedule, following)
    _log(schedule, runs, following)
    return runs


def _log(schedule: Schedule, runs: Sequence[ScheduleRun], following: datetime) -> None:
    counts = Counter(run.state for run in runs)
    summary = ", ".join(f"{count} {state}" for state, count in counts.items())
    logger.info(
        "Schedule fired: schedule %d, portfolio %s: %s; next due %s.",
        schedule.id,
        schedule.portfolio,
        summary,
        following,
    )
