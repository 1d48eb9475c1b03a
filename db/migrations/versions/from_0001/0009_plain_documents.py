"""PostgreSQL keeps the monitor's documents as they are: compressing one takes longer than writing it."""

from alembic import op

revision = "0009"
down_revision = "0008"

_DOCUMENTS = (("tidemark_drift_reports", "figures"), ("tidemark_job_histograms", "counts"))


def upgrade() -> None:
    """Set how new documents are stored; those that are there stay as they are."""
    if op.get_bind().dialect.name == "postgresql":
        for table, column in _DOCUMENTS:
            op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET STORAGE EXTERNAL")
