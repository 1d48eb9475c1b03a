"""What the monitor needs of every night: fields, segments, migration, canary, limits, and the mark "not to be used"."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from db.connections.clock import UtcDateTime

revision = "0006"
down_revision = "0005"

_identity = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_document = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")

REASONS = 4


def upgrade() -> None:
    """Add columns that may be empty, two tables, and let the view leave out jobs that are not to be used."""
    _add_columns()
    _create_job_histograms()
    _create_alarm_limits()
    _replace_view()


def _add_columns() -> None:
    why = "why the scores are not to be used, NULL = they may be"
    before = "the night before, pinned at planning: what this one is compared with"
    op.add_column("tidemark_jobs", sa.Column("unusable_reason", sa.Text(), nullable=True, comment=why))
    op.add_column("tidemark_jobs", sa.Column("compared_job_id", _identity, nullable=True, comment=before))
    comments = {
        "fields": "column -> records per bin of the model's reference",
        "segments": "column -> value -> histogram",
        "migration": "band of the night before -> band -> records",
        "canary": "what became of the model's frozen records in the process that scored",
    }
    for name, comment in comments.items():
        op.add_column("tidemark_shard_histograms", sa.Column(name, _document, nullable=True, comment=comment))
    psi = "against the reference; what the sequential rule adds up"
    shift = "of the mean, in standard deviations of the reference"
    calendar = "the declared effect that the night falls on"
    op.add_column("tidemark_drift_reports", sa.Column("psi_corrected", sa.Double(), nullable=True, comment=psi))
    op.add_column("tidemark_drift_reports", sa.Column("shift", sa.Double(), nullable=True, comment=shift))
    op.add_column("tidemark_drift_reports", sa.Column("calendar", sa.Text(), nullable=True, comment=calendar))


def _create_job_histograms() -> None:
    added_up = "the shards' histograms, added up when the job was closed"
    op.create_table(
        "tidemark_job_histograms",
        sa.Column("job_id", _identity, autoincrement=False, nullable=False),
        sa.Column("counts", _document, nullable=False, comment=added_up),
        sa.ForeignKeyConstraint(["job_id"], ["tidemark_jobs.id"], name=op.f("fk_tidemark_job_histograms_job_id")),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_tidemark_job_histograms")),
    )


def _create_alarm_limits() -> None:
    op.create_table(
        "tidemark_alarm_limits",
        sa.Column("portfolio", sa.Text(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("nights", sa.Integer(), nullable=False, comment="quiet nights that the limits were set from"),
        sa.Column("limits", _document, nullable=False),
        sa.Column("made_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["portfolio"], ["tidemark_portfolios.name"], name=op.f("fk_tidemark_alarm_limits_portfolio")
        ),
        sa.ForeignKeyConstraint(
            ["model_version"], ["tidemark_model_versions.version"], name=op.f("fk_tidemark_alarm_limits_model_version")
        ),
        sa.PrimaryKeyConstraint("portfolio", "model_version", name=op.f("pk_tidemark_alarm_limits")),
    )


def _replace_view() -> None:
    dialect = op.get_bind().dialect.name
    if dialect != "postgresql":
        op.execute("DROP VIEW latest_scores")
    op.execute(_view_of(dialect))


def _view_of(dialect: str) -> str:
    single = ", ".join(f"{_read_reason(dialect, place)} AS reason_{place + 1}" for place in range(REASONS))
    # Dropping it would take the rights that analysts were granted along.
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
    WHERE kind = 'scoring' AND state = 'done' AND unusable_reason IS NULL
) AS newest
JOIN tidemark_scores AS score ON score.job_id = newest.id
WHERE newest.age = 1
    """  # noqa: S608 - constants of this file


def _read_reason(dialect: str, place: int) -> str:
    if dialect == "postgresql":
        return f"CAST(score.reasons AS json) ->> {place}"
    return f"json_extract(score.reasons, '$[{place}]')"
