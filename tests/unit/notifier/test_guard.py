"""Where webhooks may go."""

from __future__ import annotations

import asyncio
import socket
import threading
from ipaddress import ip_network
from typing import Any

import httpcore2
import httpx2
import pytest

from bus.clock import SystemClock
from services.notifier.channel import Surroundings
from services.notifier.guard import (
    AddressRefused,
    Egress,
    GuardedBackend,
    Resolver,
    by_turns,
    checked_url,
)
from services.notifier.transport import GuardedTransport

PUBLIC = Egress(())


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.9.9.9", "169.254.169.254"),
        *("172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.1.1"),
        *("198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "255.255.255.255"),
        *("168.63.129.16", "::", "::1", "::127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1"),
        *("64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1"),
        *("::ffff:0:7f00:1", "4000::1", "8000::1", "5f00::1", "fc00::1", "fd12::1"),
        *("fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1"),
    ],
)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    """Private, loopback, link-local, shared, documentation, multicast, and what wraps them."""
    assert not PUBLIC.permits([address], 443, secure=True)


@pytest.mark.parametrize("address", ["8.8.8.8", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_a_public_address_is_permitted(address: str) -> None:
    """The neighbors of the blocks, and public IPv6; a wrapped public address counts as itself."""
    assert PUBLIC.permits([address], 443, secure=True)


def test_one_bad_address_among_the_answers_refuses_all() -> None:
    """A name with a public and a private address could be dialed either way."""
    assert not PUBLIC.permits(["8.8.8.8", "10.0.0.1"], 443, secure=True)
    assert not PUBLIC.permits([], 443, secure=True)


def test_a_named_network_is_permitted_and_nothing_beside_it() -> None:
    """allow_networks opens what it names, in IPv6 clothes too."""
    egress = Egress([ip_network("127.0.0.0/8")])

    assert egress.permits(["127.0.0.1", "::ffff:127.0.0.1", "8.8.8.8"], 443, secure=True)
    assert egress.permits(["127.0.0.1"], 8080, secure=False)
    assert not egress.permits(["10.0.0.1"], 443, secure=True)


@pytest.mark.parametrize(
    ("port", "secure", "permitted"),
    [(443, True, True), (8443, True, True), (22, True, False), (443, False, False)],
)
def test_a_public_address_is_reached_over_tls_at_the_ports_named(
    port: int, secure: bool, permitted: bool
) -> None:
    """Nothing readable goes over the open net, and no mail server is spoken to."""
    assert Egress((), (443, 8443)).permits(["8.8.8.8"], port, secure=secure) == permitted


@pytest.mark.parametrize(
    "url",
    [
        *("http://erp.example/", "https://erp.example:8443/", "https://127.0.0.1/"),
        *("https://[::1]/", "https://[fd00::1]:443/", "http://8.8.8.8/", "https://8.8.8.8:22/"),
    ],
)
def test_what_could_never_be_reached_is_refused_at_once(url: str) -> None:
    """Not only when the first event is due."""
    with pytest.raises(AddressRefused):
        PUBLIC.check(url)


@pytest.mark.parametrize("url", ["https://erp.example/", "https://8.8.8.8/", "https://[2606::1]/"])
def test_what_may_be_reached_is_taken(url: str) -> None:
    """A name's addresses are only known when it is dialed."""
    PUBLIC.check(url)


def test_with_a_network_allowed_any_name_may_lead_there() -> None:
    """Plain http and any port are for the operator's own networks."""
    egress = Egress([ip_network("10.0.0.0/8")])

    for url in ("http://erp.internal:8080/", "http://10.1.2.3:8080/"):
        egress.check(url)
    with pytest.raises(AddressRefused):
        egress.check("http://127.0.0.1/")


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://example.com/", "file:///etc/passwd", "//example.com/x", "https://", "https:///x"),
        *("https://user:word@example.com/", "https://example.com/#part", "https://example.com./"),
        *("https://example.com:99999/", "https://exa mple.com/", "https://exämple.com/"),
        *("https://example.com/\r\nx: y", "https://example.com/" + "a" * 3000),
        *("https://127.1/", "https://0x7f000001/", "https://2130706433/", "https://0177.0.0.1/"),
        *(
            "https://127.0.0.1.2/",
            "https://127.0.0.0x1/",
            "https://1.2.3.4./",
            "https://127.00.0.1",
        ),
        *("https://[fe80::1%25eth0]/", "https://[::1/", "https://[v1.a]/", "https://[::g]/"),
        *(
            "https://%31%32%37.0.0.1/",
            "https://a%00.example/",
            "https://good.example\\@evil.example/",
        ),
        *("https://good.example\\.evil.example/", "https://-a.example/", "https://a..example/"),
        *("https://a_b!.example/", "https://" + "a" * 64 + ".example/", "https://" + "a." * 130),
    ],
)
def test_a_url_no_webhook_should_have_is_refused(url: str) -> None:
    """Only http and https, a plain host, no credentials, no fragment, bounded."""
    with pytest.raises(ValueError, match=r"."):
        checked_url(url)


