"""Deliveries are stored with their event, and each is claimed by one sender."""

from contextlib import suppress

from sqlalchemy import Engine

from db.access.webhooks import create_webhook, page_deliveries
from db.connections.engine import writing
from db.events.event_log import record_event
from db.events.webhook_queue import claim_message, note_delivered, note_failed
from tests.building import load_book


def test_a_delivery_is_claimed_once_and_its_end_noted(engine: Engine) -> None:
    load_book(engine, [1])
    _, hook = create_webhook(engine, "https://receiver.example/", ["model.*"], portfolio="book", who="test")
    with writing(engine) as connection:
        for event in ("model.promoted", "job.done", "shard.done"):
            record_event(connection, event, who="test", portfolio="book")
    message = claim_message(engine)
    assert message is not None
    assert (message.event, message.attempt, message.facts) == ("model.promoted", 1, {"portfolio": "book"})
    assert claim_message(engine) is None
    note_failed(engine, message, status=500, error="no", again_in_seconds=-1)
    again = claim_message(engine)
    assert again is not None
    note_delivered(engine, message, 200)  # late news of the first attempt change nothing
    assert page_deliveries(engine, hook.id, before=None, limit=10)[0].state == "waiting"
    note_delivered(engine, again, 200)
    assert [one.state for one in page_deliveries(engine, hook.id, before=None, limit=10)] == ["delivered"]


def test_an_event_that_is_rolled_back_is_told_to_nobody(engine: Engine) -> None:
    load_book(engine, [1])
    create_webhook(engine, "https://receiver.example/", ["model.*"], portfolio=None, who="test")
    with suppress(InterruptedError), writing(engine) as connection:
        record_event(connection, "model.promoted", who="test", portfolio="book")
        raise InterruptedError
    assert claim_message(engine) is None
