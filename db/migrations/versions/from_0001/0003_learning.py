"""From drift to a better model: outcomes, vintages, the trigger's state, shadow histograms."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from db.connections.clock import UtcDateTime

revision = "0003"
down_revision = "0002"

_identity = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_document = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
_IN_FLIGHT = "kind = 'fine_tuning' AND state IN ('queued', 'running', 'paused')"


def upgrade() -> None:
    """Make four tables, two columns and an index; nothing that is there changes."""
    _add_columns()
    _create_outcomes()
    _create_vintages()
    _create_retraining()
    _create_shadow_histograms()


def _add_columns() -> None:
    comment = "the newest it was trained on: outcome_id, outcome_date, as_of"
    op.add_column("tidemark_model_versions", sa.Column("learned_until", _document, nullable=True, comment=comment))
    comment = "gate, undecided, promote, rollback, hold, release"
    op.add_column("tidemark_decisions", sa.Column("action", sa.Text(), nullable=True, comment=comment))
    op.create_index(
        "uq_tidemark_jobs_fine_tuning_in_flight",
        "tidemark_jobs",
        ["portfolio"],
        unique=True,
        postgresql_where=sa.text(_IN_FLIGHT),
        sqlite_where=sa.text(_IN_FLIGHT),
    )


def _create_outcomes() -> None:
    op.create_table(
        "tidemark_outcomes",
        sa.Column("id", _identity, nullable=False),
        sa.Column("portfolio", sa.Text(), nullable=False),
        sa.Column("record_key", sa.Text(), nullable=False),
        sa.Column("outcome", sa.SmallInteger(), nullable=False, comment="1 = the bad event"),
        sa.Column("outcome_date", sa.Text(), nullable=False, comment="YYYY-MM-DD, the day it was known"),
        sa.Column("scored_job_id", _identity, nullable=True, comment="the scoring job whose score it judges"),
        sa.Column("loaded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("outcome IN (0, 1)", name=op.f("ck_tidemark_outcomes_outcome_known")),
        _portfolio_key("outcomes"),
        _job_key("outcomes", "scored_job_id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tidemark_outcomes")),
        sa.UniqueConstraint(
            "portfolio",
            "record_key",
            "outcome_date",
            name=op.f("uq_tidemark_outcomes_portfolio_record_key_outcome_date"),
        ),
    )
    _index("outcomes", "portfolio", "id")
    _index("outcomes", "scored_job_id")


def _create_vintages() -> None:
    op.create_table(
        "tidemark_vintages",
        sa.Column("job_id", _identity, autoincrement=False, nullable=False),
        sa.Column("portfolio", sa.Text(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("outcomes", sa.BigInteger(), nullable=False),
        sa.Column("bad", sa.BigInteger(), nullable=False),
        sa.Column("figures", _document, nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        _job_key("vintages", "job_id"),
        _portfolio_key("vintages"),
        _version_key("vintages"),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_tidemark_vintages")),
    )
    _index("vintages", "portfolio", "job_id")


def _create_retraining() -> None:
    op.create_table(
        "tidemark_retraining",
        sa.Column("portfolio", sa.Text(), nullable=False),
        sa.Column("is_held", sa.Boolean(), nullable=False, comment="no fine-tuning, no promotion by itself"),
        sa.Column("failures", sa.Integer(), nullable=False, comment="fine-tunings in a row that cured nothing"),
        sa.Column("last_job_id", _identity, nullable=True, comment="the newest fine-tuning"),
        sa.Column("last_night_id", _identity, nullable=True, comment="the night that asked for it"),
        sa.Column(
            "tried_until", _document, nullable=True, comment="what the newest fine-tuning had seen: outcome_id, as_of"
        ),
        _portfolio_key("retraining"),
        _job_key("retraining", "last_job_id"),
        _job_key("retraining", "last_night_id"),
        sa.PrimaryKeyConstraint("portfolio", name=op.f("pk_tidemark_retraining")),
    )


def _create_shadow_histograms() -> None:
    op.create_table(
        "tidemark_shadow_histograms",
        sa.Column("shard_id", _identity, autoincrement=False, nullable=False),
        sa.Column("job_id", _identity, nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("points", _document, nullable=False, comment="the challenger's points -> records"),
        sa.Column("records", sa.BigInteger(), nullable=False),
        sa.Column(
            "largest_difference", sa.Double(), nullable=False, comment="of probabilities, between the two models"
        ),
        sa.ForeignKeyConstraint(
            ["shard_id"], ["tidemark_shards.id"], name=op.f("fk_tidemark_shadow_histograms_shard_id")
        ),
        _job_key("shadow_histograms", "job_id"),
        _version_key("shadow_histograms"),
        sa.PrimaryKeyConstraint("shard_id", name=op.f("pk_tidemark_shadow_histograms")),
    )
    _index("shadow_histograms", "job_id")


def _portfolio_key(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["portfolio"], ["tidemark_portfolios.name"], name=op.f(f"fk_tidemark_{table}_portfolio")
    )


def _job_key(table: str, column: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], ["tidemark_jobs.id"], name=op.f(f"fk_tidemark_{table}_{column}"))


def _version_key(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["model_version"], ["tidemark_model_versions.version"], name=op.f(f"fk_tidemark_{table}_model_version")
    )


def _index(table: str, *columns: str) -> None:
    op.create_index(op.f(f"ix_tidemark_{table}_{'_'.join(columns)}"), f"tidemark_{table}", list(columns))
