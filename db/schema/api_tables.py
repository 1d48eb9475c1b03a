"""The tables of the HTTP API: keys, ended sessions, webhooks and deliveries, online requests, what was removed."""

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB

from db.connections.clock import UtcDateTime, now_plus
from db.schema.core_tables import PREFIX, events, identity, jobs, metadata, one_of, portfolios
from db.schema.states import DeliveryState, KeyRole, RemovalCause

__all__ = ["api_keys", "ended_sessions", "metadata", "online_requests", "removals", "webhook_deliveries", "webhooks"]

_document = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")

api_keys = Table(
    f"{PREFIX}api_keys",
    metadata,
    Column("id", identity, primary_key=True),
    Column("public_id", Text, nullable=False, unique=True, comment="the part of the key that is not secret"),
    Column("name", Text, nullable=False),
    Column("secret_hash", Text, nullable=False, comment="SHA-256 of the secret part, which is nowhere stored"),
    Column("role", Text, nullable=False),
    Column("portfolios", _document, comment="list of names; NULL = every portfolio"),
    Column("created_by", Text, nullable=False),
    Column("parent", Text, comment="public id of the key that made it, which it ends with; NULL = made by a command"),
    Column("created_at", UtcDateTime, nullable=False, default=now_plus()),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Column("last_used_at", UtcDateTime, comment="to the minute"),
    Column(
        "may_interactive",
        Boolean,
        nullable=False,
        default=True,
        server_default=true(),
        comment="whether it may choose the priority interactive",
    ),
    one_of("role", KeyRole),
)
Index(None, api_keys.c.parent)

ended_sessions = Table(
    f"{PREFIX}ended_sessions",
    metadata,
    Column("session_id", Text, primary_key=True, comment="of the dashboard, signed out before its time"),
    Column("forget_at", UtcDateTime, nullable=False, comment="the cookie is too old from then on"),
)

webhooks = Table(
    f"{PREFIX}webhooks",
    metadata,
    Column("id", identity, primary_key=True),
    Column("url", Text, nullable=False),
    Column("secret", Text, nullable=False, comment="signs the messages, so it must be readable"),
    Column("events", _document, nullable=False, comment="list of event names, or of groups such as job.*"),
    Column("portfolio", Text, ForeignKey(portfolios.c.name), comment="NULL = every portfolio"),
    Column("is_active", Boolean, nullable=False, default=True),
    Column("created_by", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False, default=now_plus()),
)

webhook_deliveries = Table(
    f"{PREFIX}webhook_deliveries",
    metadata,
    Column("id", identity, primary_key=True),
    Column("webhook_id", identity, ForeignKey(webhooks.c.id), nullable=False),
    Column("event_id", identity, ForeignKey(events.c.id), nullable=False),
    Column("state", Text, nullable=False, default=DeliveryState.WAITING),
    Column("attempt", Integer, nullable=False, default=0),
    Column("due_at", UtcDateTime, nullable=False, default=now_plus(), comment="of the next attempt"),
    Column("status", Integer, comment="HTTP status of the last attempt"),
    Column("error", Text, comment="why the last attempt failed"),
    Column("created_at", UtcDateTime, nullable=False, default=now_plus()),
    Column("finished_at", UtcDateTime),
    one_of("state", DeliveryState),
    UniqueConstraint("webhook_id", "event_id"),
)
Index(
    "ix_tidemark_webhook_deliveries_due",
    webhook_deliveries.c.due_at,
    postgresql_where=text("state = 'waiting'"),
    sqlite_where=text("state = 'waiting'"),
)

online_requests = Table(
    f"{PREFIX}online_requests",
    metadata,
    Column("id", Text, primary_key=True, comment="random"),
    Column("portfolio", Text, ForeignKey(portfolios.c.name), nullable=False),
    Column("records", Text, comment="JSON; NULL once answered"),
    Column("answer", Text, comment="JSON; NULL until answered"),
    Column("expires_at", UtcDateTime, nullable=False),
    CheckConstraint("records IS NULL OR answer IS NULL", name="records_go_with_the_answer"),
)
Index(None, online_requests.c.expires_at)

removals = Table(
    f"{PREFIX}removals",
    metadata,
    Column("id", identity, primary_key=True),
    Column("job_id", identity, ForeignKey(jobs.c.id), nullable=False),
    Column("cause", Text, nullable=False),
    Column("scores", Integer, nullable=False, comment="how many scores were removed"),
    Column("rejects", Integer, nullable=False, comment="how many rejects were removed"),
    Column("digest", Text, comment="of the removed scores, so that what is left still proves the job"),
    Column("at", UtcDateTime, nullable=False, default=now_plus()),
    one_of("cause", RemovalCause),
)
Index(None, removals.c.job_id)
