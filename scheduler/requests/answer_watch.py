"""Reads the answers of all online requests waiting in this process: one thread, one subscription, one query.

Workers publish the id of what they answered. Whatever was not heard is found by a look into the database each second.
"""

import asyncio
import threading
from contextlib import suppress
from logging import getLogger
from typing import Any, cast

import redis
from redis.client import PubSub
from redis.exceptions import RedisError

from db.access.online_requests import find_answers
from db.connections.engine import Engine
from db.errors import DatabaseError
from worker.contract.messages import ONLINE_ANSWERS, REDIS_TIMEOUT_SECONDS
from worker.contract.redis_address import client_url

logger = getLogger(__name__)

LOOK_SECONDS = 1.0  # an answer that was not heard of costs so much


class AnswerWatch:
    """Hands each answer to the event loop that waits for it. The thread starts with the first request."""

    def __init__(self, engine: Engine, broker_url: str) -> None:
        self._engine = engine
        self._url = client_url(broker_url)
        self._waiting: dict[str, tuple[asyncio.AbstractEventLoop, asyncio.Future[str]]] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def expect(self, request_id: str) -> asyncio.Future[str]:
        """Return a future for the answer. Called on the event loop that awaits it."""
        loop = asyncio.get_running_loop()
        answered = loop.create_future()
        with self._lock:
            self._waiting[request_id] = (loop, answered)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="answers", daemon=True)
                self._thread.start()
        return answered

    def give_up(self, request_id: str) -> None:
        """Stop waiting for this request."""
        with self._lock:
            self._waiting.pop(request_id, None)

    def close(self) -> None:
        """End the thread."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(2 * REDIS_TIMEOUT_SECONDS)

    def _run(self) -> None:
        limits = {"socket_timeout": REDIS_TIMEOUT_SECONDS, "socket_connect_timeout": REDIS_TIMEOUT_SECONDS}
        with redis.Redis.from_url(self._url, **limits) as client:
            calls: PubSub | None = None
            while not self._stopping.is_set():
                try:
                    calls = calls or self._subscribe(client)
                    answered = self._listen(calls)
                except (RedisError, OSError):  # the database is read anyway
                    _close(calls)
                    calls, answered = None, None
                    self._stopping.wait(LOOK_SECONDS)
                self._hand_out(answered)
            _close(calls)

    def _subscribe(self, client: "redis.Redis") -> PubSub:
        calls = client.pubsub(ignore_subscribe_messages=True)
        calls.subscribe(ONLINE_ANSWERS)
        return calls

    def _listen(self, calls: PubSub) -> set[str] | None:
        """Return the ids announced just now; None if none arrived for a while, so that all are looked up."""
        message = _next(calls, LOOK_SECONDS)
        if message is None:
            return None
        answered: set[str] = set()
        while message is not None:
            answered.add(message)
            message = _next(calls, 0)
        return answered

    def _hand_out(self, answered: set[str] | None) -> None:
        with self._lock:
            wanted = list(self._waiting if answered is None else answered & self._waiting.keys())
        if not wanted:
            return
        try:
            found = find_answers(self._engine, wanted)
        except DatabaseError as error:
            logger.warning("Answers of online requests cannot be read: %s", error)
            return
        with self._lock:
            ready = [(*self._waiting.pop(one), answer) for one, answer in found.items() if one in self._waiting]
        for loop, waiting, answer in ready:
            with suppress(RuntimeError):  # the loop was closed: no one is waiting
                loop.call_soon_threadsafe(_settle, waiting, answer)


def _next(calls: PubSub, seconds: float) -> str | None:
    message = cast("dict[str, Any] | None", calls.get_message(timeout=seconds))
    return None if message is None else bytes(message["data"]).decode(errors="replace")


def _settle(answered: asyncio.Future[str], answer: str) -> None:
    if not answered.done():
        answered.set_result(answer)


def _close(calls: PubSub | None) -> None:
    if calls is not None:
        with suppress(RedisError, OSError):
            calls.close()
