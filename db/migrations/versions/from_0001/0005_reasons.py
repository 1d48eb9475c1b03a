"""Reason codes beside each score."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

REASONS = 4


def upgrade() -> None:
    """Add the column, and show it to analysts."""
    comment = "JSON array of reason codes, strongest first; NULL where none were asked for"
    op.add_column("tidemark_scores", sa.Column("reasons", sa.Text(), nullable=True, comment=comment))
    dialect = op.get_bind().dialect.name
    if dialect != "postgresql":
        op.execute("DROP VIEW latest_scores")
    op.execute(_view_of(dialect))


def _view_of(dialect: str) -> str:
    single = ", ".join(f"{_read_reason(dialect, place)} AS reason_{place + 1}" for place in range(REASONS))
    # Dropping it would take the rights that analysts were granted along; PostgreSQL lets columns be added behind.
    create = "CREATE OR REPLACE" if dialect == "postgresql" else "CREATE"
    return f"""
{create} VIEW latest_scores AS
SELECT newest.portfolio, score.record_key, score.probability, score.points, score.band,
       newest.model_version, newest.id AS job_id, newest.finished_at AS scored_at,
       score.reasons, {single}
FROM (
    SELECT id, portfolio, model_version, finished_at,
           row_number() OVER (PARTITION BY portfolio ORDER BY finished_at DESC, id DESC) AS age
    FROM tidemark_jobs
    WHERE kind = 'scoring' AND state = 'done'
) AS newest
JOIN tidemark_scores AS score ON score.job_id = newest.id
WHERE newest.age = 1
    """  # noqa: S608 - constants of this file


def _read_reason(dialect: str, place: int) -> str:
    if dialect == "postgresql":
        return f"CAST(score.reasons AS json) ->> {place}"
    return f"json_extract(score.reasons, '$[{place}]')"
