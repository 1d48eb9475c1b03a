"""Schedules of portfolios: stored, paused and removed.

What became of due times: `db.schedules.due_time_runs`.
"""

from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Select, select, update
from sqlalchemy.dialects import postgresql, sqlite

from db.connections.clock import now_plus
from db.connections.engine import reading
from db.errors import NotFoundError, StateConflictError
from db.events.event_log import record_event
from db.portfolios.catalog import find_portfolio
from db.schema.schedule_tables import schedules
from db.schema.states import SCHEDULE_MOVES, CatchUp, Overlap, ScheduleState

_ADVICE = "List them with: tidemark schedule list"


@dataclass(frozen=True)
class ScheduleRequest:
    """What a user asks for. The same portfolio, cron expression and time zone are one schedule."""

    portfolio: str
    cron: str
    time_zone: str
    catch_up: CatchUp = CatchUp.LATEST
    overlap: Overlap = Overlap.SKIP


@dataclass(frozen=True)
class Schedule:
    """One row of the schedule table."""

    id: int
    portfolio: str
    cron: str
    time_zone: str
    catch_up: CatchUp
    overlap: Overlap
    state: ScheduleState
    next_due_at: datetime | None
    created_at: datetime


_COLUMNS = tuple(schedules.c[field.name] for field in fields(Schedule))
_IS_KEPT = schedules.c.state != ScheduleState.REMOVED


def save_schedule(
    connection: Connection, request: ScheduleRequest, *, next_due_at: datetime, who: str
) -> tuple[Schedule, str]:
    """Store a schedule in the caller's transaction; return it with "added", "changed" or "unchanged".

    An existing schedule keeps its state and its next due time; only its policies change. Raises `NotFoundError`
    for an unknown portfolio.
    """
    portfolio = find_portfolio(connection, request.portfolio).name
    made = connection.execute(_insert_unless_kept(connection, asdict(request) | {"next_due_at": next_due_at})).scalar()
    if made is not None:
        _record(connection, "added", made, portfolio, who, f"{request.cron} {request.time_zone}")
        return find_schedule(connection, made), "added"
    schedule = _lock_same(connection, request)
    policies = {"catch_up": request.catch_up, "overlap": request.overlap}
    if (schedule.catch_up, schedule.overlap) == (request.catch_up, request.overlap):
        return schedule, "unchanged"
    connection.execute(update(schedules).where(schedules.c.id == schedule.id).values(**policies))
    _record(connection, "changed", schedule.id, portfolio, who, f"{request.catch_up}, {request.overlap}")
    return find_schedule(connection, schedule.id), "changed"


def find_schedule(connection: Connection, schedule_id: int) -> Schedule:
    """Return one schedule, removed ones too. Raises `NotFoundError`."""
    row = connection.execute(select(*_COLUMNS).where(schedules.c.id == schedule_id)).one_or_none()
    if row is None:
        raise NotFoundError("schedule", schedule_id, _known_names(connection), _ADVICE)
    return _as_schedule(row)


def find_schedule_named(connection: Connection, name: str) -> Schedule:
    """Return a schedule by its id or, if it is the portfolio's only one, by the portfolio's name.

    An id finds removed schedules too, a portfolio's name does not. Raises `NotFoundError`, and `StateConflictError`
    for a portfolio with several.
    """
    if name.isascii() and name.isdigit():
        return find_schedule(connection, min(int(name), 2**31))
    kept = select(*_COLUMNS).where(schedules.c.portfolio == name, _IS_KEPT).order_by(schedules.c.id)
    rows = connection.execute(kept).all()
    if not rows:
        raise NotFoundError("schedule", name, _known_names(connection), _ADVICE)
    if len(rows) > 1:
        listed = ", ".join(str(row.id) for row in rows)
        raise StateConflictError(f"portfolio {name} has several schedules; expected one of the ids {listed}")
    return _as_schedule(rows[0])


