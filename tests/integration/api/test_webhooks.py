"""Webhooks: events in signed messages, repeated until the receiver accepts them, and never to private addresses."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, text
from standardwebhooks.webhooks import Webhook as Verifier

from db.connections.engine import writing
from scheduler.loop import public_addresses
from scheduler.loop.webhook_sending import WebhookSender
from tests.building import add_model, load_book
from tests.integration.api.server import RunningApi, running_api

TRAIN = {"kind": "training", "portfolio": "book"}


@dataclass
class Receiver:
    """A server that keeps what it is told and answers with a status of the test's choice."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    messages: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    known = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            known.messages.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(known.statuses.pop(0) if known.statuses else 204)
            self.end_headers()

        def log_message(self, *_arguments: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    known.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield known
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def trusting(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningApi]:
    """A running API that allows private addresses, with a book."""
    monkeypatch.setenv("TIDEMARK_WEBHOOK_PRIVATE_ADDRESSES", "true")
    load_book(engine, [1])
    add_model(engine)
    with running_api(engine) as api:
        yield api


def make_due(engine: Engine) -> None:
    """Let every waiting delivery be due now, as if its pause were over."""
    with writing(engine) as connection:
        connection.execute(text("UPDATE tidemark_webhook_deliveries SET due_at = created_at"))


def send(engine: Engine) -> int:
    sender = WebhookSender(engine, allows_private=True)
    try:
        return sender.send_due()
    finally:
        sender.stop()


def test_a_webhook_is_told_of_what_it_wants_in_a_signed_message(
    trusting: RunningApi, engine: Engine, receiver: Receiver
) -> None:
    admin = trusting.client(trusting.key())
    made = admin.post("/v1/webhooks", json={"url": receiver.url, "events": ["job.cancelled", "model.*"]}).json()
    admin.post("/v1/jobs", json=TRAIN)
    admin.post("/v1/jobs/1/cancel", json={"why": "Mr Smith asked"})
    assert send(engine) == 1
    headers, body = receiver.messages[0]
    Verifier(made["secret"]).verify(body, headers)
    document = json.loads(body)
    assert (document["type"], document["data"]["job"], document["data"]["state"]) == ("job.cancelled", 1, "cancelled")
    assert b"Smith" not in body
    log = admin.get(f"/v1/webhooks/{made['webhook']}/deliveries").json()["deliveries"]
    assert [(one["event"], one["state"], one["status"]) for one in log] == [("job.cancelled", "delivered", 204)]
    assert send(engine) == 0


def test_a_message_that_is_not_taken_is_sent_again_under_the_same_id(
    trusting: RunningApi, engine: Engine, receiver: Receiver
) -> None:
    admin = trusting.client(trusting.key())
    admin.post("/v1/webhooks", json={"url": receiver.url, "events": ["job.*"]})
    receiver.statuses = [500, 302, 200]
    admin.post("/v1/jobs", json=TRAIN)
    tried = []
    for _ in range(4):
        tried.append(send(engine))
        make_due(engine)
    assert tried == [1, 1, 1, 0]
    assert len({headers["webhook-id"] for headers, _ in receiver.messages}) == 1
    log = admin.get("/v1/webhooks/1/deliveries").json()["deliveries"]
    assert [(one["attempt"], one["state"]) for one in log] == [(3, "delivered")]


def test_after_the_last_attempt_a_delivery_has_failed(trusting: RunningApi, engine: Engine, receiver: Receiver) -> None:
    admin = trusting.client(trusting.key())
    admin.post("/v1/webhooks", json={"url": receiver.url, "events": ["job.submitted"]})
    receiver.statuses = [500] * 20
    admin.post("/v1/jobs", json=TRAIN)
    while send(engine):
        make_due(engine)
    log = admin.get("/v1/webhooks/1/deliveries").json()["deliveries"]
    assert [(one["attempt"], one["state"], one["status"]) for one in log] == [(10, "failed", 500)]


def test_a_receiver_that_is_gone_is_switched_off(trusting: RunningApi, engine: Engine, receiver: Receiver) -> None:
    admin = trusting.client(trusting.key())
    admin.post("/v1/webhooks", json={"url": receiver.url, "events": ["job.*"]})
    receiver.statuses = [410]
    admin.post("/v1/jobs", json=TRAIN)
    send(engine)
    assert admin.get("/v1/webhooks").json()["webhooks"] == []
    admin.post("/v1/jobs", json=TRAIN)
    assert send(engine) == 0


def test_a_webhook_of_one_portfolio_hears_of_no_other(trusting: RunningApi, engine: Engine, receiver: Receiver) -> None:
    load_book(engine, [1], name="other", source="other")
    admin = trusting.client(trusting.key())
    admin.post("/v1/webhooks", json={"url": receiver.url, "events": ["job.*"], "portfolio": "other"})
    admin.post("/v1/jobs", json=TRAIN)
    assert send(engine) == 0
    admin.post("/v1/jobs", json=TRAIN | {"portfolio": "other"})
    assert send(engine) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://receiver.example/hook", "https://127.0.0.1/x", "https://localhost/x", "https://10.1.2.3/x",
        "https://169.254.169.254/latest/meta-data", "https://[::1]/x", "https://[::ffff:10.0.0.1]/x",
        "https://user:word@receiver.example/", "ftp://receiver.example/x", "https://2130706433/",
    ],
)  # fmt: skip
def test_a_private_or_strange_url_is_refused(admin: httpx.Client, url: str) -> None:
    answer = admin.post("/v1/webhooks", json={"url": url, "events": ["job.*"]})
    assert answer.status_code == 422, url
    assert admin.get("/v1/webhooks").json()["webhooks"] == []


def test_a_name_that_leads_inside_the_house_is_not_connected_to(
    trusting: RunningApi, engine: Engine, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(receiver.url.split(":")[2].split("/")[0])
    admin = trusting.client(trusting.key())
    admin.post("/v1/webhooks", json={"url": f"https://receiver.example:{port}/hook", "events": ["job.*"]})
    admin.post("/v1/jobs", json=TRAIN)
    inside = [(2, 1, 6, "", ("127.0.0.1", port))]
    monkeypatch.setattr(public_addresses.socket, "getaddrinfo", lambda *_given, **_named: inside)
    sender = WebhookSender(engine, allows_private=False)
    assert sender.send_due() == 1
    sender.stop()
    monkeypatch.undo()
    assert receiver.messages == []
    log = admin.get("/v1/webhooks/1/deliveries").json()["deliveries"]
    assert "not public" in log[0]["error"]
