"""Acme Parcels: orders with their parcels, one token for each account.

`head` polls by updated_at; `settle` reads the same deeper, for rows that became visible late;
`backfill` reads history once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urljoin

import msgspec
from pydantic import Field

from schemas.cursor import Cursor
from schemas.message import digest, parse_instant
from services.poller import source as contract
from services.poller.bodies import NOT_JSON, Pages, legible, unreadable
from services.poller.keyset import Listed, Row, begun, paged, resumed
from services.poller.pages import now_at
from services.poller.source import Facts, Found, Page, Rejected, Request, Response, Stream, Sweep

RATE = contract.Rate(per_second=20, burst=20)


class Settings(contract.AccountSettings):
    """The keys of an Acme Parcels account."""

    base_url: str = Field("https://api.acme.example/v1", pattern=r"^https?://[^/?#@]+[^?#]*$")
    token: contract.Secret = Field(description="env:NAME or file:PATH")


def streams(settings: Settings) -> Sequence[Stream]:
    """The streams of an account; history only where `start_from` asks for it."""
    lookback = timedelta(seconds=settings.lookback_seconds)
    horizon = timedelta(hours=settings.settle_horizon_hours)
    poll_seconds, settle_seconds = settings.poll_interval_seconds, settings.settle_interval_seconds
    head = Listing(settings, "head", contract.HEAD_WEIGHT, poll_seconds, lookback)
    settle = Listing(settings, "settle", contract.SETTLE_WEIGHT, settle_seconds, horizon)
    backfill = Listing(settings, "backfill", contract.BACKFILL_WEIGHT, 0, timedelta())
    return [head, settle] if settings.start_from is None else [head, settle, backfill]


@dataclass(frozen=True)
class Listing:
    """A pass over `GET /orders` from a cursor - `depth`, oldest update first, by keyset."""

    settings: Settings
    name: str
    weight: int
    interval_seconds: float
    depth: timedelta

    @property
    def facts(self) -> Facts:
        """See source.Facts."""
        once = self.name == "backfill"
        meaning = digest([self.settings.base_url, self.settings.start_from if once else None])
        place = (self.name, "orders", self.weight, self.interval_seconds, meaning)
        return Facts(*place, rewinds=not once)

    def begin(self, cursor: Cursor, now: datetime, ids: Sequence[str]) -> Sweep:
        """From the cursor, or where an unfinished pass stood; history up to the connection."""
        if cursor.sweep is not None:
            return resumed(cursor.sweep)
        start_from = self.settings.start_from
        if self.name == "backfill" and start_from is not None:
            return begun(since=start_from, now=now, until=cursor.connected_at)
        position = parse_instant(cursor.position) if cursor.position else cursor.connected_at
        overlap = timedelta(seconds=self.settings.lookback_seconds)
        earliest = start_from or cursor.connected_at - overlap
        return begun(since=max(position - self.depth, earliest), now=now, until=now)

    def request(self, sweep: Sweep, limit: int) -> Request:
        """By keyset; by the upstream's own link only while one instant fills a page."""
        headers = {"X-Acme-Token": self.settings.token.get_secret_value()}
        if sweep["next"]:
            return Request(sweep["next"], headers=headers)
        params = {"updated_since": sweep["since"], "limit": str(limit)}
        return Request(f"{self.settings.base_url}/orders", params, headers)

    def read(self, sweep: Sweep, response: Response) -> Page:
        """The rows not read before at their instant, and how the pass goes on."""
        envelope, bodies = _PAGES.read(response)
        read = [_read(body) for body in bodies]
        rows = [one for one in read if isinstance(one, Row)]
        rejected = [one for one in read if isinstance(one, Rejected)]
        base_url = self.settings.base_url
        link = contract.pinned(urljoin(base_url, envelope.next), base_url) if envelope.next else ""
        listed = Listed(rows, rejected, bool(link), link, asked=response.limit)
        return paged(sweep, listed, now=now_at(response), once=self.name == "backfill")


class _Envelope(msgspec.Struct):
    orders: list[msgspec.Raw] | None
    next: str | None = None


_DECODE = msgspec.json.Decoder(_Envelope).decode
_PAGES = Pages("orders", "orders", _DECODE, lambda page: page.orders, lambda page: bool(page.next))


class _Order(msgspec.Struct):
    id: int
    updated_at: str


def _read(body: bytes) -> Row | Rejected:
    try:
        order, _ = legible(msgspec.json.Decoder(_Order).decode, body)
        updated_at = parse_instant(order.updated_at)
    except (*NOT_JSON, ValueError) as error:
        return unreadable(body, error, "id")
    return Row(Found(str(order.id), body, updated_at), order.updated_at, updated_at)
