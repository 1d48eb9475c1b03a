"""Connects within a deadline, and only to public addresses: resolves a name once and checks each address.

So a name that points inside the own network, now or at its next resolution (DNS rebinding), leads nowhere.
"""

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterable
from typing import Any

import httpcore

from scheduler.errors import SchedulerError

# IANA's registries of special-purpose addresses, kept here: what `ipaddress` calls global differs between Pythons.
_NOT_PUBLIC_V4 = tuple(
    ipaddress.IPv4Network(block)
    for block in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # behind a provider's NAT
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local, the metadata of clouds
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation, as are 198.51.100.0/24 and 203.0.113.0/24
        "192.88.99.0/24",  # 6to4 relays, withdrawn
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
# Every assigned public address is in here; local, mapped, translated (NAT64) and multicast addresses are not.
_PUBLIC_V6 = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC_V6 = tuple(
    ipaddress.IPv6Network(block)
    for block in (
        "2001::/23",  # protocol assignments; 2001::/32 is Teredo, which hides an IPv4 address
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which hides an IPv4 address
        "3fff::/20",  # documentation
    )
)


class PrivateAddressError(SchedulerError):
    """A name or an address lies inside a private network."""

    def __init__(self, host: str) -> None:
        self.host = host
        super().__init__(f"{host} is, or resolves to, an address that is not public")


class Deadline:
    """When something must be over, all of its steps together."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds that are left. Raises httpcore's `TimeoutException`."""
        left = self._ends - time.monotonic()
        if left <= 0:
            raise httpcore.TimeoutException("the deadline is over")
        return left


class DeadlineStream(httpcore.NetworkStream):
    """A connection whose steps share one deadline."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - the deadline counts
        """Read within the deadline."""
        return self._stream.read(max_bytes, self._deadline.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        """Write within the deadline."""
        self._stream.write(buffer, self._deadline.left())

    def close(self) -> None:
        """Close it."""
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        """Start TLS within the deadline."""
        left = self._deadline.left()
        return DeadlineStream(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        """Return what is known of the connection."""
        return self._stream.get_extra_info(info)


class PublicBackend(httpcore.SyncBackend):
    """Opens connections within a deadline, to public addresses alone, unless private ones are allowed."""

    def __init__(self, deadline: Deadline, *, allows_private: bool) -> None:
        self._deadline = deadline
        self._allows_private = allows_private

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - the deadline counts
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address of the host that accepts. Raises `PrivateAddressError`, httpcore's errors."""
        addresses = resolve(host, port, self._deadline)
        if not self._allows_private and not all(is_public(address) for address in addresses):
            raise PrivateAddressError(host)
        refused: Exception = httpcore.ConnectError(f"the name {host} has no address")
        for at, address in enumerate(addresses):
            try:
                left = self._deadline.left() / (len(addresses) - at)
                return DeadlineStream(
                    super().connect_tcp(address, port, left, local_address, socket_options), self._deadline
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                refused = error
        raise refused


def resolve(host: str, port: int, deadline: Deadline) -> list[str]:
    """Return the addresses of a name, without waiting for its name servers for longer than the deadline."""
    found: list[list[str]] = []

    def ask() -> None:
        try:
            known = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            known = []
        found.append(list(dict.fromkeys(str(one[4][0]) for one in known)))

    asking = threading.Thread(target=ask, name="resolving", daemon=True)  # the system's call cannot be ended
    asking.start()
    asking.join(deadline.left())
    if not found:
        raise httpcore.ConnectTimeout(f"the name {host} was not resolved in time")
    if not found[0]:
        raise httpcore.ConnectError(f"the name {host} cannot be resolved")
    return found[0]


def is_address(host: str) -> bool:
    """Return whether a host is an address, in any form accepted for connecting, and not a name.

    >>> [is_address(one) for one in ("10.0.0.1", "127.1", "0x7f000001", "2130706433", "::1", "receiver.example")]
    [True, True, True, True, True, False]
    """
    try:
        socket.inet_aton(host)
    except (OSError, ValueError):
        return ":" in host
    return True


def is_public(address: str) -> bool:
    """Return whether an IP address is public, and contains no other address.

    >>> [is_public(one) for one in ("8.8.8.8", "10.0.0.1", "127.0.0.1", "169.254.169.254", "::ffff:10.0.0.1", "::1")]
    [True, False, False, False, False, False]
    """
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        return ip in _PUBLIC_V6 and not any(ip in block for block in _NOT_PUBLIC_V6)
    return not any(ip in block for block in _NOT_PUBLIC_V4)