def test_a_plain_url_is_taken_as_it_is() -> None:
    """Port, path and query are the subscriber's own affair."""
    for url in (
        *("https://erp.example:8443/hooks?a=1", "https://xn--exmple-cua.com/", "http://127.0.0.1/"),
        *("https://[2606:4700::1111]:443/", "https://a_b.example/~x/%20", "https://ERP.Example/"),
        "https://localhost/",
    ):
        assert checked_url(url) == url


class SlowNames:
    """A resolver of the system for which the name server of `dead.example` does not answer."""

    def __init__(self) -> None:
        self.asked, self.answered = 0, threading.Event()

    def __call__(self, host: str, *rest: Any) -> list[Any]:
        if host == "dead.example":
            self.asked += 1
            self.answered.wait(30)
            raise socket.gaierror("no answer")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8", 443))]


async def test_a_dead_name_server_holds_up_its_own_name_alone() -> None:
    """All who ask for that name share one lookup, and other names are resolved meanwhile."""
    names = SlowNames()
    resolver = Resolver(names)
    lookups = [asyncio.create_task(resolver.addresses("dead.example", 443)) for _ in range(20)]
    try:
        async with asyncio.timeout(5):
            assert await resolver.addresses("well.example", 443) == ["8.8.8.8"]
        lookups[0].cancel()
        assert names.asked == 1
    finally:
        names.answered.set()
    gave_up, *failed = await asyncio.gather(*lookups, return_exceptions=True)

    assert isinstance(gave_up, asyncio.CancelledError)
    assert {type(error) for error in failed} == {httpcore2.ConnectError}


async def test_no_thread_is_left_by_any_number_of_channels() -> None:
    """Each has looked its name up and stays open."""

    def nobody(*_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 443))]

    surroundings = Surroundings(SystemClock(), (), 1, 1, connections_max=1, look_up=nobody)
    for number in range(300):
        url = f"https://{number}.example/"
        channel = GuardedTransport(url, surroundings, idle_seconds=60)
        with pytest.raises(AddressRefused):
            await channel.handle_async_request(httpx2.Request("GET", url))
    lookups = [one for one in threading.enumerate() if one.name.startswith("notifier name")]
    for thread in lookups:
        thread.join(1)

    assert [thread for thread in lookups if thread.is_alive()] == []


@pytest.mark.parametrize("port_open", [True, False])
async def test_an_address_that_leads_nowhere_does_not_keep_the_others_from_being_tried(
    port_open: bool,
) -> None:
    """The first address takes no connection and refuses none; or it refuses at once."""
    with socket.socket() as nowhere, socket.socket() as other:
        nowhere.bind(("127.0.0.2", 0))
        port = nowhere.getsockname()[1]
        if port_open:
            nowhere.listen(0)
            _fill(("127.0.0.2", port))
        other.bind(("127.0.0.1", port))
        other.listen()

        def two(*_: Any) -> list[Any]:
            found = ("127.0.0.2", "127.0.0.1")
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in found]

        egress = Egress([ip_network("127.0.0.0/8")])
        backend = GuardedBackend(egress, Resolver(two), SystemClock(), secure=False)
        stream = await backend.connect_tcp("erp.example", port, timeout=10)

        assert stream.get_extra_info("server_addr")[0] == "127.0.0.1"
        await stream.aclose()


async def test_when_no_address_answers_the_reason_is_told() -> None:
    """The last refusal; and nothing is dialed where there is no address."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        port = taken.getsockname()[1]

        def found(*_: Any) -> list[Any]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

        egress = Egress([ip_network("127.0.0.0/8")])
        backend = GuardedBackend(egress, Resolver(found), SystemClock(), secure=False)
        with pytest.raises(httpcore2.ConnectError):
            await backend.connect_tcp("erp.example", port, timeout=10)


@pytest.mark.parametrize(
    ("found", "dialed"),
    [
        (["::1", "::2", "::3", "1.1.1.1", "2.2.2.2"], ["::1", "1.1.1.1", "::2", "2.2.2.2", "::3"]),
        (["1.1.1.1", "2.2.2.2", "::1"], ["1.1.1.1", "::1", "2.2.2.2"]),
        (["1.1.1.1"], ["1.1.1.1"]),
        ([], []),
    ],
)
def test_addresses_of_both_families_take_turns(found: list[str], dialed: list[str]) -> None:
    """So a network without one of them costs one attempt, not all."""
    assert by_turns(found) == dialed


def _fill(address: tuple[str, int]) -> None:
    """Leave the listener no room: what comes next is neither taken nor refused."""
    for _ in range(4):
        waiting = socket.socket()
        waiting.setblocking(False)
        waiting.connect_ex(address)
        _FILLING.append(waiting)


_FILLING: list[socket.socket] = []
