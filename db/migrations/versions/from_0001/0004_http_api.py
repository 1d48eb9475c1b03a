"""The HTTP API: keys, webhooks, online requests, and what was removed on purpose."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from db.connections.clock import UtcDateTime

revision = "0004"
down_revision = "0003"

_identity = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_document = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    """Make the tables; nothing that is there changes."""
    _create_api_keys()
    _create_webhooks()
    _create_webhook_deliveries()
    _create_online_requests()
    _create_removals()
    op.create_index(
        "ix_tidemark_events_lost_leases",
        "tidemark_events",
        ["id"],
        postgresql_where=sa.text("event = 'shard.taken_back'"),
        sqlite_where=sa.text("event = 'shard.taken_back'"),
    )


def _create_api_keys() -> None:
    op.create_table(
        "tidemark_api_keys",
        sa.Column("id", _identity, nullable=False),
        sa.Column("public_id", sa.Text(), nullable=False, comment="the part of the key that is not secret"),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "secret_hash", sa.Text(), nullable=False, comment="SHA-256 of the secret part, which is nowhere stored"
        ),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("portfolios", _document, nullable=True, comment="list of names; NULL = every portfolio"),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=True),
        sa.Column("revoked_at", UtcDateTime(), nullable=True),
        sa.Column("last_used_at", UtcDateTime(), nullable=True, comment="to the minute"),
        sa.CheckConstraint("role IN ('read', 'operate', 'admin')", name=op.f("ck_tidemark_api_keys_role_known")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tidemark_api_keys")),
        sa.UniqueConstraint("public_id", name=op.f("uq_tidemark_api_keys_public_id")),
    )


def _create_webhooks() -> None:
    op.create_table(
        "tidemark_webhooks",
        sa.Column("id", _identity, nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False, comment="signs the messages, so it must be readable"),
        sa.Column("events", _document, nullable=False, comment="list of event names, or of groups such as job.*"),
        sa.Column("portfolio", sa.Text(), nullable=True, comment="NULL = every portfolio"),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["portfolio"], ["tidemark_portfolios.name"], name=op.f("fk_tidemark_webhooks_portfolio")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tidemark_webhooks")),
    )


def _create_webhook_deliveries() -> None:
    op.create_table(
        "tidemark_webhook_deliveries",
        sa.Column("id", _identity, nullable=False),
        sa.Column("webhook_id", _identity, nullable=False),
        sa.Column("event_id", _identity, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False, comment="of the next attempt"),
        sa.Column("status", sa.Integer(), nullable=True, comment="HTTP status of the last attempt"),
        sa.Column("error", sa.Text(), nullable=True, comment="why the last attempt failed"),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint(
            "state IN ('waiting', 'delivered', 'failed')", name=op.f("ck_tidemark_webhook_deliveries_state_known")
        ),
        sa.ForeignKeyConstraint(
            ["webhook_id"], ["tidemark_webhooks.id"], name=op.f("fk_tidemark_webhook_deliveries_webhook_id")
        ),
        sa.ForeignKeyConstraint(
            ["event_id"], ["tidemark_events.id"], name=op.f("fk_tidemark_webhook_deliveries_event_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tidemark_webhook_deliveries")),
        sa.UniqueConstraint("webhook_id", "event_id", name=op.f("uq_tidemark_webhook_deliveries_webhook_id_event_id")),
    )
    op.create_index(
        "ix_tidemark_webhook_deliveries_due",
        "tidemark_webhook_deliveries",
        ["due_at"],
        postgresql_where=sa.text("state = 'waiting'"),
        sqlite_where=sa.text("state = 'waiting'"),
    )


def _create_online_requests() -> None:
    op.create_table(
        "tidemark_online_requests",
        sa.Column("id", sa.Text(), nullable=False, comment="random"),
        sa.Column("portfolio", sa.Text(), nullable=False),
        sa.Column("records", sa.Text(), nullable=True, comment="JSON; NULL once answered"),
        sa.Column("answer", sa.Text(), nullable=True, comment="JSON; NULL until answered"),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "records IS NULL OR answer IS NULL", name=op.f("ck_tidemark_online_requests_records_go_with_the_answer")
        ),
        sa.ForeignKeyConstraint(
            ["portfolio"], ["tidemark_portfolios.name"], name=op.f("fk_tidemark_online_requests_portfolio")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tidemark_online_requests")),
    )
    op.create_index(op.f("ix_tidemark_online_requests_expires_at"), "tidemark_online_requests", ["expires_at"])


def _create_removals() -> None:
    op.create_table(
        "tidemark_removals",
        sa.Column("id", _identity, nullable=False),
        sa.Column("job_id", _identity, nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("scores", sa.Integer(), nullable=False, comment="how many scores were removed"),
        sa.Column("rejects", sa.Integer(), nullable=False, comment="how many rejects were removed"),
        sa.Column(
            "digest",
            sa.Text(),
            nullable=True,
            comment="of the removed scores, so that what is left still proves the job",
        ),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("cause IN ('erasure', 'retention')", name=op.f("ck_tidemark_removals_cause_known")),
        sa.ForeignKeyConstraint(["job_id"], ["tidemark_jobs.id"], name=op.f("fk_tidemark_removals_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tidemark_removals")),
    )
    op.create_index(op.f("ix_tidemark_removals_job_id"), "tidemark_removals", ["job_id"])
