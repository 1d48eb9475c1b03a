"""Webhooks: which events each one receives, and the log of its deliveries."""

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, update

from db.connections.clock import now_plus
from db.connections.engine import reading, writing
from db.errors import NotFoundError
from db.events.event_log import record_event
from db.portfolios.catalog import find_portfolio
from db.schema.api_tables import webhook_deliveries, webhooks
from db.schema.core_tables import events
from db.schema.states import DeliveryState

SECRET_BYTES = 32
TEST_EVENT = "webhook.test"


@dataclass(frozen=True)
class Webhook:
    """A receiver of events. `portfolio` None means every portfolio."""

    id: int
    url: str
    events: tuple[str, ...]
    portfolio: str | None
    is_active: bool
    created_by: str
    created_at: datetime


@dataclass(frozen=True)
class Delivery:
    """The result of one message."""

    id: int
    event: str
    state: DeliveryState
    attempt: int
    due_at: datetime
    status: int | None
    error: str | None
    created_at: datetime
    finished_at: datetime | None


_COLUMNS = tuple(webhooks.c[field.name] for field in fields(Webhook))


def create_webhook(
    engine: Engine, url: str, wanted: Sequence[str], *, portfolio: str | None, who: str
) -> tuple[str, Webhook]:
    """Store a webhook; return the secret that signs its messages with it. Raises `NotFoundError`."""
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
    with writing(engine) as connection:
        if portfolio is not None:
            find_portfolio(connection, portfolio)
        values = {"url": url, "secret": secret, "events": list(wanted), "portfolio": portfolio, "created_by": who}
        webhook_id = connection.execute(insert(webhooks).values(**values).returning(webhooks.c.id)).scalar_one()
        record_event(connection, "webhook.added", who=who, why=f"webhook {webhook_id}", portfolio=portfolio)
        return secret, find_webhook(connection, webhook_id)


def list_webhooks(engine: Engine) -> list[Webhook]:
    """Return every webhook that is active, oldest first."""
    statement = select(*_COLUMNS).where(webhooks.c.is_active).order_by(webhooks.c.id)
    with reading(engine) as connection:
        return [_as_webhook(row) for row in connection.execute(statement)]


def get_webhook(engine: Engine, webhook_id: int) -> Webhook:
    """Return one webhook, also one that was switched off. Raises `NotFoundError`."""
    with reading(engine) as connection:
        return find_webhook(connection, webhook_id)


def find_webhook(connection: Connection, webhook_id: int) -> Webhook:
    """Return one webhook within the caller's transaction. Raises `NotFoundError`."""
    row = connection.execute(select(*_COLUMNS).where(webhooks.c.id == webhook_id)).one_or_none()
    if row is None:
        raise NotFoundError("webhook", webhook_id)
    return _as_webhook(row)


def switch_off(engine: Engine, webhook_id: int, *, who: str, why: str = "") -> Webhook:
    """Remove a webhook; its waiting messages fail. Its log is kept."""
    with writing(engine) as connection:
        find_webhook(connection, webhook_id)
        connection.execute(update(webhooks).where(webhooks.c.id == webhook_id).values(is_active=False))
        waiting = (webhook_deliveries.c.webhook_id == webhook_id, webhook_deliveries.c.state == DeliveryState.WAITING)
        ended = {"state": DeliveryState.FAILED, "error": "the webhook was switched off", "finished_at": now_plus()}
        connection.execute(update(webhook_deliveries).where(*waiting).values(**ended))
        reason = f"webhook {webhook_id}{f': {why}' if why else ''}"
        record_event(connection, "webhook.removed", who=who, why=reason)
        return find_webhook(connection, webhook_id)


def send_test(engine: Engine, webhook_id: int, *, who: str) -> int:
    """Queue a message of the event `webhook.test` and return the delivery's id."""
    with writing(engine) as connection:
        hook = find_webhook(connection, webhook_id)
        event_id = record_event(connection, TEST_EVENT, who=who, why=f"webhook {webhook_id}", portfolio=hook.portfolio)
        made = insert(webhook_deliveries).values(webhook_id=webhook_id, event_id=event_id)
        return connection.execute(made.returning(webhook_deliveries.c.id)).scalar_one()


def page_deliveries(engine: Engine, webhook_id: int, *, before: int | None, limit: int) -> list[Delivery]:
    """Return the newest deliveries below the id `before`, newest first."""
    names = [field.name for field in fields(Delivery) if field.name != "event"]
    columns = [webhook_deliveries.c[name] for name in names]
    statement = select(*columns, events.c.event).join(events, events.c.id == webhook_deliveries.c.event_id)
    statement = statement.where(webhook_deliveries.c.webhook_id == webhook_id)
    if before is not None:
        statement = statement.where(webhook_deliveries.c.id < before)
    with reading(engine) as connection:
        rows = connection.execute(statement.order_by(webhook_deliveries.c.id.desc()).limit(limit))
        return [_as_delivery(row) for row in rows]


def _as_webhook(row: Any) -> Webhook:
    values: dict[str, Any] = {field.name: getattr(row, field.name) for field in fields(Webhook)}
    values["events"] = tuple(row.events)
    return Webhook(**values)


def _as_delivery(row: Any) -> Delivery:
    values: dict[str, Any] = {field.name: getattr(row, field.name) for field in fields(Delivery)}
    values["state"] = DeliveryState(row.state)
    return Delivery(**values)
