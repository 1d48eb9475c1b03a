"""A worker's parent process: reports regularly that it is running, and exits when it can no longer work.

A worker that lost Redis or the database for long exits, so that its supervisor starts a fresh one: what holds it up may
be its own (a stale address, exhausted sockets). One that is connected but receives nothing reconnects, and exits if
that does not help. The watch runs on an alarm of the system, because Celery's own timers stand still while it looks
for Redis, and a thread would not survive the forks.
"""

import os
import signal
import socket
import time
from logging import getLogger
from typing import Any

from celery import bootsteps
from celery.exceptions import WorkerShutdown
from kombu.connection import Connection
from kombu.exceptions import OperationalError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from db.connections.engine import opened_engine
from db.errors import DatabaseError
from db.operations.dropped_messages import add_dropped
from db.operations.processes import forget, mark_seen
from worker.contract.process_memory import held_bytes
from worker.process.deafness import Hearing
from worker.process.receiving import dropped

logger = getLogger(__name__)

EVERY_SECONDS = 20.0
LOOK_SECONDS = 1.0
# Celery's event loop is blocked meanwhile; its children keep working.
_ASKING = {"socket_timeout": 2.0, "socket_connect_timeout": 2.0, "max_retries": 0, "interval_start": 0}
LOST_SERVER = 1  # the exit code of a worker that lost a server


class PresenceStep(bootsteps.StartStopStep):
    """A step of the worker's start; runs in its event loop, so that no thread exists across a fork."""

    requires = frozenset({"celery.worker.components:Timer"})
    url = ""
    redis_url = ""
    queues: tuple[str, ...] = ()
    kind = "worker"
    ends_with_parent = False
    lost_after_seconds = 60.0
    lost_server: str | None = None

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._name = f"{self.kind}@{socket.gethostname()}:{os.getpid()}"
        self._started_by = os.getppid()
        self._redis_seen_at = self._database_seen_at = time.monotonic()
        self._hearing = Hearing(self.queues, getattr(parent, "concurrency", None) or 1)
        self._connected_anew = False

    def start(self, parent: Any) -> None:
        """Record it now, and regularly from now on."""
        self._say()
        parent.timer.call_repeatedly(min(EVERY_SECONDS, self.lost_after_seconds / 3), self._say)
        parent.timer.call_repeatedly(min(EVERY_SECONDS, self.lost_after_seconds / 3), self._ask_redis)
        signal.signal(signal.SIGALRM, lambda *_signal: self._look())
        signal.setitimer(signal.ITIMER_REAL, LOOK_SECONDS, LOOK_SECONDS)

    def stop(self, parent: Any) -> None:  # noqa: ARG002 - Celery's signature
        """Remove the name at a clean stop."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        self._with_engine(lambda engine: forget(engine, self._name))

    def terminate(self, parent: Any) -> None:
        """Do the same if Celery stops at once, as after SIGQUIT."""
        self.stop(parent)

    def _look(self) -> None:
        if self.ends_with_parent and os.getppid() != self._started_by:
            logger.info("The process that started this worker has exited; the worker stops.")
            signal.setitimer(signal.ITIMER_REAL, 0)
            os.kill(os.getpid(), signal.SIGTERM)
            return
        now = time.monotonic()
        for server, seen_at in (("Redis", self._redis_seen_at), ("the database", self._database_seen_at)):
            if now - seen_at > self.lost_after_seconds:
                logger.critical(
                    "This worker lost %s %.0f s ago; it exits and will be restarted.", server, now - seen_at
                )
                signal.setitimer(signal.ITIMER_REAL, 0)
                type(self).lost_server = server  # Celery knows the class, and makes its own object of it
                raise WorkerShutdown(LOST_SERVER)

    def _ask_redis(self) -> None:
        """Celery's timer only turns while the worker is connected, but a connection may be open and silent."""
        try:
            with Connection(self.redis_url, transport_options=_ASKING) as connection:
                channel: Any = connection.default_channel
                is_deaf = self._hearing.is_deaf(channel.client)
        except (OperationalError, RedisError, OSError) as error:
            logger.warning("Redis does not answer: %s", error)
            return
        if is_deaf:
            self._end_deafness()
        else:
            self._redis_seen_at = time.monotonic()
            self._connected_anew = False

    def _end_deafness(self) -> None:
        """Let Celery reconnect, as after a lost connection; if that did not help, let the worker exit."""
        if self._connected_anew:
            logger.critical(
                "This worker receives nothing on its new connection either; it exits and will be restarted."
            )
            type(self).lost_server = "Redis"
            raise WorkerShutdown(LOST_SERVER)
        logger.warning("Messages are waiting but this worker receives nothing; it reconnects to Redis.")
        self._connected_anew = True
        self._hearing.begin_anew()
        raise RedisConnectionError("messages are waiting, but none is received")

    def _say(self) -> None:
        memory = held_bytes(os.getpid())
        if self._with_engine(lambda engine: mark_seen(engine, self._name, self.kind, memory_bytes=memory)):
            self._database_seen_at = time.monotonic()
        counts = dict(dropped)
        if counts and self._with_engine(lambda engine: add_dropped(engine, counts)):
            dropped.subtract(counts)
            for queue in [queue for queue, count in dropped.items() if count <= 0]:
                del dropped[queue]
            logger.warning("Foreign messages were dropped, by queue: %s.", counts)
            self._hearing.begin_anew()

    def _with_engine(self, act: Any) -> bool:
        # Opened and closed each time: no connection of the parent may be open when a child is forked.
        try:
            with opened_engine(self.url) as engine:
                act(engine)
        except DatabaseError as error:
            logger.warning("Presence could not be written: %s", error)
            return False
        return True
