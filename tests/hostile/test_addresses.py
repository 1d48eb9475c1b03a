"""Webhooks lead to public addresses alone, by a table that is the same on every Python."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpcore
import pytest

from scheduler.loop import public_addresses
from scheduler.loop.public_addresses import Deadline, PrivateAddressError, PublicBackend, is_public

HIDDEN = [
    "0.0.0.0", "0.1.2.3", "10.255.255.255", "100.64.0.1", "100.127.255.254", "127.0.0.1", "127.255.255.254",
    "169.254.169.254", "172.16.0.1", "172.31.255.254", "192.0.0.8", "192.0.0.170", "192.0.2.1", "192.88.99.1",
    "192.168.1.1", "198.18.0.1", "198.19.255.254", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.250",
    "240.0.0.1", "255.255.255.255",
    "::", "::1", "::10.0.0.1", "::8.8.8.8", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "::ffff:0:10.0.0.1",
    "64:ff9b::10.0.0.1", "64:ff9b::808:808", "64:ff9b:1::a00:1", "100::1", "100:0:0:1::1",
    "2001::1", "2001:0:a00:1::1", "2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1", "2002:a00:1::1",
    "2002:c0a8:101::1", "3fff::1", "3fff:fff::1", "5f00::1", "fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%eth0",
    "febf::1", "fec0::1", "feff::1", "ff02::1", "ff0e::1", "fe00::1", "4000::1", "8000::1",
    "", "localhost", "1.2.3", "01.2.3.4", "8.8.8.8 ", "2130706433", "0x7f000001",
]  # fmt: skip
PUBLIC = [
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.1", "100.63.255.255", "100.128.0.1", "126.255.255.255", "128.0.0.1",
    "169.253.255.255", "172.15.255.255", "172.32.0.1", "192.0.1.1", "192.167.255.255", "198.17.255.255", "198.20.0.1",
    "223.255.255.254", "2001:200::1", "2001:4860:4860::8888", "2606:4700:4700::1111", "2a00:1450::1", "3ffe::1",
]  # fmt: skip


@pytest.mark.parametrize("address", HIDDEN)
def test_an_address_that_is_not_for_everybody_or_hides_another_is_refused(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_just_beside_them_is_taken(address: str) -> None:
    assert is_public(address)


@contextmanager
def resolving(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> Iterator[list[str]]:
    """Let names resolve to these addresses, one list after the other; yield what was asked."""
    waiting, asked = list(answers), list[str]()

    def resolve(host: str, port: int, **_named: object) -> list[object]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in waiting.pop(0)]

    with monkeypatch.context() as patch:
        patch.setattr(public_addresses.socket, "getaddrinfo", resolve)
        yield asked


def test_one_address_inside_among_public_ones_is_enough_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    with resolving(monkeypatch, ["8.8.8.8", "fec0::1"]), pytest.raises(PrivateAddressError):
        PublicBackend(Deadline(5), allows_private=False).connect_tcp("receiver.example", 443)


def test_the_address_that_was_judged_is_the_one_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def connect(_self: object, host: str, *_given: object) -> None:
        tried.append(host)
        raise httpcore.ConnectError("far enough")

    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", connect)
    with resolving(monkeypatch, ["8.8.8.8"], ["127.0.0.1"]) as asked, pytest.raises(httpcore.ConnectError):
        PublicBackend(Deadline(5), allows_private=False).connect_tcp("rebinding.example", 443)
    assert (asked, tried) == (["rebinding.example"], ["8.8.8.8"])


def test_spellings_of_the_own_machine_that_the_system_understands_are_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        reached = threading.Event()

        def take_one() -> None:
            listener.accept()[0].close()
            reached.set()

        taking = threading.Thread(target=take_one)
        taking.start()
        for spelling in ("127.1", "0x7f.0.0.1", "2130706433", "localhost"):
            with pytest.raises((PrivateAddressError, httpcore.ConnectError)):
                PublicBackend(Deadline(5), allows_private=False).connect_tcp(spelling, port, timeout=5)
        assert not reached.is_set()
        socket.create_connection(("127.0.0.1", port)).close()  # the way was open all the time
        taking.join(20)
        assert reached.is_set()
