"""The result of each due time of a schedule: a job, or why there is none, in one transaction with the job."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, func, insert, select

from db.connections.engine import reading
from db.errors import StateConflictError
from db.events.event_log import record_event
from db.events.wording import counted
from db.ledger.job_lifecycle import JobRequest, insert_job
from db.portfolios.catalog import find_portfolio
from db.schedules.timetable import Schedule
from db.schema.core_tables import jobs
from db.schema.schedule_tables import schedule_runs
from db.schema.states import OPEN_JOB_STATES, PRIORITIES, JobKind, JobState, Overlap, RunCause, RunState, ScheduleState

WHO = "scheduler"


@dataclass(frozen=True)
class DueTime:
    """A due time that has come, and whether the catch-up policy wants it run."""

    due_at: datetime
    is_wanted: bool


@dataclass(frozen=True)
class ScheduleRun:
    """One row of the run table: the result of a due time."""

    due_at: datetime
    state: RunState
    job_id: int | None = None
    cause: RunCause | None = None
    detail: str | None = None
    is_by_hand: bool = False


@dataclass(frozen=True)
class ScheduleHistory:
    """The runs of a schedule in short."""

    last_due_at: datetime | None = None
    last_job_id: int | None = None
    last_job_state: JobState | None = None
    missed: int = 0
    last_missed_at: datetime | None = None
    skipped: int = 0


@dataclass(frozen=True)
class _Obstacle:
    """Why a schedule can submit no job at present."""

    state: RunState
    cause: RunCause
    detail: str


_COLUMNS = tuple(schedule_runs.c[field.name] for field in fields(ScheduleRun))


def store_due_times(
    connection: Connection, schedule: Schedule, due_times: Sequence[DueTime], *, may_overlap: bool
) -> list[ScheduleRun]:
    """Submit a job for each wanted due time and store the result of every one, in the caller's transaction.

    The schedule must be locked. A due time that is already stored is left out. Unfinished jobs of the schedule are
    checked once, before the first; with `may_overlap` they are not checked at all.
    """
    obstacle = _find_obstacle(connection, schedule, may_overlap=may_overlap)
    known = _known_due_times(connection, schedule.id, due_times)
    runs = [_run_of(connection, schedule, one, obstacle) for one in due_times if one.due_at not in known]
    _insert_runs(connection, schedule, runs, who=WHO)
    return runs


def store_missed(
    connection: Connection,
    schedule: Schedule,
    due_times: Sequence[datetime],
    cause: RunCause,
    detail: str,
    *,
    who: str,
) -> None:
    """Store due times that will never be run, in the caller's transaction. The schedule must be locked."""
    known = _known_due_times(connection, schedule.id, [DueTime(due_at, is_wanted=False) for due_at in due_times])
    missed = [ScheduleRun(one, RunState.MISSED, None, cause, detail) for one in due_times if one not in known]
    _insert_runs(connection, schedule, missed, who=who)


def submit_by_hand(connection: Connection, schedule: Schedule, now: datetime, *, who: str) -> int:
    """Submit a job of the schedule now, in the caller's transaction; return the job's id.

    Raises `StateConflictError` for a removed schedule, and if a due time would be skipped or missed.
    """
    if schedule.state is ScheduleState.REMOVED:
        raise StateConflictError(f"schedule {schedule.id} is removed")
    obstacle = _find_obstacle(connection, schedule, may_overlap=schedule.overlap is Overlap.QUEUE)
    if obstacle is not None:
        raise StateConflictError(f"schedule {schedule.id} cannot run now: {obstacle.detail}")
    job_id = _submit(connection, schedule, who)
    _insert_runs(connection, schedule, [ScheduleRun(now, RunState.SUBMITTED, job_id, is_by_hand=True)], who=who)
    return job_id


def list_runs(engine: Engine, schedule_id: int, *, limit: int = 50) -> list[ScheduleRun]:
    """Return the newest runs of a schedule, newest due time first."""
    of_schedule = select(*_COLUMNS).where(schedule_runs.c.schedule_id == schedule_id)
    with reading(engine) as connection:
        rows = connection.execute(of_schedule.order_by(schedule_runs.c.due_at.desc()).limit(limit))
        return [_as_run(row) for row in rows]


def read_histories(engine: Engine) -> dict[int, ScheduleHistory]:
    """Return the history of each schedule that has one, by the schedule's id."""
    counted = (
        schedule_runs.c.schedule_id,
        schedule_runs.c.state,
        func.count().label("runs"),
        func.max(schedule_runs.c.due_at).label("last_due_at"),
        func.max(schedule_runs.c.job_id).label("job_id"),
    )
    grouped = select(*counted).group_by(schedule_runs.c.schedule_id, schedule_runs.c.state).subquery()
    joined = select(grouped, jobs.c.state.label("job_state")).outerjoin(jobs, jobs.c.id == grouped.c.job_id)
    by_schedule: dict[int, dict[RunState, Any]] = {}
    with reading(engine) as connection:
        for row in connection.execute(joined):
            by_schedule.setdefault(row.schedule_id, {})[RunState(row.state)] = row
    return {schedule_id: _as_history(rows) for schedule_id, rows in by_schedule.items()}


