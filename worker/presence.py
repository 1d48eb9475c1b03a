"""Lets a worker's parent process say now and then that it lives, for people and for `doctor`."""

import os
import signal
import socket
from logging import getLogger
from typing import Any

from celery import bootsteps

from db.engine import open_engine
from db.errors import DatabaseError
from db.processes import forget, mark_seen

logger = getLogger(__name__)

EVERY_SECONDS = 20.0
LOOK_FOR_PARENT_SECONDS = 1.0


class PresenceStep(bootsteps.StartStopStep):
    """A step of the worker's start; runs in its event loop, so that no thread lives across a fork."""

    requires = frozenset({"celery.worker.components:Timer"})
    url = ""
    kind = "worker"
    ends_with_parent = False

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._name = f"{self.kind}@{socket.gethostname()}:{os.getpid()}"
        self._started_by = 0

    def start(self, parent: Any) -> None:
        """Say it now, and every so often from now on."""
        self._say()
        parent.timer.call_repeatedly(EVERY_SECONDS, self._say)
        if self.ends_with_parent:
            self._started_by = os.getppid()
            parent.timer.call_repeatedly(LOOK_FOR_PARENT_SECONDS, self._look_for_parent)

    def stop(self, parent: Any) -> None:  # noqa: ARG002 - Celery's signature
        """Take the name off the list at a clean stop."""
        self._with_engine(lambda engine: forget(engine, self._name))

    def _look_for_parent(self) -> None:
        if os.getppid() != self._started_by:
            logger.info("The process that started this worker is gone; it stops.")
            os.kill(os.getpid(), signal.SIGTERM)

    def _say(self) -> None:
        self._with_engine(lambda engine: mark_seen(engine, self._name, self.kind))

    def _with_engine(self, act: Any) -> None:
        # Opened and closed each time: no connection of the parent may be open when a child is forked.
        engine = open_engine(self.url)
        try:
            act(engine)
        except DatabaseError as error:
            logger.warning("Presence could not be written: %s", error)
        finally:
            engine.dispose()
