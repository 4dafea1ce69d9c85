"""Shoplazza OpenAPI: the fulfillments of a shop's orders, one access token for each shop.

No list shows fulfillments.  `head` finds the orders that were touched, `settle` the same deeper,
`backfill` those of history; `touched` and `history` read the fulfillments of each order found.
An edit of a fulfillment need not touch its order, so `watch` reads those of young ones again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import quote

import msgspec
from pydantic import Field, model_validator

from schemas.cursor import Cursor
from schemas.message import digest, iso, parse_instant
from services.poller.bodies import Pages, identified
from services.poller.pages import goes_on, version_of
from services.poller.progress import NOT_TURNED, turned
from services.poller.source import (
    BACKFILL_WEIGHT,
    HEAD_WEIGHT,
    SETTLE_WEIGHT,
    WATCH_WEIGHT,
    Due,
    Facts,
    Found,
    Page,
    Parent,
    Rate,
    Refused,
    Rejected,
    Request,
    Response,
    Secret,
    Stream,
    Sweep,
    Unreadable,
)
from services.poller.watching import WatchedSettings
from services.poller.window import after_page, begun, page_of, resumed

RATE = Rate(per_second=2, burst=38)  # for each app and store; 40, but answers may bunch up
RESOURCE = "fulfillments"
PARENTS = "orders"
PAGE_SIZE = 250  # seed: "Maximum number of fulfillments returned per page (maximum: 250)."
CALLED_OFF = frozenset({"cancelled", "canceled"})


class Settings(WatchedSettings):
    """The keys of a Shoplazza account: one shop."""

    shop: str = Field(pattern=r"^[A-Za-z0-9-]+$", description="as in SHOP.myshoplaza.com")
    base_url: str = Field(
        "",
        pattern=r"^(https?://[^/?#@]+[^?#]*)?$",
        description="up to the version; empty: https://SHOP.myshoplaza.com/openapi",
    )
    token: Secret = Field(description="the access token: env:NAME or file:PATH")
    api_version: str = Field("2022-01", pattern=r"^\d{4}-\d{2}$")

    @model_validator(mode="before")
    @classmethod
    def _at_home(cls, keys: Any) -> Any:
        home = f"https://{keys.get('shop')}.myshoplaza.com/openapi"
        return {**keys, "base_url": keys.get("base_url") or home}

    def request(self, path: str, params: dict[str, str]) -> Request:
        """A GET below base_url and the version; the token has a header of its own."""
        url = f"{self.base_url.rstrip('/')}/{self.api_version}{path}"
        headers = {"access-token": self.token.get_secret_value(), "Accept": "application/json"}
        return Request(url, params, headers)


def streams(settings: Settings) -> Sequence[Stream]:
    """The streams of an account; without `watch_days` no order is read again by itself."""
    lookback = timedelta(seconds=settings.lookback_seconds)
    horizon = timedelta(hours=settings.settle_horizon_hours)
    found: list[Stream] = [
        Listing(settings, "head", HEAD_WEIGHT, settings.poll_interval_seconds, lookback),
        Listing(settings, "settle", SETTLE_WEIGHT, settings.settle_interval_seconds, horizon),
        Reading(settings, "touched", HEAD_WEIGHT),
        Reading(settings, "history", BACKFILL_WEIGHT),
    ]
    if settings.watch_days:
        found.append(Reading(settings, "watch", WATCH_WEIGHT))
    if settings.start_from is not None:
        found.append(Backfill(settings, "backfill", BACKFILL_WEIGHT, 0, timedelta()))
    return found


def by_id(settings: Settings, resource: str) -> Stream | None:
    """A fulfillment is read with all of its order."""
    return Reading(settings, "refresh", WATCH_WEIGHT) if resource == RESOURCE else None


def meaning(response: Response) -> int:
    """The status an answer should have had: what concerns the whole shop is no order's fault."""
    if response.status not in (400, 403, 404, 422, 423):
        return response.status
    said = response.body.lower()  # in `errors`, in `error`, or bare
    if b"unauthorized" in said or b"not active" in said:
        return 401
    return 503 if response.status == 423 else response.status  # locked for a moment


