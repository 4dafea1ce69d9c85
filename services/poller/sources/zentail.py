"""Zentail Open API v1: sales orders with their packages, one token for each seller account.

mode "list" (the seed's recommendation): `head` polls shipped orders by lastUpdatedTs, `settle`
re-reads every status for rows that became visible late, `backfill` reads history once; `planned`
reads an order whose ship time lay ahead again at that instant.
mode "per_order" (the seed's alternative): `listing` finds orders of every status, `orders` reads
each one that is not closed by its id.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, ClassVar, Literal
from urllib.parse import quote

import msgspec
from pydantic import Field

from schemas.cursor import Cursor
from schemas.message import digest, parse_instant
from services.poller.bodies import NOT_JSON, Pages, legible, single, unreadable
from services.poller.departures import departures, due_at_departure
from services.poller.keyset import Listed, Row, begun, paged, resumed
from services.poller.pages import now_at, version_of
from services.poller.source import (
    BACKFILL_WEIGHT,
    HEAD_WEIGHT,
    SETTLE_WEIGHT,
    WATCH_WEIGHT,
    AccountSettings,
    Due,
    Facts,
    Found,
    Page,
    Rate,
    Refused,
    Rejected,
    Request,
    Response,
    Secret,
    Stream,
    Sweep,
    Unreadable,
    pinned,
    status_of,
)

RATE = Rate(per_second=9, burst=9)  # the vendor drains 10 a second; one is left to others
RESOURCE = "orders"
PAGE_SIZE = 100
SHIPPED = "PARTIALLY_SHIPPED,SHIPPED"
REFUSED_PARAMETER = frozenset({400, 422})
PLANNED = "planned"
UNFILTERED = "unfiltered"  # of a sweep: the upstream refused the status filter
CLOSED = frozenset({"SHIPPED", "CANCELLED", "CANCELED", "RETURN_REQUESTED", "RETURNED", "REFUNDED"})
LISTING_INTERVAL_SECONDS_MAX = 900  # seed: "polling at least once every 15 minutes"


class Settings(AccountSettings):
    """The keys of a Zentail account."""

    base_url: str = Field("https://api.zentail.com/v1", pattern=r"^https?://[^/?#@]+[^?#]*$")
    token: Secret = Field(description="env:NAME or file:PATH")
    mode: Literal["list", "per_order"] = "list"

    def request(self, path: str, params: dict[str, str]) -> Request:
        """A GET below base_url, or of a whole URL; the token goes bare, without "Bearer"."""
        url = path if "://" in path else self.base_url.rstrip("/") + path
        headers = {"Authorization": self.token.get_secret_value(), "Accept": "application/json"}
        return Request(url, params, headers)


def streams(settings: Settings) -> Sequence[Stream]:
    """The streams of an account, by its mode."""
    horizon = timedelta(hours=settings.settle_horizon_hours)
    lookback = timedelta(seconds=settings.lookback_seconds)
    settle_seconds = settings.settle_interval_seconds
    found: list[Stream] = []
    if settings.mode == "list":
        poll_seconds = settings.poll_interval_seconds
        found.append(Listing(settings, "head", HEAD_WEIGHT, poll_seconds, lookback, SHIPPED))
        found.append(Listing(settings, "settle", SETTLE_WEIGHT, settle_seconds, horizon))
        found.append(Orders(settings, PLANNED))
    else:
        slow_seconds = min(settle_seconds, LISTING_INTERVAL_SECONDS_MAX)
        depth = max(horizon, lookback)
        found.append(Listing(settings, "listing", SETTLE_WEIGHT, slow_seconds, depth))
        found.append(Orders(settings))
    if settings.start_from is not None:
        found.append(Backfill(settings, "backfill", BACKFILL_WEIGHT, 0, timedelta()))
    return found


def by_id(settings: Settings, resource: str) -> Stream | None:
    """What reads one order: in either mode its single request shows the record of the list."""
    return Orders(settings) if resource == RESOURCE else None


@dataclass(frozen=True)
class Listing:
    """A pass over `GET /salesOrder` from a cursor - `depth`, oldest update first, by keyset.

    Source of the rules: zentail seed, "Polling with lastUpdatedTs and status": query from a
    slight overlap, advance to the time of the initial request when all of it is processed.
    """

    once: ClassVar[bool] = False

    settings: Settings
    name: str
    weight: int
    interval_seconds: float
    depth: timedelta
    statuses: str = ""

    @cached_property
    def facts(self) -> Facts:
        """See source.Facts."""
        start_from = self.settings.start_from if self.once else None
        fingerprint = digest([self.settings.base_url, self.statuses, start_from])
        return Facts(
            self.name,
            RESOURCE,
            self.weight,
            self.interval_seconds,
            fingerprint,
            PAGE_SIZE,
            interval_seconds_max=self.settings.poll_interval_seconds_max,
            rewinds=not self.once,
            meaning=_meaning_of_filtered if self.statuses else status_of,
        )

    def begin(self, cursor: Cursor, now: datetime, ids: Sequence[str]) -> Sweep:
        """From the cursor, or where an unfinished pass stood."""
        if cursor.sweep is not None:
            return resumed(cursor.sweep)
        position = parse_instant(cursor.position) if cursor.position else cursor.connected_at
        settings = self.settings
        overlap = timedelta(seconds=settings.lookback_seconds)
        earliest = settings.start_from or cursor.connected_at - overlap
        since = max(position - self.depth, earliest)
        return begun(since=since, now=now, until=now)

    def request(self, sweep: Sweep, limit: int) -> Request:
        """By keyset; by nextToken only while one instant fills a page."""
        if sweep["next"]:
            return self.settings.request(sweep["next"], {})
        filtered = self.statuses and not sweep.get(UNFILTERED)
        status = {"status": self.statuses} if filtered else {}
        params = {"lastUpdatedTs": sweep["since"], **status, "limit": str(limit)}
        return self.settings.request("/salesOrder", params)

    def read(self, sweep: Sweep, response: Response) -> Page:
        """The rows not read before at their instant, and how the pass goes on.

        A filter that is refused is left out for the rest of the pass: a list of statuses with
        commas is public for this endpoint, but not in its reference.
        """
        if response.status in REFUSED_PARAMETER:
            if sweep.get(UNFILTERED):
                raise Refused(f"the upstream answered {response.status}; check base_url")
            return Page(sweep={**sweep, UNFILTERED: True})
        envelope, bodies = _PAGES.read(response)
        read = [_read_order(body, self.settings, response.requested_at) for body in bodies]
        rows = [row for row in read if isinstance(row, Row)]
        rejected = [row for row in read if isinstance(row, Rejected)]
        onward = envelope.has_next, self._next(envelope.next_token)
        listed = Listed(rows, rejected, *onward, asked=response.limit)
        return paged(sweep, listed, now=now_at(response), once=self.once)

    def _next(self, token: str | None) -> str | None:
        """The URL of a nextToken, whether it will be followed or not.  Raises Refused."""
        if not token:
            return None
        if "://" not in token:
            base_url = self.settings.base_url.rstrip("/")
            return f"{base_url}/salesOrder?nextToken={quote(token, safe='')}"
        return pinned(token, self.settings.base_url)


def _meaning_of_filtered(response: Response) -> int:
    """A refused parameter is for `read` to judge."""
    return 200 if response.status in REFUSED_PARAMETER else response.status


class Backfill(Listing):
    """History once: from start_from up to the connection, resumable by its stored pass."""

    once = True

    def begin(self, cursor: Cursor, now: datetime, ids: Sequence[str]) -> Sweep:
        """From start_from, or where the unfinished pass stood."""
        start_from = self.settings.start_from
        if cursor.sweep is not None or start_from is None:
            return super().begin(cursor, now, ids)
        return begun(since=start_from, now=now, until=cursor.connected_at)


@dataclass(frozen=True)
class Orders:
    """Orders that are due, one request each (zentail seed, "Polling individual orders"): those not
    closed, and those whose ship time lay ahead.
    """

    settings: Settings
    name: str = "orders"

    @property
    def facts(self) -> Facts:
        """See source.Facts."""
        settings = self.settings
        return Facts(
            self.name,
            RESOURCE,
            WATCH_WEIGHT,
            settings.poll_interval_seconds,
            digest([settings.base_url]),
            page_size=1,
            ids_max=1,
        )

    def begin(self, cursor: Cursor, now: datetime, ids: Sequence[str]) -> Sweep:
        """One order; which ones are due is in the marks, so no pass is stored."""
        return {"id": ids[0]}

    def request(self, sweep: Sweep, limit: int) -> Request:
        """`GET /salesOrder/{orderId}`."""
        return self.settings.request(f"/salesOrder/{quote(sweep['id'], safe='')}", {})

    def read(self, sweep: Sweep, response: Response) -> Page:
        """The order, to be read again until it is closed."""
        body = single(response, "an order")
        row = _read_order(body, self.settings, response.requested_at)
        if isinstance(row, Rejected):
            return Page(rejected=(Rejected(sweep["id"], row.path, row.reason, body),))
        if row.found.upstream_id != sweep["id"]:
            raise Unreadable(f"order {sweep['id']} was asked for, {row.found.upstream_id} came")
        return Page((row.found,))


class _Pagination(msgspec.Struct):
    hasNext: bool | None = None  # noqa: N815 - the upstream's own name
    nextToken: str | None = None  # noqa: N815


class _Envelope(msgspec.Struct):
    results: list[msgspec.Raw] | None
    pagination: _Pagination | None = None

    @property
    def next_token(self) -> str:
        """Empty without one."""
        return (self.pagination and self.pagination.nextToken) or ""

    @property
    def has_next(self) -> bool | None:
        """None where it does not say."""
        told = self.pagination.hasNext if self.pagination else None
        return True if told is None and self.next_token else told


class _Order(msgspec.Struct):
    orderNumber: int | str  # noqa: N815
    lastUpdatedTs: Any = None  # noqa: N815
    orderTs: Any = None  # noqa: N815


class _Package(msgspec.Struct):
    shippedTs: Any = None  # noqa: N815


class _Packages(msgspec.Struct):
    packages: list[_Package] | None = None


class _Status(msgspec.Struct):
    status: str | None = None


_PAGES = Pages(
    "orders",
    "results",
    msgspec.json.Decoder(_Envelope).decode,
    rows=lambda page: page.results,
    more=lambda page: bool(page.has_next),
)
_decode_order = msgspec.json.Decoder(_Order).decode
_decode_packages = msgspec.json.Decoder(_Packages).decode
_decode_status = msgspec.json.Decoder(_Status).decode


def _read_order(body: bytes, settings: Settings, now: datetime) -> Row | Rejected:
    try:
        order, copy = legible(_decode_order, body)
    except NOT_JSON as error:
        return unreadable(body, error, "orderNumber")
    upstream_id = str(order.orderNumber)
    try:
        stamp, updated_at = version_of(order.lastUpdatedTs, order.orderTs)
    except ValueError as error:
        return Rejected(upstream_id, "$.lastUpdatedTs", str(error), body)
    if not upstream_id:
        return Rejected("", "$.orderNumber", "orderNumber is empty", body)
    if copy is not body and "\ufffd" in upstream_id:  # others may differ in what is unreadable
        return Rejected("", "$.orderNumber", "orderNumber is not valid Unicode", body)
    times = _departures(copy)
    due = _due(copy, times, settings, now)
    found = Found(upstream_id, body, updated_at, due, departs=times)
    return Row(found, stamp, updated_at)


def _departures(body: bytes) -> tuple[datetime, ...]:
    try:
        packages = _decode_packages(body).packages or []
    except NOT_JSON:
        return ()
    return departures(one.shippedTs for one in packages)


def _due(body: bytes, times: Sequence[datetime], settings: Settings, now: datetime) -> Due | None:
    """When an order is read again by its id: until its status says that no package will come, and
    when one that is announced leaves.
    """
    if settings.mode == "list":
        return due_at_departure(times, now, PLANNED)
    planned = due_at_departure(times, now, "orders")
    try:
        status = _decode_status(body).status
    except NOT_JSON:
        status = None  # a status we cannot read is not a closed one
    if status in CLOSED:
        return planned
    seconds = settings.poll_interval_seconds
    return Due("orders", min(seconds, planned.in_seconds) if planned else seconds)
