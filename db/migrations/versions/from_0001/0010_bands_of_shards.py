"""A shard keeps the bands of its records in order, so that the next night need not look for each of them."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_TABLE = "tidemark_shard_histograms"


def upgrade() -> None:
    """Add the columns; shards that are there have none, and are looked up by key."""
    op.add_column(
        _TABLE, sa.Column("keys_hash", sa.Text(), nullable=True, comment="SHA-256 of the scored keys, in order")
    )
    op.add_column(_TABLE, sa.Column("bands", sa.LargeBinary(), nullable=True, comment="their bands, a letter each"))
    if op.get_bind().dialect.name == "postgresql":  # compressing them takes longer than writing them
        op.execute(f"ALTER TABLE {_TABLE} ALTER COLUMN bands SET STORAGE EXTERNAL")
