"""Keys that were checked a moment ago: a client that asks often costs one look into the database a second, not each."""

import hashlib
import threading
import time
from collections.abc import Callable

from db.api_keys import ApiKey, check_key
from db.engine import Engine

_FORGET_ABOVE = 10_000  # keys


class RecentKeys:
    """Checks keys, and remembers for `seconds` those that were right; 0 = look at each request.

    A key that another process revokes, or that expires, is refused within that time. What is held is a hash of the
    key's text, never the text.
    """

    def __init__(self, engine: Engine, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._seconds = seconds
        self._clock = clock
        self._known: dict[bytes, tuple[float, ApiKey]] = {}
        self._lock = threading.Lock()

    def recall(self, text: str) -> ApiKey | None:
        """Return the key that this text is where that is remembered; None says nothing. Never waits."""
        checked_at, key = self._known.get(_name_of(text), (0.0, None))
        return key if self._clock() - checked_at < self._seconds else None

    def is_familiar(self, text: str) -> bool:
        """Whether this text was a key when it was last checked, however long ago. Never waits."""
        return _name_of(text) in self._known

    def check(self, text: str) -> ApiKey | None:
        """Return the key that this text is, None where it is none, or one that has ended. Asks the database."""
        name, began = _name_of(text), self._clock()
        key = check_key(self._engine, text)
        with self._lock:
            if key is None:
                self._known.pop(name, None)
                return None
            if len(self._known) > _FORGET_ABOVE:
                self._known.clear()
            self._known[name] = (began, key)
        return key

    def forget(self, public_id: str) -> None:
        """Look at this key's next request in any case: it was revoked here."""
        with self._lock:
            self._known = {name: one for name, one in self._known.items() if one[1].public_id != public_id}


def _name_of(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()
