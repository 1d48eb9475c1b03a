"""Counts a worker's claims: every so many go to the oldest job, so that urgent jobs cannot starve it."""

from random import randrange
from threading import Lock


class Turns:
    """The turns of one worker process, by queue."""

    def __init__(self, every: int) -> None:
        self._every = every
        self._counts: dict[str, int] = {}
        self._lock = Lock()

    def take(self, queue: str) -> bool:
        """Count one claim of a queue and return whether it is the oldest job's turn.

        A process starts at a random place of the count, so that short-lived processes also have their share of turns.
        """
        if self._every == 0:
            return False
        with self._lock:
            count = self._counts.get(queue, randrange(self._every)) + 1  # noqa: S311 - no secret
            self._counts[queue] = count % self._every
        return count == self._every
