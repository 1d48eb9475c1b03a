"""Tests pooled connections before use, unless they were used a moment ago."""

import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import event, exc
from sqlalchemy.pool import Pool

FRESH_SECONDS = 1.0  # so long after its last use a connection counts as alive
_RETURNED_AT = "tidemark_returned_at"


def check_stale_connections(pool: Pool, answers: Callable[[Any], bool]) -> None:
    """Test a pooled connection before use, unless it was in use within the last second.

    If it does not answer, all other pooled connections are dropped too, and a new one is opened.
    A loss within that second fails the statement itself, like one during a transaction.
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
