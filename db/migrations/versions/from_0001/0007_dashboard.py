"""What the dashboard shows: the memory of a process with its children, and the events of a portfolio, found quickly."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add a column that may be empty, and an index over the few events that name a portfolio."""
    comment = "of the process and its children; NULL where the system does not tell"
    op.add_column("tidemark_processes", sa.Column("memory_bytes", sa.BigInteger(), nullable=True, comment=comment))
    names_one = sa.text("portfolio IS NOT NULL")
    op.create_index(
        "ix_tidemark_events_portfolio",
        "tidemark_events",
        ["portfolio", "id"],
        postgresql_where=names_one,
        sqlite_where=names_one,
    )
