"""Scores a few records at once: stores them for a worker, sends it the request's id, waits for the answer.

Waiting takes no thread: `AnswerWatch` looks for the answers of all requests that wait here.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from logging import getLogger
from typing import Any

import anyio
import anyio.to_thread
import redis
from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from db.access.online_requests import forget_request, store_request
from db.connections.engine import Engine
from db.errors import DatabaseError
from scheduler.errors import RedisUnreachableError, SchedulerError
from scheduler.loop.hint_dispatch import open_producer
from scheduler.requests.answer_watch import AnswerWatch
from worker.contract.messages import (
    BELL_SECONDS,
    ONLINE_CALLS,
    ONLINE_LIST,
    ONLINE_LIST_LENGTH,
    ONLINE_QUEUE,
    ONLINE_TASK,
    REDIS_TIMEOUT_SECONDS,
    online_hint,
)
from worker.contract.redis_address import client_url

logger = getLogger(__name__)

_THREADS = 3  # for storing and sending; a locked database must not block the threads of other requests


class OnlineError(SchedulerError):
    """No answer: no worker is free, or the worker could not score."""


class CallerGoneError(SchedulerError):
    """The caller no longer waits for the answer."""

    def __init__(self) -> None:
        super().__init__("the client went away")


class OnlineScoring:
    """The API's side of an online request. Opens its connections at the first use."""

    def __init__(self, engine: Engine, broker_url: str, *, seconds: float) -> None:
        self._engine = engine
        self._seconds = seconds
        self._producer: Celery = open_producer(broker_url)
        limits = {"socket_timeout": REDIS_TIMEOUT_SECONDS, "socket_connect_timeout": REDIS_TIMEOUT_SECONDS}
        self._redis = redis.Redis.from_url(client_url(broker_url), **limits)
        self._watch = AnswerWatch(engine, broker_url)
        self._threads = anyio.CapacityLimiter(_THREADS)

    async def score(
        self, portfolio: str, records: Sequence[dict[str, Any]], *, until_gone: Callable[[], Awaitable[None]]
    ) -> dict[str, Any]:
        """Return `model_version`, `scores` and `rejects` of the records.

        `until_gone` returns when the caller is gone. Raises `OnlineError` when no answer comes in time,
        `CallerGoneError`, and `RedisUnreachableError` if no worker can be notified.
        """
        request_id = await anyio.to_thread.run_sync(self._store, portfolio, records, limiter=self._threads)
        answered = self._watch.expect(request_id)
        try:
            await anyio.to_thread.run_sync(self.send, request_id, limiter=self._threads)
            answer = json.loads(await self._first_of(answered, until_gone))
        finally:
            self._watch.give_up(request_id)
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._forget, request_id, limiter=self._threads)
        if "error" in answer:
            raise OnlineError(str(answer["error"]))
        return answer

    def send(self, request_id: str) -> None:
        """Notify the workers of a stored request. Raises `RedisUnreachableError`."""
        # After this time no client is waiting, and workers that return can ignore it.
        options: dict[str, Any] = {"queue": ONLINE_QUEUE, "retry": False, "expires": self._seconds}
        try:
            with self._redis.pipeline() as pipeline:
                pipeline.lpush(ONLINE_LIST, request_id)
                pipeline.ltrim(ONLINE_LIST, 0, ONLINE_LIST_LENGTH - 1)
                pipeline.expire(ONLINE_LIST, BELL_SECONDS)
                pipeline.publish(ONLINE_CALLS, 1)
                pipeline.execute()
            self._producer.send_task(ONLINE_TASK, kwargs=online_hint(request_id), **options)
        except (OperationalError, RedisError, OSError) as error:
            raise RedisUnreachableError(str(error)) from error

    def close(self) -> None:
        """Close the connections."""
        self._watch.close()
        self._redis.close()
        self._producer.close()

    def _store(self, portfolio: str, records: Sequence[dict[str, Any]]) -> str:
        return store_request(self._engine, portfolio, json.dumps(list(records)), seconds=self._seconds)

    async def _first_of(self, answered: asyncio.Future[str], until_gone: Callable[[], Awaitable[None]]) -> str:
        gone = asyncio.ensure_future(until_gone())
        try:
            await asyncio.wait({answered, gone}, timeout=self._seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
        if answered.done():
            return answered.result()
        if gone.done() and not gone.cancelled():
            raise CallerGoneError
        raise OnlineError(f"no scoring worker answered within {self._seconds:g} s")

    def _forget(self, request_id: str) -> None:
        try:
            forget_request(self._engine, request_id)
        except DatabaseError as error:  # the scheduler forgets it when its time is over
            logger.warning("An online request could not be deleted: %s", error)
