"""The queue of webhook deliveries: stored in the transaction of the event, claimed, sent, and completed."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, exists, insert, select, update

from db.connections.clock import now_plus
from db.connections.engine import reading, writing
from db.schema.api_tables import webhook_deliveries, webhooks
from db.schema.core_tables import events, jobs
from db.schema.states import DeliveryState

# Events of shards are too many, and of no interest outside.
TOLD_GROUPS = ("job", "drift", "model", "outcomes", "retraining", "schedule")
_LISTENING = select(webhooks.c.id, webhooks.c.events, webhooks.c.portfolio).where(webhooks.c.is_active)
ANY_LISTENS = exists(webhooks.c.id).where(webhooks.c.is_active).select().scalar_subquery()  # not *: its secret is there
CLAIM_SECONDS = 60.0  # a sender that dies in between: another one tries again after so long


@dataclass(frozen=True)
class Message:
    """One claimed delivery: address, signature and content."""

    delivery_id: int
    webhook_id: int
    event_id: int
    attempt: int
    url: str
    secret: str
    event: str
    at: datetime
    facts: dict[str, Any]


def has_receivers_for(event: str) -> bool:
    """Return whether webhooks can receive events of this group."""
    return event.partition(".")[0] in TOLD_GROUPS


def queue_deliveries(
    connection: Connection, event_id: int, event: str, *, job_id: int | None, portfolio: str | None
) -> None:
    """Store a delivery for each webhook that receives the event, in the caller's transaction."""
    rows = connection.execute(_LISTENING).all()
    if rows and portfolio is None and job_id is not None:
        portfolio = connection.execute(select(jobs.c.portfolio).where(jobs.c.id == job_id)).scalar()
    wanting = [row.id for row in rows if wants(row.events, event) and row.portfolio in {None, portfolio}]
    if wanting:
        deliveries = [{"webhook_id": webhook_id, "event_id": event_id} for webhook_id in wanting]
        connection.execute(insert(webhook_deliveries), deliveries)


def wants(patterns: Sequence[str], event: str) -> bool:
    """Return whether one of the patterns names the event or its group.

    >>> [wants(["job.*", "model.promoted"], one) for one in ("job.done", "model.promoted", "model.refused")]
    [True, True, False]
    """
    return event in patterns or f"{event.partition('.')[0]}.*" in patterns


def claim_message(engine: Engine, *, but_not: Collection[int] = ()) -> Message | None:
    """Claim the delivery that has been due longest, except for some webhooks; None if nothing is due."""
    is_due = (webhook_deliveries.c.state == DeliveryState.WAITING, webhook_deliveries.c.due_at <= now_plus())
    if but_not:
        is_due = (*is_due, webhook_deliveries.c.webhook_id.not_in(sorted(but_not)))
    due = select(webhook_deliveries.c.id).where(*is_due).order_by(webhook_deliveries.c.due_at).limit(1)
    chosen = webhook_deliveries.c.id == due.with_for_update(skip_locked=True).scalar_subquery()
    claimed = update(webhook_deliveries).where(chosen, *is_due)
    claimed = claimed.values(attempt=webhook_deliveries.c.attempt + 1, due_at=now_plus(CLAIM_SECONDS))
    with reading(engine) as connection:  # on SQLite a check for work must not take the writers' lock
        if connection.execute(due).first() is None:
            return None
    with writing(engine) as connection:
        row = connection.execute(claimed.returning(*webhook_deliveries.c)).one_or_none()
        return None if row is None else _read_message(connection, row)


def note_delivered(engine: Engine, message: Message, status: int) -> None:
    """Record that the receiver accepted the message."""
    _note(engine, message, state=DeliveryState.DELIVERED, status=status, error=None, finished_at=now_plus())


def note_failed(
    engine: Engine, message: Message, *, status: int | None, error: str, again_in_seconds: float | None
) -> None:
    """Record why an attempt failed, and when the next one is due; None means no further attempt."""
    result = {"status": status, "error": error}
    if again_in_seconds is None:
        _note(engine, message, state=DeliveryState.FAILED, finished_at=now_plus(), **result)
    else:
        _note(engine, message, due_at=now_plus(again_in_seconds), **result)


def _note(engine: Engine, message: Message, **values: Any) -> None:
    is_own = (webhook_deliveries.c.id == message.delivery_id, webhook_deliveries.c.attempt == message.attempt)
    with writing(engine) as connection:
        connection.execute(update(webhook_deliveries).where(*is_own).values(**values))


def _read_message(connection: Connection, delivery: Any) -> Message:
    hook = connection.execute(select(webhooks).where(webhooks.c.id == delivery.webhook_id)).one()
    event = connection.execute(select(events).where(events.c.id == delivery.event_id)).one()
    return Message(
        delivery.id, hook.id, event.id, delivery.attempt, hook.url, hook.secret, event.event, event.at,
        _facts_of(connection, event),
    )  # fmt: skip


def _facts_of(connection: Connection, event: Any) -> dict[str, Any]:
    """The content of a message: names, states and counts. Free texts are left out, because people write them."""
    if event.job_id is None:
        return {"portfolio": event.portfolio}
    names = ("kind", "portfolio", "state", "model_version", "cause", "inputs", "scored", "rejected")
    row = connection.execute(select(*(jobs.c[name] for name in names)).where(jobs.c.id == event.job_id)).one()
    return {"job": event.job_id} | {name: getattr(row, name) for name in names}
