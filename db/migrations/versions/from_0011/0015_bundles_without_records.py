"""Model bundles hold no record: a secret to hash keys with, and which version took a scrubbed one's place."""

import sqlalchemy as sa
from alembic import op

from db.connections.clock import UtcDateTime

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Add a table and a column that may be empty."""
    op.create_table(
        "tidemark_secrets",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False, comment="random, made once; never leaves the database"),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_tidemark_secrets"),
    )
    comment = "the version that holds its bundle's content without records; its own is gone"
    op.add_column("tidemark_model_versions", sa.Column("replaced_by", sa.Text(), nullable=True, comment=comment))
