"""`/v1/webhooks`: which events each webhook receives, and the log of its deliveries."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field

from db.access.webhooks import (
    Webhook,
    create_webhook,
    get_webhook,
    list_webhooks,
    page_deliveries,
    send_test,
    switch_off,
)
from db.schema.states import DeliveryState
from scheduler.api.context import Admin, Caller
from scheduler.api.parameters import NAME_PATTERN, Document, Limit, NumberCursor, Page, problems
from scheduler.api.problems import Problem, not_found
from scheduler.api.strict_json import StrictRoute
from scheduler.errors import UsageError
from scheduler.loop.webhook_sending import check_url

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"], route_class=StrictRoute)

_WebhookId = Annotated[int, Path(ge=1, le=2**31 - 1, description="Id of the webhook.", examples=[1])]
_EVENT_PATTERN = r"^((job|drift|model|schedule)\.(\*|[a-z_]{1,40}))$"


class NewWebhook(Document):
    """A receiver and the events that it wants."""

    url: str = Field(
        min_length=9, max_length=2000, pattern=r"^https?://[!-~]+$", examples=["https://receiver.example/hook"]
    )
    events: list[Annotated[str, Field(pattern=_EVENT_PATTERN)]] = Field(
        min_length=1, max_length=50, examples=[["job.*", "drift.drifted", "model.promoted"]]
    )
    portfolio: str | None = Field(
        default=None, pattern=NAME_PATTERN, description="null = every portfolio", examples=[None]
    )


class WebhookDocument(Document):
    """A webhook without its secret."""

    webhook: int = Field(examples=[1])
    url: str = Field(examples=["https://receiver.example/hook"])
    events: list[str] = Field(examples=[["job.*"]])
    portfolio: str | None = Field(examples=[None])
    is_active: bool = Field(examples=[True])
    created_by: str = Field(examples=["key 3f9c2a10be77 (ops)"])
    created_at: datetime = Field(examples=["2026-11-24T21:59:03Z"])


class NewWebhookDocument(WebhookDocument):
    """A new webhook. The secret that signs its messages is shown only once."""

    secret: str = Field(examples=["whsec_..."])


class WebhookPage(Page):
    """Webhooks, oldest first."""

    webhooks: list[WebhookDocument]


class DeliveryDocument(Document):
    """The result of one message."""

    delivery: int = Field(examples=[7])
    event: str = Field(examples=["job.done"])
    state: DeliveryState = Field(examples=["delivered"])
    attempt: int = Field(examples=[1])
    due_at: datetime = Field(description="of the next attempt", examples=["2026-11-24T21:59:03Z"])
    status: int | None = Field(examples=[204])
    error: str | None = Field(examples=[None])
    created_at: datetime = Field(examples=["2026-11-24T21:59:03Z"])
    finished_at: datetime | None = Field(examples=["2026-11-24T21:59:04Z"])


class DeliveryPage(Page):
    """Deliveries, newest first."""

    deliveries: list[DeliveryDocument]


class QueuedTest(Document):
    """A message of the event `webhook.test` has been queued."""

    delivery: int = Field(examples=[8])


@router.post("", status_code=201, response_model=NewWebhookDocument, responses=problems(400, 404, 413, 415))
def create(caller: Admin, wanted: NewWebhook) -> NewWebhookDocument:
    """Send events to a URL, signed according to Standard Webhooks."""
    allows_private = caller.context.scheduler_settings.webhook_private_addresses
    try:
        check_url(wanted.url, allows_private=allows_private)
    except UsageError as error:
        parts = [{"detail": str(error), "pointer": "#/url"}]
        raise Problem(422, "invalid-request", "1 mistake in the request", parts=parts) from None
    if wanted.portfolio is not None:
        caller.portfolio(wanted.portfolio)
    elif caller.key.portfolios is not None:
        raise Problem(403, "not-allowed", "a key with a portfolio limit must name one of its portfolios")
    secret, hook = create_webhook(caller.engine, wanted.url, wanted.events, portfolio=wanted.portfolio, who=caller.who)
    return NewWebhookDocument(secret=secret, **_describe(hook).model_dump())


@router.get("", response_model=WebhookPage, responses=problems())
def list_(caller: Admin, cursor: NumberCursor = None, limit: Limit = 50) -> WebhookPage:
    """List the webhooks that this key has access to."""
    visible = [hook for hook in list_webhooks(caller.engine) if _reaches(caller, hook)]
    found = [hook for hook in visible if cursor is None or hook.id > int(cursor)]
    more = str(found[limit - 1].id) if len(found) > limit else None
    return WebhookPage(webhooks=[_describe(hook) for hook in found[:limit]], next_cursor=more)


@router.delete("/{webhook_id}", response_model=WebhookDocument, responses=problems(404))
def remove(caller: Admin, webhook_id: _WebhookId) -> WebhookDocument:
    """Remove a webhook. Its log is kept."""
    _find(caller, webhook_id)
    return _describe(switch_off(caller.engine, webhook_id, who=caller.who))


@router.post("/{webhook_id}/test", status_code=202, response_model=QueuedTest, responses=problems(404, 409))
def test(caller: Admin, webhook_id: _WebhookId) -> QueuedTest:
    """Send a message of the event `webhook.test`."""
    if not _find(caller, webhook_id).is_active:
        raise Problem(409, "state-conflict", f"webhook {webhook_id} is switched off")
    return QueuedTest(delivery=send_test(caller.engine, webhook_id, who=caller.who))


@router.get("/{webhook_id}/deliveries", response_model=DeliveryPage, responses=problems(404))
def list_deliveries(
    caller: Admin, webhook_id: _WebhookId, cursor: NumberCursor = None, limit: Limit = 50
) -> DeliveryPage:
    """List the deliveries to a webhook, newest first."""
    _find(caller, webhook_id)
    before = None if cursor is None else int(cursor)
    found = page_deliveries(caller.engine, webhook_id, before=before, limit=limit + 1)
    more = str(found[limit - 1].id) if len(found) > limit else None
    names = [name for name in DeliveryDocument.model_fields if name != "delivery"]
    deliveries = [DeliveryDocument(delivery=one.id, **{n: getattr(one, n) for n in names}) for one in found[:limit]]
    return DeliveryPage(deliveries=deliveries, next_cursor=more)


def _reaches(caller: Caller, hook: Webhook) -> bool:
    return caller.key.portfolios is None or (hook.portfolio is not None and caller.may_see(hook.portfolio))


def _find(caller: Caller, webhook_id: int) -> Webhook:
    hook = get_webhook(caller.engine, webhook_id)
    if not _reaches(caller, hook):
        raise not_found("webhook", webhook_id)
    return hook


def _describe(hook: Webhook) -> WebhookDocument:
    names = [name for name in WebhookDocument.model_fields if name not in {"webhook", "events"}]
    return WebhookDocument(webhook=hook.id, events=list(hook.events), **{n: getattr(hook, n) for n in names})
