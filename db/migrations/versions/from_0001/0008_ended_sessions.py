"""Sessions of the dashboard that were signed out, until their cookies are too old by themselves."""

import sqlalchemy as sa
from alembic import op

from db.connections.clock import UtcDateTime

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "tidemark_ended_sessions",
        sa.Column("session_id", sa.Text(), nullable=False, comment="of the dashboard, signed out before its time"),
        sa.Column("forget_at", UtcDateTime(), nullable=False, comment="the cookie is too old from then on"),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_tidemark_ended_sessions")),
    )
