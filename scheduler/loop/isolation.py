"""Isolates records that kill their workers, in threads, because reading a book may be slow."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from logging import getLogger

from db.connections.engine import Engine
from db.connections.interruption import Interruption
from db.errors import DatabaseError, SourceBusyError
from db.ledger.expired_leases import ExpiredLease
from db.ledger.job_closing import fail_expired_shard
from db.results.poison_records import isolate_poison

logger = getLogger(__name__)

_MOST = 2  # isolations at a time
_STOP_SECONDS, _ASK_AGAIN_SECONDS = 2.0, 0.05


@dataclass
class _Isolation:
    thread: threading.Thread | None = None
    began_at: float = field(default_factory=time.monotonic)
    interruption: Interruption = field(default_factory=Interruption)
    is_overdue: bool = False


class Isolations:
    """The isolations of one scheduler."""

    def __init__(self, engine: Engine, *, max_attempts: int, key_secret: str | None, longest_seconds: float) -> None:
        self._engine, self._max_attempts, self._key_secret = engine, max_attempts, key_secret
        self._longest_seconds = longest_seconds
        self._running: dict[int, _Isolation] = {}  # by job: a slow book takes one thread

    def begin(self, expired: ExpiredLease) -> bool:
        """Begin with a shard, unless its job is being examined or all threads are busy; False: nothing is freed yet."""
        self._running = {job_id: isolation for job_id, isolation in self._running.items() if _is_alive(isolation)}
        for isolation in self._running.values():
            if time.monotonic() - isolation.began_at > self._longest_seconds:
                isolation.is_overdue = True
                isolation.interruption.interrupt()
        if expired.job_id not in self._running and len(self._running) < _MOST:
            isolation = _Isolation()
            isolation.thread = threading.Thread(
                target=self._isolate, args=(expired, isolation), name=f"isolation-{expired.job_id}", daemon=True
            )
            self._running[expired.job_id] = isolation
            isolation.thread.start()
        return False

    def stop(self) -> None:
        """Interrupt every isolation: the next scheduler starts again."""
        ends = time.monotonic() + _STOP_SECONDS
        while (running := self._alive()) and time.monotonic() < ends:
            for thread, isolation in running:  # repeatedly: it may be between two statements
                isolation.interruption.interrupt()
                thread.join(_ASK_AGAIN_SECONDS)

    def _alive(self) -> list[tuple[threading.Thread, _Isolation]]:
        running = ((one.thread, one) for one in self._running.values())
        return [(thread, isolation) for thread, isolation in running if thread is not None and thread.is_alive()]

    def _isolate(self, expired: ExpiredLease, isolation: _Isolation) -> None:
        log_fields = (expired.job_id, expired.shard_id, expired.attempt, expired.worker)

        def isolate() -> bool:
            secret, interruption = self._key_secret, isolation.interruption
            return isolate_poison(
                self._engine, expired, max_attempts=self._max_attempts, key_secret=secret, interruption=interruption
            )

        if self._try(isolate, isolation, expired):
            logger.warning("Lease recovered: job %d, shard id %d, attempt %d, worker %s.", *log_fields)

    def _try(self, isolate: Callable[[], bool], isolation: _Isolation, expired: ExpiredLease) -> bool:
        try:
            return isolate()
        except SourceBusyError as error:
            if isolation.is_overdue:  # its records cannot be read in time
                return fail_expired_shard(self._engine, expired)
            logger.warning(
                "The shard will be tried again because its source is busy: job %d: %s", expired.job_id, error
            )
        except DatabaseError as error:
            logger.warning("Isolating poison records has to wait for the database: job %d: %s", expired.job_id, error)
        except Exception:
            logger.exception("Lease not recovered: job %d, shard id %d.", expired.job_id, expired.shard_id)
        return False


def _is_alive(isolation: _Isolation) -> bool:
    return isolation.thread is not None and isolation.thread.is_alive()
