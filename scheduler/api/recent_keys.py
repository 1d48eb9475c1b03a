"""Caches checked keys for a moment, so that a busy client costs one lookup per second instead of one per request."""

import hashlib
import threading
import time
from collections.abc import Callable, Collection

from db.access.api_keys import ApiKey, check_key, find_key_in_force
from db.connections.engine import Engine

_FORGET_ABOVE = 10_000  # keys
_LOOK_SECONDS = 0.5


class RecentKeys:
    """Checks keys, and remembers valid ones for `seconds`; 0 = check at each request.

    A key that another process revokes, or that expires, is refused within that time. What is held is a hash of the
    key's text, never the text.
    """

    def __init__(self, engine: Engine, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._seconds = seconds
        self._clock = clock
        self._known: dict[bytes, tuple[float, ApiKey]] = {}
        self._lock = threading.Lock()
        self._revocations = 0
        self._in_force: dict[str, tuple[float, bool]] = {}

    def recall(self, text: str) -> ApiKey | None:
        """Return the key with this text if it is remembered; None means unknown. Never waits."""
        checked_at, key = self._known.get(_name_of(text), (0.0, None))
        return key if self._clock() - checked_at < self._seconds else None

    def is_familiar(self, text: str) -> bool:
        """Whether this text was a key when it was last checked, however long ago. Never waits."""
        return _name_of(text) in self._known

    def check(self, text: str) -> ApiKey | None:
        """Return the valid key with this text, or None. Queries the database."""
        name, began, revocations = _name_of(text), self._clock(), self._revocations
        key = check_key(self._engine, text)
        with self._lock:
            if key is None:
                self._known.pop(name, None)
                return None
            if revocations != self._revocations:  # it may have been revoked here during the query
                return key
            if len(self._known) > _FORGET_ABOVE:
                self._known.clear()
            self._known[name] = (began, key)
        return key

    def is_in_force(self, public_id: str) -> bool:
        """Whether a key is valid, as of half a second ago: all responses to it share one query."""
        checked_at, answer = self._in_force.get(public_id, (-_LOOK_SECONDS, False))
        began = self._clock()
        if began - checked_at >= _LOOK_SECONDS:
            answer = find_key_in_force(self._engine, public_id) is not None
            self._in_force[public_id] = (began, answer)
        return answer

    def forget(self, public_ids: Collection[str]) -> None:
        """Check these keys at their next request in any case, because they were revoked here."""
        with self._lock:
            self._revocations += 1
            self._known = {name: one for name, one in self._known.items() if one[1].public_id not in public_ids}


def _name_of(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()
