"""Connects to public addresses alone: a name is resolved once, each address judged, and the judged one connected to.

So a name that points inside the house, now or at its next resolution (DNS rebinding), leads nowhere.
"""

import ipaddress
import socket
from collections.abc import Iterable
from typing import Any

import httpcore

from scheduler.errors import SchedulerError

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


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
        hides_another = ip.ipv4_mapped or ip.sixtofour or ip.teredo or ip in _NAT64
        if hides_another:
            return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)