def _find_obstacle(connection: Connection, schedule: Schedule, *, may_overlap: bool) -> _Obstacle | None:
    unfinished = None if may_overlap else _find_unfinished(connection, schedule.id)
    if unfinished is not None:
        detail = f"job {unfinished} of this schedule is not finished"
        return _Obstacle(RunState.SKIPPED, RunCause.PREVIOUS_UNFINISHED, detail)
    if find_portfolio(connection, schedule.portfolio).champion is None:
        name = schedule.portfolio
        detail = f"portfolio {name} has no champion; train one with: tidemark train {name}"
        return _Obstacle(RunState.MISSED, RunCause.NO_CHAMPION, detail)
    return None


def _find_unfinished(connection: Connection, schedule_id: int) -> int | None:
    # From the side of the jobs: few are open, and an index holds them; a schedule's runs grow for years.
    of_schedule = select(jobs.c.id).join(schedule_runs, schedule_runs.c.job_id == jobs.c.id)
    is_open = (schedule_runs.c.schedule_id == schedule_id, jobs.c.state.in_(OPEN_JOB_STATES))
    return connection.execute(of_schedule.where(*is_open).order_by(jobs.c.id.desc()).limit(1)).scalar()


def _known_due_times(connection: Connection, schedule_id: int, due_times: Sequence[DueTime]) -> set[datetime]:
    if not due_times:
        return set()
    since = schedule_runs.c.due_at >= due_times[0].due_at
    stored = select(schedule_runs.c.due_at).where(schedule_runs.c.schedule_id == schedule_id, since)
    return set(connection.execute(stored).scalars())


def _run_of(connection: Connection, schedule: Schedule, due: DueTime, obstacle: _Obstacle | None) -> ScheduleRun:
    if not due.is_wanted:
        detail = f"no scheduler was running in time; catch-up policy: {schedule.catch_up}"
        return ScheduleRun(due.due_at, RunState.MISSED, None, RunCause.DOWNTIME, detail)
    if obstacle is not None:
        return ScheduleRun(due.due_at, obstacle.state, None, obstacle.cause, obstacle.detail)
    return ScheduleRun(due.due_at, RunState.SUBMITTED, _submit(connection, schedule, f"schedule {schedule.id}"))


def _submit(connection: Connection, schedule: Schedule, who: str) -> int:
    champion = find_portfolio(connection, schedule.portfolio).champion
    assert champion is not None, "a schedule without a champion has an obstacle"
    rank = PRIORITIES["nightly"]
    return insert_job(connection, JobRequest(JobKind.SCORING, schedule.portfolio, who, {}, champion, priority=rank))


def _insert_runs(connection: Connection, schedule: Schedule, runs: Sequence[ScheduleRun], *, who: str) -> None:
    if not runs:
        return
    names = [field.name for field in fields(ScheduleRun)]
    rows = [{"schedule_id": schedule.id} | {name: getattr(run, name) for name in names} for run in runs]
    connection.execute(insert(schedule_runs), rows)
    for state in (RunState.MISSED, RunState.SKIPPED):
        _record_without_job(connection, schedule, [run for run in runs if run.state is state], who=who)


def _record_without_job(connection: Connection, schedule: Schedule, runs: Sequence[ScheduleRun], *, who: str) -> None:
    """One event for all: a downtime of months is one event."""
    if not runs:
        return
    first, last = runs[0].due_at.isoformat(), runs[-1].due_at.isoformat()
    when = first if len(runs) == 1 else f"{counted(len(runs), 'due time')}, {first} to {last}"
    why = f"schedule {schedule.id}: {when}: {'; '.join(_distinct(run.detail or '' for run in runs))}"
    record_event(connection, f"schedule.{runs[0].state}", who=who, why=why, portfolio=schedule.portfolio)


def _distinct(details: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(details))


def _as_run(row: Any) -> ScheduleRun:
    values = dict(row._mapping)
    values |= {"state": RunState(row.state), "cause": None if row.cause is None else RunCause(row.cause)}
    return ScheduleRun(**values)


def _as_history(rows: dict[RunState, Any]) -> ScheduleHistory:
    submitted, missed, skipped = (rows.get(state) for state in (RunState.SUBMITTED, RunState.MISSED, RunState.SKIPPED))
    return ScheduleHistory(
        last_due_at=submitted and submitted.last_due_at,
        last_job_id=submitted and submitted.job_id,
        last_job_state=submitted and JobState(submitted.job_state),
        missed=missed.runs if missed else 0,
        last_missed_at=missed and missed.last_due_at,
        skipped=skipped.runs if skipped else 0,
    )
