"""Large jobs: histograms are added up on the way, a block of shards at a time; a job's own events are found at once."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0011"
down_revision = "0010"

_TABLE = "tidemark_histogram_parts"
_identity = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_document = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    """Add a table and an index; jobs under way have no parts, and are made up for before they close."""
    neighbours = "256 neighbours among the job's shards"
    added_up = "their histograms, added up when the last of them was over"
    op.create_table(
        _TABLE,
        sa.Column("job_id", _identity, autoincrement=False, nullable=False),
        sa.Column("block", sa.Integer(), autoincrement=False, nullable=False, comment=neighbours),
        sa.Column("counts", _document, nullable=False, comment=added_up),
        sa.ForeignKeyConstraint(["job_id"], ["tidemark_jobs.id"], name=op.f("fk_tidemark_histogram_parts_job_id")),
        sa.PrimaryKeyConstraint("job_id", "block", name=op.f("pk_tidemark_histogram_parts")),
    )
    if op.get_bind().dialect.name == "postgresql":  # compressing them takes longer than writing them
        op.execute(f"ALTER TABLE {_TABLE} ALTER COLUMN counts SET STORAGE EXTERNAL")
    own = sa.text("shard_id IS NULL")
    op.create_index(
        "ix_tidemark_events_of_jobs", "tidemark_events", ["job_id", "id"], postgresql_where=own, sqlite_where=own
    )