def lock_schedule(connection: Connection, schedule_id: int) -> tuple[Schedule, datetime]:
    """Return a schedule and the database's time; no other process changes it until the caller's transaction ends."""
    statement = select(*_COLUMNS).where(schedules.c.id == schedule_id).with_for_update()
    schedule = _as_schedule(connection.execute(statement).one())
    # After the lock, in a statement of its own: the wait for it may have been long.
    return schedule, connection.execute(select(now_plus())).scalar_one()


def list_schedules(engine: Engine, *, with_removed: bool = False) -> list[Schedule]:
    """Return every schedule by portfolio and id."""
    statement = select(*_COLUMNS).order_by(schedules.c.portfolio, schedules.c.id)
    with reading(engine) as connection:
        rows = connection.execute(statement if with_removed else statement.where(_IS_KEPT))
        return [_as_schedule(row) for row in rows]


def list_due_schedule_ids(engine: Engine) -> list[int]:
    """Return the active schedules whose next due time has passed, the longest due first."""
    is_due = (schedules.c.state == ScheduleState.ACTIVE, schedules.c.next_due_at <= now_plus())
    statement = select(schedules.c.id).where(*is_due).order_by(schedules.c.next_due_at, schedules.c.id)
    with reading(engine) as connection:
        return list(connection.execute(statement).scalars())


def advance_schedule(connection: Connection, schedule: Schedule, next_due_at: datetime) -> None:
    """Record in the caller's transaction that every due time before `next_due_at` was handled."""
    _change(connection, schedule, next_due_at=next_due_at)


def move_schedule(
    connection: Connection,
    schedule: Schedule,
    state: ScheduleState,
    *,
    next_due_at: datetime | None,
    who: str,
    why: str,
) -> None:
    """Bring a schedule into another state in the caller's transaction; only an active one has a next due time.

    Raises `StateConflictError` for a move that is not legal.
    """
    if state not in SCHEDULE_MOVES[schedule.state]:
        raise StateConflictError(f"schedule {schedule.id} is {schedule.state}; it cannot become {state}")
    _change(connection, schedule, state=state, next_due_at=next_due_at)
    event = "resumed" if state is ScheduleState.ACTIVE else str(state)
    _record(connection, event, schedule.id, schedule.portfolio, who, why)


def _change(connection: Connection, schedule: Schedule, **values: Any) -> None:
    is_as_seen = (
        schedules.c.state == schedule.state,
        schedules.c.next_due_at.is_not_distinct_from(schedule.next_due_at),
    )
    changed = update(schedules).where(schedules.c.id == schedule.id, *is_as_seen).values(**values)
    if connection.execute(changed).rowcount != 1:
        raise StateConflictError(f"schedule {schedule.id} was changed in the meantime; try again")


def _insert_unless_kept(connection: Connection, values: dict[str, Any]) -> Any:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(schedules).values(**values).on_conflict_do_nothing().returning(schedules.c.id)


def _lock_same(connection: Connection, request: ScheduleRequest) -> Schedule:
    same: Select[Any] = select(*_COLUMNS).where(
        schedules.c.portfolio == request.portfolio,
        schedules.c.cron == request.cron,
        schedules.c.time_zone == request.time_zone,
        _IS_KEPT,
    )
    row = connection.execute(same.with_for_update()).one_or_none()
    if row is None:
        raise StateConflictError("the same schedule was removed just now; try again")
    return _as_schedule(row)


def _known_names(connection: Connection) -> tuple[str, ...]:
    kept = select(schedules.c.id, schedules.c.portfolio).where(_IS_KEPT).order_by(schedules.c.id).limit(10)
    return tuple(f"{row.id} ({row.portfolio})" for row in connection.execute(kept))


def _record(connection: Connection, event: str, schedule_id: int, portfolio: str, who: str, why: str) -> None:
    reason = f"schedule {schedule_id}: {why}" if why else f"schedule {schedule_id}"
    record_event(connection, f"schedule.{event}", who=who, why=reason, portfolio=portfolio)


def _as_schedule(row: Any) -> Schedule:
    values = dict(row._mapping)
    values |= {"catch_up": CatchUp(row.catch_up), "overlap": Overlap(row.overlap), "state": ScheduleState(row.state)}
    return Schedule(**values)
