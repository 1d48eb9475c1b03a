"""The duties of the scheduler's loop: each runs when it is due, and a failure of one does not affect the others."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from logging import getLogger

from db.errors import DatabaseError
from scheduler.errors import RedisUnreachableError

logger = getLogger(__name__)

PAUSE_AFTER_TROUBLE_SECONDS = 2.0
SAY_AGAIN_SECONDS = 60.0  # the same problem is not logged more often


@dataclass
class Duty:
    """Something to do every so many seconds; 0 means at every check."""

    name: str
    act: Callable[[], None]
    every_seconds: float = 0.0
    due_at: float = 0.0
    last_said: str = ""
    said_at: float = 0.0


def do_due(duties: Sequence[Duty], is_stopping: Callable[[], bool]) -> None:
    """Do each duty that is due; one that fails is logged and tried again soon; the others run anyway."""
    for duty in duties:
        # This clock only paces the loop; whether a lease is over is the database's to say.
        if is_stopping() or time.monotonic() < duty.due_at:
            continue
        pause = duty.every_seconds
        try:
            duty.act()
            duty.last_said = ""
        except Exception as error:  # noqa: BLE001 - whatever one duty meets, the others must not wait for it
            _tell(duty, error)
            pause = PAUSE_AFTER_TROUBLE_SECONDS
        duty.due_at = time.monotonic() + pause


def _tell(duty: Duty, error: Exception) -> None:
    said, now = f"{type(error).__name__}: {error}", time.monotonic()
    if said == duty.last_said and now - duty.said_at < SAY_AGAIN_SECONDS:
        return
    duty.last_said, duty.said_at = said, now
    if isinstance(error, DatabaseError | RedisUnreachableError):
        logger.warning("One duty of the scheduler (%s) has to wait: %s", duty.name, error)
    else:
        logger.error("A duty of the scheduler failed; the others continue (%s).", duty.name, exc_info=error)
