"""How many messages of strangers the workers dropped."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Add the table of counts."""
    op.create_table(
        "tidemark_dropped_messages",
        sa.Column("queue", sa.Text(), nullable=False, comment="'unreadable' where the message did not tell"),
        sa.Column("dropped", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("queue", name=op.f("pk_tidemark_dropped_messages")),
    )
