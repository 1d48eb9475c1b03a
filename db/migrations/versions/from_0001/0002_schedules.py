"""The timetable: schedules, and what became of each of their due times."""

import sqlalchemy as sa
from alembic import op

from db.connections.clock import UtcDateTime

revision = "0002"
down_revision = "0001"

_identity = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make both tables; nothing that is there changes."""
    _create_schedules()
    _create_schedule_runs()


def _create_schedules() -> None:
    op.create_table(
        "tidemark_schedules",
        sa.Column("id", _identity, nullable=False),
        sa.Column("portfolio", sa.Text(), nullable=False),
        sa.Column("cron", sa.Text(), nullable=False, comment="five fields"),
        sa.Column("time_zone", sa.Text(), nullable=False, comment="IANA name"),
        sa.Column("catch_up", sa.Text(), nullable=False),
        sa.Column("overlap", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column(
            "next_due_at",
            UtcDateTime(),
            nullable=True,
            comment="the first due time that nobody has looked at; only while active",
        ),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("catch_up IN ('latest', 'all', 'none')", name=op.f("ck_tidemark_schedules_catch_up_known")),
        sa.CheckConstraint("overlap IN ('skip', 'queue')", name=op.f("ck_tidemark_schedules_overlap_known")),
        sa.CheckConstraint("state IN ('active', 'paused', 'removed')", name=op.f("ck_tidemark_schedules_state_known")),
        sa.CheckConstraint(
            "(state = 'active') = (next_due_at IS NOT NULL)", name=op.f("ck_tidemark_schedules_active_has_a_due_time")
        ),
        sa.ForeignKeyConstraint(
            ["portfolio"], ["tidemark_portfolios.name"], name=op.f("fk_tidemark_schedules_portfolio")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tidemark_schedules")),
    )
    op.create_index(
        "uq_tidemark_schedules_kept",
        "tidemark_schedules",
        ["portfolio", "cron", "time_zone"],
        unique=True,
        postgresql_where=sa.text("state <> 'removed'"),
        sqlite_where=sa.text("state <> 'removed'"),
    )


def _create_schedule_runs() -> None:
    op.create_table(
        "tidemark_schedule_runs",
        sa.Column("id", _identity, nullable=False),
        sa.Column("schedule_id", _identity, nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("job_id", _identity, nullable=True),
        sa.Column("cause", sa.Text(), nullable=True, comment="why there is no job, as a code"),
        sa.Column("detail", sa.Text(), nullable=True, comment="why there is no job, as a sentence"),
        sa.Column("is_by_hand", sa.Boolean(), nullable=False, comment="asked for by a person, at no due time"),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "state IN ('submitted', 'missed', 'skipped')", name=op.f("ck_tidemark_schedule_runs_state_known")
        ),
        sa.CheckConstraint(
            "cause IN ('downtime', 'no_champion', 'previous_unfinished', 'paused', 'removed', 'unreadable')",
            name=op.f("ck_tidemark_schedule_runs_cause_known"),
        ),
        sa.CheckConstraint(
            "(state = 'submitted') = (job_id IS NOT NULL)", name=op.f("ck_tidemark_schedule_runs_submitted_has_a_job")
        ),
        sa.CheckConstraint(
            "(state = 'submitted') = (cause IS NULL)", name=op.f("ck_tidemark_schedule_runs_without_a_job_has_a_cause")
        ),
        sa.ForeignKeyConstraint(
            ["schedule_id"], ["tidemark_schedules.id"], name=op.f("fk_tidemark_schedule_runs_schedule_id")
        ),
        sa.ForeignKeyConstraint(["job_id"], ["tidemark_jobs.id"], name=op.f("fk_tidemark_schedule_runs_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tidemark_schedule_runs")),
        sa.UniqueConstraint("schedule_id", "due_at", name=op.f("uq_tidemark_schedule_runs_schedule_id_due_at")),
        sa.UniqueConstraint("job_id", name=op.f("uq_tidemark_schedule_runs_job_id")),
    )
