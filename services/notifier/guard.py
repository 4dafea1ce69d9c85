"""Where requests may go: public addresses over TLS, and all of the networks the operator names.

The check stands in the connect step, so the address checked is the address dialed: a name that
changes its answer, or a redirect, cannot slip past.  A connection is used for some minutes at most,
and the next one is checked anew.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from itertools import zip_longest
from typing import Any
from urllib.parse import urlsplit

import httpcore2
import structlog

from bus.clock import Clock

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

URL_LENGTH_MAX = 2048
ADDRESSES_TRIED_MAX = 8
ATTEMPT_SECONDS = 0.25  # until the next address is dialed beside those that have not answered
LOOKUPS_MAX = 256  # names looked up at once
CONNECTION_USE_SECONDS_MAX = 270.0  # five minutes with its last try
TLS_PORT = 443

LookUp = Callable[..., Sequence[Any]]

log = structlog.get_logger(__name__)

# An explicit list: ipaddress.is_global passes NAT64, 6to4, multicast and others.
DENIED: tuple[Network, ...] = tuple(
    ip_network(block)
    for block in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        "168.63.129.16/32",  # public by number, inside a cloud by use
        # All but 2000::/3, the only global unicast there is: what wraps IPv4, NAT64, discard,
        # segment routing, unique local, link-local, site-local, multicast.
        *("::/3", "4000::/2", "8000::/1"),
        *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
    )
)


class AddressRefused(Exception):
    """Not resolved, or not public and not allowed; one text for every cause, so that nobody can
    probe which names and addresses exist inside.
    """

    def __init__(self) -> None:
        super().__init__(
            "the endpoint's name cannot be resolved, or it is no public address over https at a "
            "usual port; [notifier] allow_networks and allow_ports say what else may be reached"
        )


@dataclass(frozen=True, slots=True)
class Egress:
    """The operator's word: all of `networks`, and `ports` of public addresses, those over TLS."""

    networks: Sequence[Network]
    ports: Collection[int] = (TLS_PORT,)

    def permits(self, addresses: Iterable[str], port: int, *, secure: bool) -> bool:
        """Whether a name with these addresses may be dialed: one bad address refuses all."""
        found = [_unwrapped(text) for text in addresses]
        public = secure and port in self.ports
        return bool(found) and all(
            any(address in network for network in self.networks)
            or (public and not any(address in network for network in DENIED))
            for address in found
        )

    def check(self, url: str) -> None:
        """Refuse what no name server could make right.  Raises AddressRefused."""
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        port = parts.port or (TLS_PORT if secure else 80)
        host = parts.hostname or ""
        if ":" in host or _NUMERIC.search(host):
            reachable = self.permits([host], port, secure=secure)
        else:
            reachable = bool(self.networks) or (secure and port in self.ports)
        if not reachable:
            raise AddressRefused


def checked_url(url: object) -> str:
    """An endpoint's URL.  Raises ValueError; which addresses it leads to is checked at connect.

    An address has its one usual form: parsers disagree about the others.
    """
    if not isinstance(url, str) or len(url) > URL_LENGTH_MAX:
        raise ValueError(f"a URL is text of at most {URL_LENGTH_MAX} characters")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("the URL must be printable ASCII: encode what is not")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise ValueError("the URL must begin with https:// or http://")
    host = parts.hostname or ""
    if "[" in parts.netloc or _NUMERIC.search(host):
        _check_literal(host)
    elif not _NAME.fullmatch(host):
        raise ValueError(
            "the URL needs a host name of letters, digits, hyphens and dots, without a dot at its "
            "end; others are written in their xn-- form"
        )
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise ValueError("the URL may carry neither user:password@ nor #fragment")
    _ = parts.port  # raises ValueError when out of range
    return url


_NAME = re.compile(r"(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_-]{1,63}")
# What ends in a number is an address to some parser: 127.1, 0x7f.1, 2130706433 (WHATWG URL, 4.3).
_NUMERIC = re.compile(r"(^|\.)([0-9]+|0x[0-9a-f]*)\.?$")


def _check_literal(host: str) -> None:
    address = ip_address(host)  # raises ValueError; for IPv4 it takes the dotted quad alone
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise ValueError("an address with a zone belongs to one machine")


def _unwrapped(text: str) -> Address:
    """An IPv4 address in IPv6 clothes counts as what it leads to."""
    address = ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


