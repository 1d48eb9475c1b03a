"""Interrupts a connection from another thread, so that a slow table or view of one book blocks no other."""

import sqlite3
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from sqlalchemy import Connection

_CANCEL_SECONDS = 5.0  # for the way to the server and back


class Interruption:
    """The connection that a thread is reading with."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._driver: Any = None

    @contextmanager
    def of(self, connection: Connection) -> Generator[None]:
        """Let the statements of the block be interrupted."""
        with self._lock:
            self._driver = connection.connection.driver_connection
        try:
            yield
        finally:
            with self._lock:  # a pending cancel must not hit the next user of the connection
                self._driver = None

    def interrupt(self) -> None:
        """Interrupt the running statement, if any; it raises in its own thread. Repeat if the thread continues."""
        if not self._lock.acquire(blocking=False):  # another thread is at it, or the block ends this instant
            return
        try:
            if isinstance(self._driver, sqlite3.Connection):
                self._driver.interrupt()
            elif isinstance(self._driver, psycopg.Connection):
                with suppress(psycopg.Error, TimeoutError):  # a lost server ends the statement anyway
                    self._driver.cancel_safe(timeout=_CANCEL_SECONDS)
        finally:
            self._lock.release()
