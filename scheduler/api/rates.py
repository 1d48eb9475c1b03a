"""How many requests a key may make: a bucket that fills evenly and holds a minute's worth."""

import math
import threading
import time
from collections.abc import Callable

from scheduler.api.problems import Problem

_FORGET_ABOVE = 10_000  # buckets


class RateLimiter:
    """Counts per key, within this process."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_minute / 60
        self._size = float(per_minute)
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def take(self, name: str) -> None:
        """Take one request from the bucket. Raises `Problem` (429) when it is empty."""
        with self._lock:
            now = self._clock()
            level, seen = self._buckets.get(name, (self._size, now))
            level = min(self._size, level + (now - seen) * self._per_second)
            if len(self._buckets) > _FORGET_ABOVE:
                self._buckets.clear()
            if level >= 1:
                self._buckets[name] = (level - 1, now)
                return
            self._buckets[name] = (level, now)
        wait = math.ceil((1 - level) / self._per_second)
        detail = f"this key may make {self._size:g} requests a minute; try again in {wait} s"
        raise Problem(429, "too-many-requests", detail, headers={"Retry-After": str(wait)})
