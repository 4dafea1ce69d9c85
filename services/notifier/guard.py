"""Where webhooks may go: public addresses, and networks that the operator names.

The check stands in the connect step, so the address checked is the address dialed: a name that
changes its answer, or a redirect, cannot slip past.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

import httpcore2

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

URL_LENGTH_MAX = 2048
ADDRESSES_TRIED_MAX = 4
LOOKUPS_MAX = 2  # at once, for one endpoint

# An explicit list: ipaddress.is_global passes NAT64, 6to4, multicast and others.
DENIED: tuple[Network, ...] = tuple(
    ip_network(block)
    for block in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        "168.63.129.16/32",  # public by number, inside a cloud by use
        *("::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64"),
        *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16"),
        *("fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"),
    )
)


class AddressRefused(Exception):
    """Not public and not allowed; one text for every cause, so that nothing can be probed."""

    def __init__(self) -> None:
        super().__init__(
            "the endpoint's address is not public; [notifier] allow_networks can allow its network"
        )


def checked_url(url: object) -> str:
    """An endpoint's URL.  Raises ValueError; which addresses it leads to is checked at connect."""
    if not isinstance(url, str) or len(url) > URL_LENGTH_MAX:
        raise ValueError(f"a URL is text of at most {URL_LENGTH_MAX} characters")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("the URL must be printable ASCII: encode what is not")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise ValueError("the URL must begin with https:// or http://")
    if not parts.hostname or parts.hostname.endswith("."):
        raise ValueError("the URL needs a host name without a dot at its end")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise ValueError("the URL may carry neither user:password@ nor #fragment")
    _ = parts.port  # raises ValueError when out of range
    return url


def permitted(addresses: Iterable[str], allowed: Sequence[Network]) -> bool:
    """Whether a name with these addresses may be dialed: one bad address refuses all."""
    found = [_unwrapped(text) for text in addresses]
    return bool(found) and all(
        any(address in network for network in allowed)
        or not any(address in network for network in DENIED)
        for address in found
    )


def _unwrapped(text: str) -> Address:
    """An IPv4 address in IPv6 clothes counts as what it leads to."""
    address = ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


class Resolver:
    """Looks the names of one endpoint up, in threads of its own.

    A timeout ends the wait, not the thread that waits for a dead name server.  In asyncio's shared
    threads a few such lookups would hold up every endpoint.
    """

    def __init__(self, look_up: Callable[..., Sequence[Any]] = socket.getaddrinfo) -> None:
        self._look_up = look_up
        self._threads = ThreadPoolExecutor(LOOKUPS_MAX, thread_name_prefix="notifier name")

    async def addresses(self, host: str, port: int) -> list[str]:
        """Each address once, in the resolver's order.  Raises httpcore2.ConnectError."""
        try:
            answers = await asyncio.get_running_loop().run_in_executor(
                self._threads, self._look_up, host, port, socket.AF_UNSPEC, socket.SOCK_STREAM
            )
        except (OSError, UnicodeError) as error:
            raise httpcore2.ConnectError("the name cannot be resolved") from error
        return list(dict.fromkeys(str(answer[4][0]) for answer in answers))

    def close(self) -> None:
        """Begin no lookup any more; those on their way are not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Resolves, checks and dials in one step."""

    def __init__(self, allowed: Sequence[Network], resolver: Resolver) -> None:
        self._allowed = allowed
        self._resolver = resolver
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
                addresses = await self._resolver.addresses(host, port)
                if not permitted(addresses, self._allowed):
                    raise AddressRefused
                return await self._first_answering(addresses, port, socket_options)
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout(f"no connection within {timeout} s") from error

    async def _first_answering(
        self,
        addresses: Sequence[str],
        port: int,
        options: Iterable[httpcore2.SOCKET_OPTION] | None,
    ) -> httpcore2.AsyncNetworkStream:
        failure: httpcore2.ConnectError | None = None
        for address in addresses[:ADDRESSES_TRIED_MAX]:
            try:
                return await self._dial.connect_tcp(address, port, socket_options=options)
            except httpcore2.ConnectError as error:
                failure = error
        raise failure or httpcore2.ConnectError("the name has no address")
