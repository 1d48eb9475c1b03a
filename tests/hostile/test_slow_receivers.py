"""Receivers of webhooks that are slow, silent or endless hold up their own messages, and nobody else's."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import pytest
from sqlalchemy import Engine, text

from db.access.webhooks import create_webhook
from db.connections.engine import reading, writing
from db.events.event_log import record_event
from scheduler.loop import public_addresses
from scheduler.loop.webhook_sending import WebhookSender
from tests.building import load_book
from tests.waiting import promised, wait_for

DEADLINE_SECONDS = 5.0
SLOW_RECEIVERS = 40
MESSAGES = 5


@dataclass
class Receiver:
    """A server that takes connections and answers in its own way; knows when each came, and how many were open."""

    kind: str
    url: str = ""
    came: list[float] = field(default_factory=list)
    open: int = 0
    most_open: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


@contextmanager
def receiving(kind: str) -> Iterator[Receiver]:
    """Run a receiver: `quick`, `silent`, `drips headers`, or `drips a body`."""
    known, ended = Receiver(kind), threading.Event()
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    known.url = f"http://127.0.0.1:{listener.getsockname()[1]}/hook"

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(known, connection, ended), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield known
    ended.set()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def answer(known: Receiver, connection: socket.socket, ended: threading.Event) -> None:
    with known.lock:
        known.came.append(time.monotonic())
        known.open += 1
        known.most_open = max(known.most_open, known.open)
    with connection, suppress(OSError):
        connection.settimeout(30)
        if known.kind == "quick":
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")
        elif known.kind == "silent":
            while connection.recv(65536):
                continue
        else:
            head = b"HTTP/1.1 200 OK\r\nX-A: " if known.kind == "drips headers" else b"HTTP/1.1 500 No\r\n\r\n"
            connection.sendall(head)
            connection.settimeout(0.1)
            is_there = True
            while is_there and not ended.is_set():
                try:
                    is_there = connection.recv(65536) != b""  # so that the end is noticed at once
                except TimeoutError:
                    connection.sendall(b"x")
    with known.lock:
        known.open -= 1


def tell(engine: Engine, count: int) -> None:
    with writing(engine) as connection:
        for _ in range(count):
            record_event(connection, "model.promoted", who="test", portfolio="book")


def attempts(engine: Engine, webhook_id: int) -> list[tuple[str, int, str | None]]:
    asked = text("SELECT state, attempt, error FROM tidemark_webhook_deliveries WHERE webhook_id = :id ORDER BY id")
    with reading(engine) as connection:
        return [tuple(row) for row in connection.execute(asked, {"id": webhook_id})]


def test_forty_slow_receivers_hold_up_no_message_of_a_quick_one(engine: Engine) -> None:
    load_book(engine, [1])
    with receiving("silent") as silent, receiving("drips headers") as dripping, receiving("quick") as quick:
        slow = [silent if at % 2 else dripping for at in range(SLOW_RECEIVERS)]
        hooks = [create_webhook(engine, one.url, ["model.*"], portfolio=None, who="test")[1].id for one in slow]
        tell(engine, MESSAGES)
        quick_hook = create_webhook(engine, quick.url, ["model.*"], portfolio=None, who="test")[1].id
        sender = WebhookSender(engine, allows_private=True, seconds=DEADLINE_SECONDS)
        sender.start()
        wait_for(lambda: silent.came and dripping.came, 30, "the slow receivers to be told")
        told_at = time.monotonic()
        tell(engine, MESSAGES)  # due after all those of the slow ones
        wait_for(lambda: len(quick.came) == MESSAGES, 60, "the quick receiver to be told")
        assert quick.came[-1] - told_at < DEADLINE_SECONDS
        wait_for(lambda: [one[0] for one in attempts(engine, quick_hook)] == ["delivered"] * MESSAGES, 20, "the notes")
        again_at = time.monotonic()
        tell(engine, MESSAGES)
        wait_for(lambda: len(quick.came) == 2 * MESSAGES, 60, "the quick receiver to be told again")
        assert quick.came[-1] - again_at < DEADLINE_SECONDS
        wait_for(lambda: all(attempts(engine, one)[0][2] for one in hooks), 90, "the deadline of each slow message")
        sender.stop()
    # Each has one message under way; on a busy machine a receiver notices late that one is over.
    assert silent.most_open <= SLOW_RECEIVERS // 2
    assert dripping.most_open <= promised(1, busy=2) * (SLOW_RECEIVERS // 2)
    assert {attempts(engine, one)[0][2] for one in hooks} <= {"TimeoutException", "ReadTimeout"}


@pytest.mark.parametrize("kind", ["silent", "drips headers", "drips a body"])
def test_a_delivery_is_over_at_its_deadline_whatever_the_receiver_does(engine: Engine, kind: str) -> None:
    load_book(engine, [1])
    with receiving(kind) as receiver:
        hook = create_webhook(engine, receiver.url, ["model.*"], portfolio=None, who="test")[1].id
        tell(engine, 1)
        sender = WebhookSender(engine, allows_private=True, seconds=1)
        began = time.monotonic()
        assert sender.send_due() == 1
        assert time.monotonic() - began < 4
        sender.stop()
    ((state, attempt, error),) = attempts(engine, hook)
    assert (state, attempt) == ("waiting", 1)
    assert error == ("the receiver answered 500" if kind == "drips a body" else error)


def test_a_name_server_that_does_not_answer_costs_no_more_than_the_deadline(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_book(engine, [1])
    answered = threading.Event()
    hook = create_webhook(engine, "https://receiver.example/", ["model.*"], portfolio=None, who="test")[1].id
    tell(engine, 1)
    monkeypatch.setattr(public_addresses.socket, "getaddrinfo", lambda *_given, **_named: answered.wait(60) and [])
    sender = WebhookSender(engine, allows_private=False, seconds=1)
    began = time.monotonic()
    assert sender.send_due() == 1
    assert time.monotonic() - began < 4
    answered.set()
    sender.stop()
    assert attempts(engine, hook)[0][2] == "ConnectTimeout"


def test_one_receiver_has_only_some_messages_under_way(engine: Engine) -> None:
    load_book(engine, [1])
    with receiving("silent") as silent:
        create_webhook(engine, silent.url, ["model.*"], portfolio=None, who="test")
        tell(engine, 6)
        sender = WebhookSender(engine, allows_private=True, seconds=0.5)
        assert sender.send_due() == 6
        sender.stop()
    assert silent.most_open == 1
