"""Finds connections to SQLite that nobody closed, on every Python: only from 3.13 on does Python itself complain."""

import functools
import gc
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from weakref import WeakSet

_ENDED = "after the last test"


class LeftOpen:
    """Who opened what: `lost` names the tests whose connections were forgotten while they were open."""

    def __init__(self) -> None:
        self.lost: list[str] = []
        self.opener = "before the first test"
        self._alive: WeakSet[_Watched] = WeakSet()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch every connection that is opened meanwhile, by SQLAlchemy or without it."""
        plain = sqlite3.connect
        watched = functools.partial(plain, factory=functools.partial(_Watched, self))
        sqlite3.connect = sqlite3.dbapi2.connect = watched
        try:
            yield
        finally:
            sqlite3.connect = sqlite3.dbapi2.connect = plain

    def note(self, connection: "_Watched") -> str:
        """Keep an eye on a connection; return who opened it."""
        self._alive.add(connection)
        return self.opener

    def take_lost(self) -> list[str]:
        """Return whose connections were forgotten, and forget that."""
        if any(one.opener == self.opener and one.is_open for one in self._alive):
            gc.collect()  # an engine and its pool hold each other, and would be found at some later test
        lost, self.lost = self.lost, []
        return lost

    def still_open(self) -> list[str]:
        """Return who opened what is open now."""
        self.opener = _ENDED
        return [one.opener for one in self._alive if one.is_open]


class _Watched(sqlite3.Connection):
    """A connection that tells when it is thrown away while it is open."""

    def __init__(self, watch: LeftOpen, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._watch = watch
        self.opener = watch.note(self)

    @property
    def is_open(self) -> bool:
        """Whether nobody closed it yet."""
        try:
            return self.total_changes >= 0
        except sqlite3.ProgrammingError:
            return False

    def __del__(self) -> None:
        if self.is_open:
            self._watch.lost.append(self.opener)
            with suppress(sqlite3.ProgrammingError):  # opened in another thread
                self.close()
