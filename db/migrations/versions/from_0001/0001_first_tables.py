"""The first tables: portfolios, jobs, shards, scores, rejects, models, reports, events."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from db.connections.clock import UtcDateTime

revision = "0001"
down_revision = None

_identity = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_document = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    """Make every table, then the view for analysts."""
    _create_portfolios()
    _create_processes()
    _create_scores()
    _create_jobs()
    _create_events()
    _create_model_versions()
    _create_rejects()
    _create_shards()
    _create_champions()
    _create_decisions()
    _create_drift_reports()
    _create_shard_histograms()
    _create_views()


def _create_portfolios() -> None:
    op.create_table(
        "tidemark_portfolios",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("definition", sa.Text(), nullable=False, comment="canonical JSON of the portfolio file"),
        sa.Column("fingerprint", sa.Text(), nullable=False, comment="SHA-256 of the definition"),
        sa.Column(
            "running_shards",
            sa.Integer(),
            nullable=True,
            comment="scoring shards that may run at once; NULL = as many as there are workers",
        ),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "running_shards IS NULL OR running_shards > 0",
            name=op.f("ck_tidemark_portfolios_running_shards_positive"),
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_tidemark_portfolios")),
    )


def _create_processes() -> None:
    op.create_table(
        "tidemark_processes",
        sa.Column("name", sa.Text(), nullable=False, comment="kind@host:pid"),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("seen_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_tidemark_processes")),
    )


def _create_scores() -> None:
    op.create_table(
        "tidemark_scores",
        sa.Column("job_id", _identity, autoincrement=False, nullable=False),
        sa.Column("record_key", sa.Text(), nullable=False),
        sa.Column("shard_id", _identity, nullable=False),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.Column("probability", sa.Double(), nullable=False),
        sa.Column("points", sa.Integer(), nullable=False),
        sa.Column("band", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "record_key", name=op.f("pk_tidemark_scores")),
    )


def _create_jobs() -> None:
    op.create_table(
        "tidemark_jobs",
        sa.Column("id", _identity, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("portfolio", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False, comment="smaller goes first"),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column(
            "request_fingerprint",
            sa.Text(),
            nullable=False,
            comment="what was asked for, to tell a repeat from a clash",
        ),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column(
            "definition", sa.Text(), nullable=False, comment="the portfolio as it was when the job was submitted"
        ),
        sa.Column("options", _document, nullable=False),
        sa.Column("subject_job_id", _identity, nullable=True, comment="the scoring job that is monitored"),
        sa.Column(
            "model_version",
            sa.Text(),
            nullable=True,
            comment="pinned at submission for scoring, the result of training",
        ),
        sa.Column("inputs", sa.BigInteger(), nullable=False),
        sa.Column("scored", sa.BigInteger(), nullable=False),
        sa.Column("rejected", sa.BigInteger(), nullable=False),
        sa.Column("shards_total", sa.Integer(), nullable=False),
        sa.Column("shards_open", sa.Integer(), nullable=False),
        sa.Column("shards_failed", sa.Integer(), nullable=False),
        sa.Column(
            "digest",
            sa.Text(),
            nullable=True,
            comment="over (key, probability, model version); independent of sharding and order",
        ),
        sa.Column("data_fingerprint", sa.Text(), nullable=True, comment="over the records as they were read"),
        sa.Column("cause", sa.Text(), nullable=True, comment="why it failed, or paused by itself, as a code"),
        sa.Column("detail", sa.Text(), nullable=True, comment="the same as a sentence"),
        sa.Column("resume_at", UtcDateTime(), nullable=True, comment="when a job that paused by itself tries again"),
        sa.Column("progress", _document, nullable=True),
        sa.Column("result", _document, nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=True, comment="first claim of a shard"),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint(
            "(state IN ('done', 'failed', 'cancelled')) = (finished_at IS NOT NULL)",
            name=op.f("ck_tidemark_jobs_finished_has_a_time"),
        ),
        sa.CheckConstraint(
            "cause IS NULL OR cause IN ("
            "'reject_budget', 'shard_failed', 'model_unreadable', 'source_unreadable', 'training_data', "
            "'disk_full', 'disk_read_only', 'database_refuses_writes', 'redis_refuses_writes')",
            name=op.f("ck_tidemark_jobs_cause_known"),
        ),
        sa.CheckConstraint(
            "kind <> 'scoring' OR state <> 'done' OR inputs = scored + rejected",
            name=op.f("ck_tidemark_jobs_every_record_accounted_for"),
        ),
        sa.CheckConstraint(
            "kind IN ('scoring', 'training', 'fine_tuning', 'monitoring')", name=op.f("ck_tidemark_jobs_kind_known")
        ),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'paused', 'done', 'failed', 'cancelled')",
            name=op.f("ck_tidemark_jobs_state_known"),
        ),
        sa.CheckConstraint(
            "shards_open >= 0 AND shards_open <= shards_total", name=op.f("ck_tidemark_jobs_open_shards_counted")
        ),
        sa.ForeignKeyConstraint(["portfolio"], ["tidemark_portfolios.name"], name=op.f("fk_tidemark_jobs_portfolio")),
        sa.ForeignKeyConstraint(["subject_job_id"], ["tidemark_jobs.id"], name=op.f("fk_tidemark_jobs_subject_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tidemark_jobs")),
        sa.UniqueConstraint("idempotency_key", name=op.f("uq_tidemark_jobs_idempotency_key")),
        sa.UniqueConstraint("kind", "subject_job_id", name=op.f("uq_tidemark_jobs_kind_subject_job_id")),
    )
    op.create_index(
        "ix_tidemark_jobs_open",
        "tidemark_jobs",
        ["state", "id"],
        unique=False,
        postgresql_where=sa.text("state IN ('queued', 'running')"),
        sqlite_where=sa.text("state IN ('queued', 'running')"),
    )
    op.create_index(op.f("ix_tidemark_jobs_portfolio_id"), "tidemark_jobs", ["portfolio", "id"], unique=False)


def _create_events() -> None:
    op.create_table(
        "tidemark_events",
        sa.Column("id", _identity, nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("job_id", _identity, nullable=True),
        sa.Column("shard_id", _identity, nullable=True),
        sa.Column("portfolio", sa.Text(), nullable=True),
        sa.Column("event", sa.Text(), nullable=False, comment="what happened, such as job.submitted"),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["tidemark_jobs.id"], name=op.f("fk_tidemark_events_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tidemark_events")),
    )
    op.create_index(op.f("ix_tidemark_events_job_id_id"), "tidemark_events", ["job_id", "id"], unique=False)


def _create_model_versions() -> None:
    op.create_table(
        "tidemark_model_versions",
        sa.Column("version", sa.Text(), nullable=False, comment="address of the bundle's content"),
        sa.Column("portfolio", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("job_id", _identity, nullable=True),
        sa.Column("parent_version", sa.Text(), nullable=True),
        sa.Column("definition", sa.Text(), nullable=False, comment="the portfolio it was trained for, canonical JSON"),
        sa.Column("metrics", _document, nullable=False),
        sa.Column("reference", _document, nullable=False, comment="score histogram of the held-out part"),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "state IN ('candidate', 'challenger', 'champion', 'retired', 'refused')",
            name=op.f("ck_tidemark_model_versions_state_known"),
        ),
        sa.ForeignKeyConstraint(["job_id"], ["tidemark_jobs.id"], name=op.f("fk_tidemark_model_versions_job_id")),
        sa.ForeignKeyConstraint(
            ["portfolio"], ["tidemark_portfolios.name"], name=op.f("fk_tidemark_model_versions_portfolio")
        ),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_tidemark_model_versions")),
    )
    op.create_index(
        op.f("ix_tidemark_model_versions_portfolio_created_at"),
        "tidemark_model_versions",
        ["portfolio", "created_at"],
        unique=False,
    )


def _create_rejects() -> None:
    op.create_table(
        "tidemark_rejects",
        sa.Column("job_id", _identity, autoincrement=False, nullable=False),
        sa.Column("shard_id", _identity, autoincrement=False, nullable=False),
        sa.Column("ordinal", sa.Integer(), autoincrement=False, nullable=False, comment="position in the shard"),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.Column("record_key", sa.Text(), nullable=True, comment="NULL where the record has none"),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["tidemark_jobs.id"], name=op.f("fk_tidemark_rejects_job_id")),
        sa.PrimaryKeyConstraint("job_id", "shard_id", "ordinal", name=op.f("pk_tidemark_rejects")),
    )
    op.create_index(
        op.f("ix_tidemark_rejects_job_id_record_key"), "tidemark_rejects", ["job_id", "record_key"], unique=False
    )


def _create_shards() -> None:
    op.create_table(
        "tidemark_shards",
        sa.Column("id", _identity, nullable=False),
        sa.Column("job_id", _identity, nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column(
            "key_after",
            sa.Text(),
            nullable=True,
            comment="JSON value; the range holds keys greater than this, NULL = from the first",
        ),
        sa.Column("key_upto", sa.Text(), nullable=True, comment="JSON value; and up to and with this, NULL = no range"),
        sa.Column("holds_missing_keys", sa.Boolean(), nullable=False),
        sa.Column("expected", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("token", sa.Integer(), nullable=False, comment="grows at every claim; guards every write"),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("lease_until", UtcDateTime(), nullable=True),
        sa.Column("heartbeat_at", UtcDateTime(), nullable=True),
        sa.Column("available_at", UtcDateTime(), nullable=False, comment="not claimed before this"),
        sa.Column("hinted_at", UtcDateTime(), nullable=True, comment="when its last message was put on the queue"),
        sa.Column("read_rows", sa.BigInteger(), nullable=False),
        sa.Column("scored", sa.BigInteger(), nullable=False),
        sa.Column("rejected", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=True),
        sa.Column("data_digest", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True, comment="of the last attempt that failed"),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint(
            "state <> 'done' OR read_rows = scored + rejected",
            name=op.f("ck_tidemark_shards_every_record_accounted_for"),
        ),
        sa.CheckConstraint(
            "state <> 'running' OR worker IS NOT NULL", name=op.f("ck_tidemark_shards_running_has_a_worker")
        ),
        sa.CheckConstraint(
            "state IN ('waiting', 'running', 'done', 'failed', 'cancelled', 'split')",
            name=op.f("ck_tidemark_shards_state_known"),
        ),
        sa.ForeignKeyConstraint(["job_id"], ["tidemark_jobs.id"], name=op.f("fk_tidemark_shards_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tidemark_shards")),
        sa.UniqueConstraint("job_id", "ordinal", name=op.f("uq_tidemark_shards_job_id_ordinal")),
    )
    op.create_index(
        "ix_tidemark_shards_claim",
        "tidemark_shards",
        ["queue", "state", "priority", "job_id", "ordinal"],
        unique=False,
        postgresql_where=sa.text("state IN ('waiting', 'running')"),
        sqlite_where=sa.text("state IN ('waiting', 'running')"),
    )


def _create_champions() -> None:
    op.create_table(
        "tidemark_champions",
        sa.Column("portfolio", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False, comment="grows at every change; compare-and-set"),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["portfolio"], ["tidemark_portfolios.name"], name=op.f("fk_tidemark_champions_portfolio")
        ),
        sa.ForeignKeyConstraint(
            ["version"], ["tidemark_model_versions.version"], name=op.f("fk_tidemark_champions_version")
        ),
        sa.PrimaryKeyConstraint("portfolio", name=op.f("pk_tidemark_champions")),
    )


def _create_decisions() -> None:
    op.create_table(
        "tidemark_decisions",
        sa.Column("id", _identity, nullable=False),
        sa.Column("portfolio", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("against_version", sa.Text(), nullable=True),
        sa.Column("promoted", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("figures", _document, nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=False),
        sa.Column("job_id", _identity, nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["against_version"], ["tidemark_model_versions.version"], name=op.f("fk_tidemark_decisions_against_version")
        ),
        sa.ForeignKeyConstraint(["job_id"], ["tidemark_jobs.id"], name=op.f("fk_tidemark_decisions_job_id")),
        sa.ForeignKeyConstraint(
            ["portfolio"], ["tidemark_portfolios.name"], name=op.f("fk_tidemark_decisions_portfolio")
        ),
        sa.ForeignKeyConstraint(
            ["version"], ["tidemark_model_versions.version"], name=op.f("fk_tidemark_decisions_version")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tidemark_decisions")),
        sa.UniqueConstraint("job_id", name=op.f("uq_tidemark_decisions_job_id")),
    )


def _create_drift_reports() -> None:
    op.create_table(
        "tidemark_drift_reports",
        sa.Column("id", _identity, nullable=False),
        sa.Column("portfolio", sa.Text(), nullable=False),
        sa.Column("job_id", _identity, nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("figures", _document, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "verdict IN ('stable', 'watch', 'drifted', 'broken_pipeline', 'insufficient')",
            name=op.f("ck_tidemark_drift_reports_verdict_known"),
        ),
        sa.ForeignKeyConstraint(["job_id"], ["tidemark_jobs.id"], name=op.f("fk_tidemark_drift_reports_job_id")),
        sa.ForeignKeyConstraint(
            ["model_version"], ["tidemark_model_versions.version"], name=op.f("fk_tidemark_drift_reports_model_version")
        ),
        sa.ForeignKeyConstraint(
            ["portfolio"], ["tidemark_portfolios.name"], name=op.f("fk_tidemark_drift_reports_portfolio")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tidemark_drift_reports")),
        sa.UniqueConstraint("portfolio", "job_id", name=op.f("uq_tidemark_drift_reports_portfolio_job_id")),
    )


def _create_shard_histograms() -> None:
    op.create_table(
        "tidemark_shard_histograms",
        sa.Column("shard_id", _identity, autoincrement=False, nullable=False),
        sa.Column("job_id", _identity, nullable=False),
        sa.Column("points", _document, nullable=False, comment="points -> records"),
        sa.Column("unscorable", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["tidemark_jobs.id"], name=op.f("fk_tidemark_shard_histograms_job_id")),
        sa.ForeignKeyConstraint(
            ["shard_id"], ["tidemark_shards.id"], name=op.f("fk_tidemark_shard_histograms_shard_id")
        ),
        sa.PrimaryKeyConstraint("shard_id", name=op.f("pk_tidemark_shard_histograms")),
    )
    op.create_index(op.f("ix_tidemark_shard_histograms_job_id"), "tidemark_shard_histograms", ["job_id"], unique=False)


def _create_views() -> None:
    op.execute(
        """
CREATE VIEW latest_scores AS
SELECT newest.portfolio, score.record_key, score.probability, score.points, score.band,
       newest.model_version, newest.id AS job_id, newest.finished_at AS scored_at
FROM (
    SELECT id, portfolio, model_version, finished_at,
           row_number() OVER (PARTITION BY portfolio ORDER BY finished_at DESC, id DESC) AS age
    FROM tidemark_jobs
    WHERE kind = 'scoring' AND state = 'done'
) AS newest
JOIN tidemark_scores AS score ON score.job_id = newest.id
WHERE newest.age = 1
        """
    )
