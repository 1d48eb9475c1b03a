"""Renews a shard's lease from the batch loop, so that a worker that hangs loses it."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from db.connections.engine import Engine
from db.errors import DatabaseError, LeaseLostError
from db.ledger.shard_leases import Claim, is_held, renew_lease

LOOK_SECONDS = 0.5


class Heartbeat:
    """Called at every batch: renews the lease if `every_seconds` have passed since the last time.

    In between it checks twice a second whether the shard is still ours, so that a cancelled job frees its workers.
    """

    def __init__(
        self,
        engine: Engine,
        claim: Claim,
        *,
        lease_seconds: float,
        every_seconds: float,
        between_batches: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._claim = claim
        self._lease_seconds = lease_seconds
        self._every_seconds = every_seconds
        self._between_batches = between_batches
        self._clock = clock
        self._last = self._looked = clock()

    def __call__(self) -> None:
        """Renew the lease if it is due, and do what cannot wait for the shard's end.

        Raises `LeaseLostError` if the shard is no longer ours.
        """
        self._between_batches()
        self.renew_if_due()

    def renew_if_due(self) -> None:
        """Renew the lease if it is due. Raises `LeaseLostError` if the shard is no longer ours."""
        now = self._clock()
        if now - self._last >= self._every_seconds:
            self.renew()
        elif now - self._looked >= LOOK_SECONDS:
            self._look()
            self._looked = now  # not where it is lost: the next call says so again

    def renew(self, progress: dict[str, Any] | None = None) -> None:
        """Renew the lease now, and show the job's progress with it."""
        renew_lease(self._engine, self._claim, lease_seconds=self._lease_seconds, progress=progress)
        self._last = self._looked = self._clock()

    def _look(self) -> None:
        held = True
        with suppress(DatabaseError):  # a short outage of the database costs no shard: the next renewal decides
            held = is_held(self._engine, self._claim)
        if not held:
            raise LeaseLostError(self._claim.shard_id, self._claim.token)
