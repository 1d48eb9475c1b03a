"""Limits the requests of a key, or of an address without one: a token bucket of one minute."""

import ipaddress
import math
import threading
import time
from collections.abc import Callable

from scheduler.api.problems import Problem

_FORGET_ABOVE = 10_000  # buckets
_NETWORK_BITS = 64  # an IPv6 customer gets so large a network: a new address for every request


class RateLimiter:
    """Counts per name, within this process."""

    def __init__(
        self, per_minute: int, clock: Callable[[], float] = time.monotonic, *, whose: str = "this key"
    ) -> None:
        self._per_second = per_minute / 60
        self._size = float(per_minute)
        self._clock = clock
        self._whose = whose
        self._buckets: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def take(self, name: str) -> None:
        """Take one request from the bucket. Raises `Problem` (429) when it is empty."""
        with self._lock:
            now = self._clock()
            level, updated_at = self._buckets.pop(name, (self._size, now))
            level = min(self._size, level + (now - updated_at) * self._per_second)
            if len(self._buckets) >= _FORGET_ABOVE:  # the one that was quiet for longest
                del self._buckets[next(iter(self._buckets))]
            is_allowed = level >= 1
            self._buckets[name] = (level - 1 if is_allowed else level, now)
        if not is_allowed:
            raise self._too_many(math.ceil((1 - level) / self._per_second))

    def give_back(self, name: str) -> None:
        """Put back what was taken for a request that does not count."""
        with self._lock:
            level, updated_at = self._buckets.get(name, (self._size, self._clock()))
            self._buckets[name] = (min(self._size, level + 1), updated_at)

    def _too_many(self, wait: int) -> Problem:
        detail = f"{self._whose} may make {self._size:g} requests a minute; try again in {wait} s"
        return Problem(429, "too-many-requests", detail, headers={"Retry-After": str(wait)})


def network_of(address: str) -> str:
    """Return what an address is counted under: itself, or the network of an IPv6 address.

    >>> [network_of(one) for one in ("192.0.2.7", "2001:db8::1:2:3:4", "nowhere")]
    ['192.0.2.7', '2001:db8::/64', 'nowhere']
    """
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if ip.version == 4:
        return str(ip)
    return str(ipaddress.ip_network((ip, _NETWORK_BITS), strict=False))
