"""A job says who plans it, since when and for how long: schedulers plan at the same time, each its own jobs."""

import sqlalchemy as sa
from alembic import op

from db.connections.clock import UtcDateTime

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Add columns that may be empty: a queued job of before is one that nobody plans yet."""
    columns = (
        sa.Column("planner", sa.Text(), nullable=True, comment="the scheduler that plans it, while it is queued"),
        sa.Column("planning_since", UtcDateTime(), nullable=True, comment="since when it is being planned"),
        sa.Column("planning_until", UtcDateTime(), nullable=True, comment="no other scheduler plans it before this"),
        sa.Column(
            "planning_attempts", sa.Integer(), nullable=True, comment="how often its planning was begun; NULL = never"
        ),
    )
    for column in columns:
        op.add_column("tidemark_jobs", column)