@dataclass(frozen=True)
class Listing:
    """A pass over `GET /orders` from a cursor - `depth`, by windows of updated_at."""

    once: ClassVar[bool] = False
    feeds: ClassVar[str] = "touched"

    settings: Settings
    name: str
    weight: int
    interval_seconds: float
    depth: timedelta

    @property
    def facts(self) -> Facts:
        """See source.Facts."""
        settings = self.settings
        return Facts(
            self.name,
            RESOURCE,
            self.weight,
            self.interval_seconds,
            digest([settings.base_url, settings.shop, settings.start_from if self.once else None]),
            PAGE_SIZE,
            interval_seconds_max=settings.poll_interval_seconds_max,
            parents=PARENTS,
            feeds=self.feeds,
            rewinds=not self.once,
            meaning=meaning,
        )

    def begin(self, cursor: Cursor, now: datetime, ids: Sequence[str]) -> Sweep:
        """From the cursor up to now, or where an unfinished pass stood."""
        if cursor.sweep is not None:
            return resumed(cursor.sweep)
        position = parse_instant(cursor.position) if cursor.position else cursor.connected_at
        overlap = timedelta(seconds=self.settings.lookback_seconds)
        earliest = self.settings.start_from or cursor.connected_at - overlap
        return begun(since=max(position - self.depth, earliest), until=now)

    def request(self, sweep: Sweep, limit: int) -> Request:
        """A page of the present window."""
        return self.settings.request("/orders", {"limit": str(limit), **page_of(sweep)})

    def read(self, sweep: Sweep, response: Response) -> Page:
        """The orders of a page; a complete pass leaves its end, which the next one reads again."""
        count = 0 if sweep.get("probed") else sweep["count"]
        bodies, total = _records(response, PARENTS, count)
        read = [_order(body, self.feeds) for body in bodies]
        ids = [one.id if isinstance(one, Parent) else one.upstream_id for one in read]
        told = total > count + len(set(ids)) or len(ids) >= response.limit if total else None
        onward = after_page(sweep, ids, asked=response.limit, told=told)
        return Page(
            rejected=tuple(one for one in read if isinstance(one, Rejected)),
            sweep=onward,
            position=sweep["until"] if onward is None else None,
            done=self.once and onward is None,
            parents=tuple(one for one in read if isinstance(one, Parent)),
        )


class Backfill(Listing):
    """History once, from start_from up to the connection, resumable by its stored pass."""

    once = True
    feeds = "history"

    def begin(self, cursor: Cursor, now: datetime, ids: Sequence[str]) -> Sweep:
        """Between both bounds, or where the unfinished pass stood."""
        start_from = self.settings.start_from
        if cursor.sweep is not None or start_from is None:
            return super().begin(cursor, now, ids)
        return begun(since=start_from, until=cursor.connected_at)


