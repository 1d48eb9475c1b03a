"""Sends the messages of webhooks, signed as Standard Webhooks say, until the receiver takes them."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from logging import getLogger
from urllib.parse import urlsplit

import httpcore
from standardwebhooks.webhooks import Webhook as Signer

from db.engine import Engine
from db.errors import DatabaseError
from db.webhook_queue import Message, claim_message, note_delivered, note_failed
from db.webhooks import switch_off
from scheduler.errors import UsageError
from scheduler.public_addresses import PrivateAddressError, PublicBackend, is_public

logger = getLogger(__name__)

# Pauses before the second and each further attempt: three days in all, as Standard Webhooks propose.
PAUSES_SECONDS = (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
AT_ONCE = 4
LOOK_SECONDS = 1.0
TIMEOUT_SECONDS = 10.0
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
    is_address = host.replace(".", "").isdigit() or ":" in host
    if not allows_private and (host == "localhost" or (is_address and not is_public(host))):
        raise UsageError(f"{host} is not a public address; TIDEMARK_WEBHOOK_PRIVATE_ADDRESSES allows such ones")


class WebhookSender:
    """Sends what is due, some at once, in threads of its own: a slow receiver holds up nobody else's work."""

    def __init__(self, engine: Engine, *, allows_private: bool) -> None:
        self._engine = engine
        self._pool = httpcore.ConnectionPool(network_backend=PublicBackend(allows_private=allows_private))
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """End after the messages that are under way."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(TIMEOUT_SECONDS * 2)
        self._pool.close()

    def send_due(self) -> int:
        """Send every message that is due now, and return how many were tried."""
        tried = 0
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="webhook") as threads:
            while claimed := [one for _ in range(AT_ONCE) if (one := claim_message(self._engine)) is not None]:
                list(threads.map(self._send, claimed))
                tried += len(claimed)
        return tried

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            try:
                self.send_due()
            except DatabaseError as error:
                logger.warning("Webhooks wait: %s", error)

    def _send(self, message: Message) -> None:
        try:
            status = self._post(message)
        except PrivateAddressError as error:
            self._note_failure(message, None, str(error))
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError, ValueError) as error:
            self._note_failure(message, None, type(error).__name__)
        else:
            if 200 <= status < 300:
                note_delivered(self._engine, message, status)
            elif status == _GONE:
                switch_off(self._engine, message.webhook_id, who="tidemark", why="the receiver answered 410 Gone")
            else:
                self._note_failure(message, status, f"the receiver answered {status}")

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
        limits = {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), TIMEOUT_SECONDS)}
        # The answer's body is not read: it may be endless.
        with self._pool.stream(
            "POST", message.url, headers=headers, content=body.encode(), extensions=limits
        ) as answer:
            return answer.status

    def _note_failure(self, message: Message, status: int | None, error: str) -> None:
        has_more = message.attempt <= len(PAUSES_SECONDS)
        pause = PAUSES_SECONDS[message.attempt - 1] if has_more else None
        note_failed(self._engine, message, status=status, error=error, again_in_seconds=pause)
        told = (message.webhook_id, message.event_id, message.attempt, error)
        logger.warning("A webhook was not delivered: webhook %d, event %d, attempt %d: %s.", *told)


def body_of(message: Message) -> str:
    """Return what a message says, as JSON."""
    document = {"type": message.event, "timestamp": message.at.isoformat(), "data": message.facts}
    return json.dumps(document, separators=(",", ":"))
