"""Scores some records at once: stores them for a worker, sends it the request's id, waits for the answer."""

import json
import time
from collections.abc import Sequence
from typing import Any

import redis
from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from db.engine import Engine
from db.online_requests import find_answer, forget_request, store_request
from scheduler.dispatch import open_producer
from scheduler.errors import RedisUnreachableError, SchedulerError
from worker.address import client_url
from worker.messages import (
    BELL_SECONDS,
    ONLINE_CALLS,
    ONLINE_LIST,
    ONLINE_LIST_LENGTH,
    ONLINE_QUEUE,
    ONLINE_TASK,
    REDIS_TIMEOUT_SECONDS,
    bell_of,
    online_hint,
)

LOOK_SECONDS = 1  # a bell that was not heard costs so much; whole seconds, as Redis counts


class OnlineError(SchedulerError):
    """No answer came: no worker is free, or the one that answered could not score."""


class OnlineScoring:
    """The API's side of an online request. Opens its connections at the first use; threads may share it."""

    def __init__(self, engine: Engine, broker_url: str, *, seconds: float) -> None:
        self._engine = engine
        self._seconds = seconds
        self._producer: Celery = open_producer(broker_url)
        # Longer than one wait for the bell, or that would look like a dead server.
        limits = {"socket_timeout": REDIS_TIMEOUT_SECONDS, "socket_connect_timeout": REDIS_TIMEOUT_SECONDS}
        self._bell = redis.Redis.from_url(client_url(broker_url), **limits)

    def score(self, portfolio: str, records: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Return `model_version`, `scores` and `rejects` of the records.

        Raises `OnlineError` when no answer comes in time, `RedisUnreachableError` where no worker can be told.
        """
        body = json.dumps(list(records))
        request_id = store_request(self._engine, portfolio, body, seconds=self._seconds)
        try:
            self._send(request_id)
            answer = self._wait(request_id)
        finally:
            forget_request(self._engine, request_id)
        if "error" in answer:
            raise OnlineError(str(answer["error"]))
        return answer

    def close(self) -> None:
        """Close the connections."""
        self._bell.close()
        self._producer.close()

    def _send(self, request_id: str) -> None:
        # After this time nobody waits, and workers that come back need not look for it.
        options: dict[str, Any] = {"queue": ONLINE_QUEUE, "retry": False, "expires": self._seconds}
        try:
            with self._bell.pipeline() as pipeline:
                pipeline.lpush(ONLINE_LIST, request_id)
                pipeline.ltrim(ONLINE_LIST, 0, ONLINE_LIST_LENGTH - 1)
                pipeline.expire(ONLINE_LIST, BELL_SECONDS)
                pipeline.publish(ONLINE_CALLS, 1)
                pipeline.execute()
            self._producer.send_task(ONLINE_TASK, kwargs=online_hint(request_id), **options)
        except (OperationalError, RedisError, OSError) as error:
            raise RedisUnreachableError(str(error)) from error

    def _wait(self, request_id: str) -> dict[str, Any]:
        ends = time.monotonic() + self._seconds
        while time.monotonic() < ends:
            try:
                self._bell.blpop([bell_of(request_id)], timeout=LOOK_SECONDS)
            except RedisError as error:
                raise RedisUnreachableError(str(error)) from error
            answer = find_answer(self._engine, request_id)
            if answer is not None:
                return json.loads(answer)
        raise OnlineError(f"no scoring worker answered within {self._seconds:g} s")
