"""Tests pooled connections before use, unless they were used a moment ago."""

import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import event, exc
from sqlalchemy.pool import Pool

FRESH_SECONDS = 1.0  # so long after its last use a connection counts as alive
_RETURNED_AT = "tidemark_returned_at"


def check_stale_connections(pool: Pool, answers: Callable[[Any], bool]) -> None:
    """Ask a connection of the pool before it is given out again, when it was not in use within the last second.

    One that does not answer takes all the others with it, which are from before the same trouble; a new one is made.
    A loss within that second is met by the statement itself, as one in the middle of a transaction is.
    """

    def note(_connection: Any, record: Any) -> None:
        record.info[_RETURNED_AT] = time.monotonic()

    def check(connection: Any, record: Any, _proxy: Any) -> None:
        returned_at = record.info.get(_RETURNED_AT)
        if returned_at is None or time.monotonic() - returned_at < FRESH_SECONDS:
            return
        if not answers(connection):
            raise exc.InvalidatePoolError("the connection was lost while it was idle")

    event.listen(pool, "checkin", note)
    event.listen(pool, "checkout", check)
