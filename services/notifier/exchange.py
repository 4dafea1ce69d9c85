"""JSON asked of one system, over the guarded transport: what every target stands on.

A request ends within its total time; its answer is read whole, up to a cap, or not at all; nothing
is unpacked, no redirect is followed.  What fails before the first byte of a request has left is
told apart from what fails afterwards: the former alone has certainly changed nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import httpx2
import msgspec

from services.notifier.channel import Surroundings
from services.notifier.guard import AddressRefused
from services.notifier.replies import Reply
from services.notifier.retries import retry_after_seconds
from services.notifier.target import Outcome, Unread
from services.notifier.transport import USER_AGENT, GuardedTransport, timeouts

ANSWER_BYTES_MAX = 4 * 1024 * 1024
PAGES_MAX = 20
DETAIL_LENGTH_MAX = 500  # characters
# Longer, and more servers have closed a connection before it is used again; a call that nobody
# answers costs a quarter of an hour.
IDLE_CONNECTION_SECONDS = 5.0
HEADERS = {
    "accept": "application/json",
    "accept-encoding": "identity",
    "content-type": "application/json",
    "user-agent": USER_AGENT,
}
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """Some records of a list; `after`: what the next ones are asked for by, None at its end."""

    records: Sequence[R]
    after: str | None


class Exchange:
    """One account's requests, all to `base_url`, all with the same `headers`.

    `secret` is what those carry; it is in no text that comes from here.
    """

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        secret: str,
        surroundings: Surroundings,
        total_seconds: float,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._headers = {**HEADERS, **headers}
        self._secret = secret
        self._clock = surroundings.clock
        self._total_seconds = total_seconds
        self._timeout = timeouts(total_seconds, surroundings)
        self._transport = GuardedTransport(
            base_url, surroundings, idle_seconds=IDLE_CONNECTION_SECONDS
        )

    async def send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Reply:
        """Ask once.  Raises Unread: `unsent` when no byte of it has left, else `unknown`."""
        left = False

        async def seen(moment: str, _: Mapping[str, Any]) -> None:
            nonlocal left
            left = left or moment.endswith("send_request_headers.started")

        try:
            async with asyncio.timeout(self._total_seconds):
                return await self._asked(method, path, body, seen)
        except AddressRefused as refused:
            failure = str(refused)
        except (TimeoutError, httpx2.TimeoutException) as error:
            failure = f"no whole answer within {self._total_seconds:g} s ({type(error).__name__})"
        except _Unusable as error:
            failure = str(error)
        except Exception as error:
            # Whatever a system manages to break is told of this request, and harms no other.
            failure = f"{type(error).__name__}: {error}"
        # Outside of the handlers: a cause could show what was sent, such as the secret.
        raise self.unread(failure, "unknown" if left else "unsent")

    async def close(self) -> None:
        """Close its connections; nothing is sent afterwards."""
        await self._transport.aclose()

    def told(self, text: str) -> str:
        """A text that may hold another's words, for people: one short line without the secret."""
        words = text.replace(self._secret, "***") if self._secret else text
        words = words[: 4 * DETAIL_LENGTH_MAX]
        plain = "".join(one if one.isprintable() else " " for one in words)
        return " ".join(plain.split())[:DETAIL_LENGTH_MAX]

    def unread(
        self, text: str, outcome: Outcome = "unknown", wait_seconds: float | None = None
    ) -> Unread:
        """The exception, with a text that may hold another's words."""
        return Unread(self.told(text), outcome, wait_seconds)

    async def _asked(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        seen: Callable[[str, Mapping[str, Any]], Awaitable[None]],
    ) -> Reply:
        request = httpx2.Request(
            method,
            self._base_url + path,
            content=None if body is None else msgspec.json.encode(body),
            headers=self._headers,
            extensions={"timeout": self._timeout, "trace": seen},
        )
        response = await self._transport.handle_async_request(request)
        try:
            answer = await _whole(response)
        finally:
            await response.aclose()
        told = retry_after_seconds(response.headers.get("retry-after"), self._clock.now())
        return Reply(response.status_code, response.headers, answer, told)


async def all_pages(read: Callable[[str | None], Awaitable[Page[R]]]) -> list[R]:
    """Every record of a list, from `read(None)` on.

    Raises Unread, also for a list without end or one that comes back to where it was.
    """
    records: list[R] = []
    been: set[str] = set()
    after: str | None = None
    for _ in range(PAGES_MAX):
        page = await read(after)
        records += page.records
        after = page.after
        if after is None:
            return records
        if after in been:
            raise Unread("the list comes back to a place where it was; it is not believed")
        been.add(after)
    raise Unread(f"the list has more than {PAGES_MAX} pages", "refused")


class _Unusable(Exception):
    """An answer that is not read; the text says why."""


async def _whole(response: httpx2.Response) -> bytes:
    """Raw, so that nothing packed can swell."""
    packing = response.headers.get("content-encoding", "identity")
    if packing.lower() != "identity":
        raise _Unusable(f"the answer came packed ({packing}), which was not asked for")
    body = bytearray()
    async for part in response.aiter_raw():
        body += part
        if len(body) > ANSWER_BYTES_MAX:
            raise _Unusable(f"the answer has more than {ANSWER_BYTES_MAX} bytes")
    return bytes(body)
