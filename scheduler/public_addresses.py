"""Connects to public addresses alone: a name is resolved once, each address judged, and the judged one connected to.

So a name that points inside the house, now or at its next resolution (DNS rebinding), leads nowhere.
"""

import ipaddress
import socket
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
# All that is handed out lies in here: local, mapped, translated (NAT64) and multicast addresses do not.
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
        super().__init__(f"{host} is, or leads to, an address that is not public")


class PublicBackend(httpcore.SyncBackend):
    """Opens connections to public addresses alone, unless private ones are allowed."""

    def __init__(self, *, allows_private: bool) -> None:
        self._allows_private = allows_private

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the host. Raises `PrivateAddressError`, and httpcore's errors."""
        if self._allows_private:
            return super().connect_tcp(host, port, timeout, local_address, socket_options)
        address = find_public_address(host, port)
        return super().connect_tcp(address, port, timeout, local_address, socket_options)


def find_public_address(host: str, port: int) -> str:
    """Resolve a name and return its first address, if all are public. Raises `PrivateAddressError`, `ConnectError`."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpcore.ConnectError(f"the name {host} cannot be resolved") from error
    addresses = [str(one[4][0]) for one in found]
    if not addresses or not all(is_public(address) for address in addresses):
        raise PrivateAddressError(host)
    return addresses[0]


def is_public(address: str) -> bool:
    """Tell whether an IP address is reachable for everybody, and hides no other one in it.

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
