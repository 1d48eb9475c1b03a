"""Limits log lines to one per second, so that a flood of requests does not flood the log."""

import threading
import time
from collections.abc import Callable
from logging import Logger

from db.events.wording import counted


class SeldomLogger:
    """Writes a warning at most once in `seconds`, and says how many others were left out."""

    def __init__(self, logger: Logger, seconds: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger = logger
        self._seconds = seconds
        self._clock = clock
        self._next = 0.0
        self._left_out = 0
        self._lock = threading.Lock()

    def warning(self, text: str, *values: object) -> None:
        """Write the warning, unless another one was written a moment ago."""
        with self._lock:
            now = self._clock()
            if now < self._next:
                self._left_out += 1
                return
            self._next = now + self._seconds
            left_out, self._left_out = self._left_out, 0
        more = f" ({counted(left_out, 'similar line')} left out.)" if left_out else ""
        self._logger.warning(f"{text}%s", *values, more)
