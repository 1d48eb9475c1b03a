"""Detects a worker that receives nothing although messages are waiting and a child process is free.

After connections that were reset many times in a row on a busy machine, Celery's consumer was once seen connected,
answering, and taking nothing for minutes. Whatever the cause, a fresh connection cures it.
"""

import time
from typing import Any, Protocol

from celery.signals import task_received
from celery.worker import state

DEAF_SECONDS = 30.0


class Redis(Protocol):
    """What is asked of a client."""

    def llen(self, name: str) -> Any:
        """Return the length of a list."""
        ...


class Hearing:
    """When the worker last took a message; `queues` are the lists in Redis that it listens to."""

    def __init__(self, queues: tuple[str, ...], children: int) -> None:
        self._queues = queues
        self._children = children
        self._heard_at = time.monotonic()
        task_received.connect(self._hear, weak=False)

    def is_deaf(self, client: Redis, *, after_seconds: float = DEAF_SECONDS) -> bool:
        """Whether messages have waited for so long although a child could have taken one."""
        has_free_child = len(state.active_requests) < self._children
        if not has_free_child or not any(client.llen(queue) for queue in self._queues):
            self._hear()
        return time.monotonic() - self._heard_at > after_seconds

    def begin_anew(self) -> None:
        """Restart the count, because the worker listens on a new connection."""
        self._hear()

    def _hear(self, **_signal: Any) -> None:
        self._heard_at = time.monotonic()
