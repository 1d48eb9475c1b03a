"""Sends webhook messages, signed according to Standard Webhooks, until the receiver accepts them."""

import json
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from logging import getLogger
from urllib.parse import urlsplit

import httpcore
from standardwebhooks.webhooks import Webhook as Signer

from db.access.webhooks import switch_off
from db.connections.engine import Engine
from db.errors import DatabaseError
from db.events.webhook_queue import Message, claim_message, note_delivered, note_failed
from scheduler.errors import UsageError
from scheduler.loop.public_addresses import Deadline, PrivateAddressError, PublicBackend, is_address, is_public

logger = getLogger(__name__)

# Pauses before the second and each further attempt: three days in all, as Standard Webhooks propose.
PAUSES_SECONDS = (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
AT_ONCE = 64  # threads that mostly wait
AT_ONCE_EACH = 2
LOOK_SECONDS = 1.0
TIMEOUT_SECONDS = 10.0  # from resolving the receiver's address to the last header of its answer
SLOW_SECONDS = 2.0
_GONE = 410


def check_url(url: str, *, allows_private: bool) -> None:
    """Raise `UsageError` unless messages may be sent to this URL."""
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError("expected a URL such as https://receiver.example/hook") from error
    schemes = ("https", "http") if allows_private else ("https",)
    if parts.scheme not in schemes or not host or not url.isascii() or not url.isprintable() or " " in url:
        raise UsageError(f"expected a URL that begins with {' or '.join(f'{one}://' for one in schemes)}")
    if parts.username is not None or parts.password is not None:
        raise UsageError("expected a URL without a user name or password")
    is_local = host.rstrip(".") == "localhost" or host.rstrip(".").endswith(".localhost")
    if not allows_private and (is_local or (is_address(host) and not is_public(host))):
        raise UsageError(f"{host} is not a public address; set TIDEMARK_WEBHOOK_PRIVATE_ADDRESSES=true to allow it")


class WebhookSender:
    """Sends due messages in separate threads: a slow receiver delays only its own messages.

    A receiver that took its last message quickly gets up to `AT_ONCE_EACH` messages at once, any other one only one.
    Receivers that failed or were slow last time share half of the places.
    """

    def __init__(self, engine: Engine, *, allows_private: bool, seconds: float = TIMEOUT_SECONDS) -> None:
        self._engine = engine
        self._allows_private = allows_private
        self._seconds = seconds
        self._tls = httpcore.default_ssl_context()
        self._places = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="webhook")
        self._under_way: Counter[int] = Counter()
        self._is_well: dict[int, bool] = {}  # by receiver: how it took its last message
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """Stop after the messages that are being sent."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(self._seconds * 2)
        self._places.shutdown()

    def send_due(self) -> int:
        """Send every message that is due now, and return how many were tried."""
        tried = 0
        while (begun := self._begin_due()) or self._under_way:
            tried += begun
            with self._changed:
                if self._under_way:
                    self._changed.wait(LOOK_SECONDS)
        return tried

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._begin_due()
            except DatabaseError as error:
                logger.warning("Webhooks have to wait: %s", error)
            with self._changed:  # a place that is free again may be another receiver's
                self._changed.wait(LOOK_SECONDS)

    def _begin_due(self) -> int:
        """Begin to send due messages while there are free places; return their number."""
        begun = 0
        while not self._stopping.is_set() and self._under_way.total() < AT_ONCE:
            message = claim_message(self._engine, but_not=self._busy())
            if message is None:
                break
            with self._changed:
                self._under_way[message.webhook_id] += 1
            self._places.submit(self._send, message)
            begun += 1
        return begun

    def _busy(self) -> set[int]:
        """Return the receivers that get no message now."""
        with self._changed:
            slow = {receiver for receiver, is_well in self._is_well.items() if not is_well}
            busy = {one for one, count in self._under_way.items() if count >= self._most_of(one)}
            return busy | slow if len(slow & self._under_way.keys()) >= AT_ONCE // 2 else busy

    def _most_of(self, receiver: int) -> int:
        return AT_ONCE_EACH if self._is_well.get(receiver, False) else 1

    def _send(self, message: Message) -> None:
        began = time.monotonic()
        is_well = False
        try:
            is_well = self._deliver(message)
        except DatabaseError as error:  # claimed again when its claim is over
            logger.warning("The result of a webhook delivery could not be stored: %s", error)
        finally:
            with self._changed:
                self._under_way[message.webhook_id] -= 1
                self._under_way += Counter()  # what is at nought goes
                self._is_well[message.webhook_id] = is_well and time.monotonic() - began < SLOW_SECONDS
                self._changed.notify_all()

    def _deliver(self, message: Message) -> bool:
        """Send a message and store the result; return whether it was accepted."""
        try:
            status = self._post(message)
        except PrivateAddressError as error:
            self._note_failure(message, None, str(error))
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError, ValueError) as error:
            self._note_failure(message, None, type(error).__name__)
        else:
            if 200 <= status < 300:
                note_delivered(self._engine, message, status)
                return True
            if status == _GONE:
                switch_off(self._engine, message.webhook_id, who="tidemark", why="the receiver answered 410 Gone")
            else:
                self._note_failure(message, status, f"the receiver answered {status}")
        return False

    def _post(self, message: Message) -> int:
        body = body_of(message)
        now = datetime.now(UTC)
        message_id = f"evt_{message.event_id}"
        headers: dict[bytes | str, bytes | str] = {
            "Host": urlsplit(message.url).netloc,
            "Content-Type": "application/json",
            "User-Agent": "tidemark-webhooks",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Signer(message.secret).sign(message_id, now, body),
        }
        backend = PublicBackend(Deadline(self._seconds), allows_private=self._allows_private)
        # Its deadline is the message's, so each has a connection. The answer's body is not read: it may be endless.
        with (
            httpcore.ConnectionPool(ssl_context=self._tls, network_backend=backend) as pool,
            pool.stream("POST", message.url, headers=headers, content=body.encode()) as answer,
        ):
            return answer.status

    def _note_failure(self, message: Message, status: int | None, error: str) -> None:
        has_more = message.attempt <= len(PAUSES_SECONDS)
        pause = PAUSES_SECONDS[message.attempt - 1] if has_more else None
        note_failed(self._engine, message, status=status, error=error, again_in_seconds=pause)
        log_fields = (message.webhook_id, message.event_id, message.attempt, error)
        logger.warning("A webhook was not delivered: webhook %d, event %d, attempt %d: %s.", *log_fields)


def body_of(message: Message) -> str:
    """Return the content of a message, as JSON."""
    document = {"type": message.event, "timestamp": message.at.isoformat(), "data": message.facts}
    return json.dumps(document, separators=(",", ":"))