class Resolver:
    """Looks names up for the whole process, each lookup in a thread that ends with it.

    A timeout ends the wait, not the thread that waits for a dead name server; so each name has one
    lookup at a time, which all who ask for it share, and there is a thread for each of many names.
    In asyncio's few shared threads some dead names would hold up every endpoint; threads kept for
    each endpoint would be as many as there are endpoints.
    """

    def __init__(self, look_up: LookUp = socket.getaddrinfo) -> None:
        self._look_up = look_up
        self._lookups: dict[tuple[str, int], asyncio.Task[list[str]]] = {}
        self._free = asyncio.Semaphore(LOOKUPS_MAX)

    async def addresses(self, host: str, port: int) -> list[str]:
        """Each address once, in the resolver's order.  Raises httpcore2.ConnectError."""
        place = host, port
        lookup = self._lookups.get(place)
        if lookup is None:
            lookup = asyncio.create_task(self._looked_up(host, port), name=f"look up {host}")
            self._lookups[place] = lookup
            lookup.add_done_callback(partial(self._looked, place))
        try:
            await asyncio.wait({lookup})  # one who gives up does not end it for the others
            return lookup.result()
        except (OSError, UnicodeError) as error:
            raise httpcore2.ConnectError("the name cannot be resolved") from error

    def _looked(self, place: tuple[str, int], lookup: asyncio.Task[list[str]]) -> None:
        del self._lookups[place]
        if not lookup.cancelled():
            lookup.exception()  # whoever still waits hears of it; asyncio need not tell

    async def _looked_up(self, host: str, port: int) -> list[str]:
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[Sequence[Any]] = loop.create_future()

        def answer(found: Sequence[Any] | BaseException) -> None:
            if answered.done():
                return
            if isinstance(found, BaseException):
                answered.set_exception(found)
            else:
                answered.set_result(found)

        def ask() -> None:
            found: Sequence[Any] | BaseException
            try:
                found = self._look_up(host, port, socket.AF_UNSPEC, socket.SOCK_STREAM)
            except Exception as error:
                found = error
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(answer, found)

        async with self._free:
            # A daemon: the process does not wait for a dead name server when it ends.
            threading.Thread(target=ask, name=f"notifier name {host}", daemon=True).start()
            found = await answered
        return list(dict.fromkeys(str(one[4][0]) for one in found))


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Resolves, checks and dials in one step; `secure`: TLS is going to be spoken."""

    def __init__(self, egress: Egress, resolver: Resolver, clock: Clock, *, secure: bool) -> None:
        self._egress = egress
        self._resolver = resolver
        self._clock = clock
        self._secure = secure
        self._dial = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is httpcore2's
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Raises AddressRefused, httpcore2.ConnectError, httpcore2.ConnectTimeout."""
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._resolved(host, port)
                if not self._egress.permits(addresses, port, secure=self._secure):
                    raise AddressRefused
                stream = await self._first_answering(addresses, port, socket_options)
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout(f"no connection within {timeout} s") from error
        return AgingStream(stream, self._clock, self._clock.monotonic())

    async def _resolved(self, host: str, port: int) -> list[str]:
        """Raises AddressRefused for an unknown name too; only the log tells them apart."""
        try:
            return await self._resolver.addresses(host, port)
        except httpcore2.ConnectError as error:
            log.info("notifier.name_unresolved", host=host, error=str(error.__cause__))
            raise AddressRefused from None

    async def _first_answering(
        self,
        addresses: Sequence[str],
        port: int,
        options: Iterable[httpcore2.SOCKET_OPTION] | None,
    ) -> httpcore2.AsyncNetworkStream:
        """Dial one after the other, each `ATTEMPT_SECONDS` after the last, and take the first that
        answers (RFC 8305): an address that leads nowhere does not keep the others from being tried.
        """
        waiting = by_turns(addresses)[:ADDRESSES_TRIED_MAX]
        dialing: set[asyncio.Task[httpcore2.AsyncNetworkStream]] = set()
        failure: BaseException | None = None
        try:
            while waiting or dialing:
                if waiting:
                    dial = self._dial.connect_tcp(waiting.pop(0), port, socket_options=options)
                    dialing.add(asyncio.create_task(dial, name="notifier dial"))
                done, _ = await asyncio.wait(
                    dialing,
                    timeout=ATTEMPT_SECONDS if waiting else None,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                for task in done:
                    dialing.discard(task)
                    if (failure := task.exception()) is None:
                        return task.result()
        finally:
            await _hang_up(dialing)
        raise failure or httpcore2.ConnectError("the name has no address")


async def _hang_up(dialing: Iterable[asyncio.Task[httpcore2.AsyncNetworkStream]]) -> None:
    """Leave no attempt on its way, and no connection open that one of them made."""
    tasks = list(dialing)
    for task in tasks:
        task.cancel()
    for made in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(made, httpcore2.AsyncNetworkStream):
            await made.aclose()


def by_turns(addresses: Sequence[str]) -> list[str]:
    """IPv6 and IPv4 by turns, the first one's family first, each in its order (RFC 8305, 4)."""
    first: list[str] = []
    second: list[str] = []
    for address in addresses:
        same = (":" in address) == (":" in addresses[0])
        (first if same else second).append(address)
    pairs = zip_longest(first, second)
    return [address for pair in pairs for address in pair if address is not None]


class AgingStream(httpcore2.AsyncNetworkStream):
    """A connection that its pool closes, once idle, when it has been used long enough."""

    def __init__(
        self, stream: httpcore2.AsyncNetworkStream, clock: Clock, opened_at: float
    ) -> None:
        self._stream = stream
        self._clock = clock
        self._opened_at = opened_at

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        """As the stream does."""
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """As the stream does."""
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        """As the stream does."""
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore2.AsyncNetworkStream:
        """The same connection under TLS, as old as it is."""
        stream = await self._stream.start_tls(ssl_context, server_hostname, timeout)
        return AgingStream(stream, self._clock, self._opened_at)

    def get_extra_info(self, info: str) -> Any:
        """`is_readable` on an idle connection means to a pool that its time is over."""
        age_seconds = self._clock.monotonic() - self._opened_at
        if info == "is_readable" and age_seconds >= CONNECTION_USE_SECONDS_MAX:
            return True
        return self._stream.get_extra_info(info)
