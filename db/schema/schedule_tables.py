"""The tables of the timetable: schedules, and what became of their due times."""

from sqlalchemy import Boolean, CheckConstraint, Column, ForeignKey, Index, Table, Text, UniqueConstraint, text

from db.connections.clock import UtcDateTime, now_plus
from db.schema.core_tables import PREFIX, identity, jobs, metadata, one_of, portfolios
from db.schema.states import CatchUp, Overlap, RunCause, RunState, ScheduleState

__all__ = ["metadata", "schedule_runs", "schedules"]

schedules = Table(
    f"{PREFIX}schedules",
    metadata,
    Column("id", identity, primary_key=True),
    Column("portfolio", Text, ForeignKey(portfolios.c.name), nullable=False),
    Column("cron", Text, nullable=False, comment="five fields"),
    Column("time_zone", Text, nullable=False, comment="IANA name"),
    Column("catch_up", Text, nullable=False),
    Column("overlap", Text, nullable=False),
    Column("state", Text, nullable=False, default=ScheduleState.ACTIVE),
    Column("next_due_at", UtcDateTime, comment="the first due time that nobody has looked at; only while active"),
    Column("created_at", UtcDateTime, nullable=False, default=now_plus()),
    one_of("catch_up", CatchUp),
    one_of("overlap", Overlap),
    one_of("state", ScheduleState),
    CheckConstraint(f"(state = '{ScheduleState.ACTIVE}') = (next_due_at IS NOT NULL)", name="active_has_a_due_time"),
)
Index(
    "uq_tidemark_schedules_kept",
    schedules.c.portfolio,
    schedules.c.cron,
    schedules.c.time_zone,
    unique=True,
    postgresql_where=text("state <> 'removed'"),
    sqlite_where=text("state <> 'removed'"),
)

schedule_runs = Table(
    f"{PREFIX}schedule_runs",
    metadata,
    Column("id", identity, primary_key=True),
    Column("schedule_id", identity, ForeignKey(schedules.c.id), nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("state", Text, nullable=False),
    Column("job_id", identity, ForeignKey(jobs.c.id), unique=True),
    Column("cause", Text, comment="why there is no job, as a code"),
    Column("detail", Text, comment="why there is no job, as a sentence"),
    Column("is_by_hand", Boolean, nullable=False, default=False, comment="asked for by a person, at no due time"),
    Column("created_at", UtcDateTime, nullable=False, default=now_plus()),
    one_of("state", RunState),
    one_of("cause", RunCause),
    CheckConstraint(f"(state = '{RunState.SUBMITTED}') = (job_id IS NOT NULL)", name="submitted_has_a_job"),
    CheckConstraint(f"(state = '{RunState.SUBMITTED}') = (cause IS NULL)", name="without_a_job_has_a_cause"),
    UniqueConstraint("schedule_id", "due_at"),
)