@dataclass(frozen=True)
class Reading:
    """All fulfillments of one order that is due, to its last page."""

    settings: Settings
    name: str
    weight: int

    @property
    def facts(self) -> Facts:
        """See source.Facts."""
        return Facts(
            self.name,
            RESOURCE,
            self.weight,
            self.settings.poll_interval_seconds,
            digest([self.settings.base_url, self.settings.shop]),
            PAGE_SIZE,
            ids_max=1,
            parents=PARENTS,
            meaning=meaning,
        )

    def begin(self, cursor: Cursor, now: datetime, ids: Sequence[str]) -> Sweep:
        """The order from its first page: which one is due is in the marks, so no pass is stored."""
        start = {"order": ids[0], "page": 1, "longest": 0, "read_at": None, "due": []}
        return {**start, **NOT_TURNED}

    def request(self, sweep: Sweep, limit: int) -> Request:
        """`GET /orders/{order_id}/fulfillments`, without a filter."""
        path = f"/orders/{quote(sweep['order'], safe='')}/fulfillments"
        return self.settings.request(path, {"limit": str(limit), "page": str(sweep["page"])})

    def read(self, sweep: Sweep, response: Response) -> Page:
        """The fulfillments of a page; after the last one, when the first of them all is due."""
        bodies, _ = _records(response, RESOURCE)
        read = [self._fulfillment(body, response.requested_at) for body in bodies]
        ids = [one.upstream_id for one, _ in read]
        soonest = sorted([*sweep["due"], *(due.in_seconds for _, due in read if due)])[:1]
        read_at = sweep["read_at"] or iso(response.requested_at)
        page = Page(
            tuple(one for one, _ in read if isinstance(one, Found)),
            tuple(one for one, _ in read if isinstance(one, Rejected)),
        )
        longest = sweep.get("longest", 0)
        if not goes_on(len(ids), asked=response.limit, longest=longest, told=None):
            due = Due("watch", soonest[0]) if soonest else None
            order = Parent(sweep["order"], due, read_at=parse_instant(read_at))
            return replace(page, parents=(order,))
        longest = max(longest, len(ids))
        onward = {"page": sweep["page"] + 1, "longest": longest, "read_at": read_at, "due": soonest}
        return replace(page, sweep={**sweep, **onward, **turned(sweep, ids)})

    def _fulfillment(self, body: bytes, now: datetime) -> tuple[Found | Rejected, Due | None]:
        """A record, and when its order is to be read again for its sake."""
        record, upstream_id = identified(_decode_fulfillment, body)
        if isinstance(record, Rejected):
            return record, None
        try:
            _, updated_at = version_of(record.updated_at, record.created_at)
            _, created_at = version_of(record.created_at, record.updated_at)
        except ValueError as error:
            return Rejected(upstream_id, "$.updated_at", str(error), body), None
        due = self.settings.watch(now - created_at, awaits_tracking=_awaits_tracking(record))
        return Found(upstream_id, body, updated_at), due


class _Envelope(msgspec.Struct):
    orders: list[msgspec.Raw] | msgspec.UnsetType | None = msgspec.UNSET
    fulfillments: list[msgspec.Raw] | msgspec.UnsetType | None = msgspec.UNSET
    count: Any = None
    has_more: Any = None
    data: _Envelope | msgspec.UnsetType | None = msgspec.UNSET

    @property
    def page(self) -> _Envelope:
        """What newer versions wrap in `data`."""
        return self.data or self

    def rows(self, name: str) -> list[msgspec.Raw] | None:
        """Raises Unreadable where there is nothing of this name."""
        found = self.page.orders if name == PARENTS else self.page.fulfillments
        if isinstance(found, msgspec.UnsetType):
            if self.data is None:
                return None
            raise Unreadable(f"an answer without {name}")
        return found

    @property
    def total(self) -> int:
        """0 when it is not told."""
        return self.page.count if isinstance(self.page.count, int) else 0


class _Record(msgspec.Struct):
    id: str | int


class _Fulfillment(_Record):
    updated_at: Any = None
    created_at: Any = None
    status: Any = None
    tracking_number: Any = None
    tracking_items: Any = None


_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_order = msgspec.json.Decoder(_Record).decode
_decode_fulfillment = msgspec.json.Decoder(_Fulfillment).decode


def _records(response: Response, name: str, read: int = 0) -> tuple[list[bytes], int]:
    """The records of a page and their total, 0 when not told; `read` were on pages before it."""
    pages = Pages(
        name,
        name,
        _decode_envelope,
        rows=lambda page: page.rows(name),
        more=lambda page: page.total > read,
    )
    envelope, bodies = pages.read(response)
    if envelope.page.has_more:
        raise Refused("the list goes on by cursor; set api_version to one that has page numbers")
    return bodies, envelope.total


def _order(body: bytes, feeds: str) -> Parent | Rejected:
    record, upstream_id = identified(_decode_order, body)
    if isinstance(record, Rejected):
        return replace(record, resource=PARENTS)
    return Parent(upstream_id, Due(feeds, 0), body)


def _awaits_tracking(record: _Fulfillment) -> bool:
    """No number yet; what is called off will never have one."""
    numbers = str(record.tracking_number or "").strip() or record.tracking_items
    return not numbers and str(record.status).casefold() not in CALLED_OFF
