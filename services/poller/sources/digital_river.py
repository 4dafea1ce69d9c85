"""Digital River API: fulfillments, one secret key for each account.

`head` polls by createdTime, newest first; `settle` reads the same deeper, for rows that became
visible late; `backfill` reads history once.  No list shows that a fulfillment was updated, so
`watch` reads young ones again by their ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar
from urllib.parse import urlencode

import msgspec
from pydantic import Field

from schemas.cursor import Cursor
from schemas.message import digest, parse_instant
from services.poller.bodies import NOT_JSON, Pages, identified, legible
from services.poller.descending import Listed, begun, paged, resumed
from services.poller.pages import goes_on, version_of
from services.poller.source import (
    BACKFILL_WEIGHT,
    HEAD_WEIGHT,
    SETTLE_WEIGHT,
    WATCH_WEIGHT,
    Facts,
    Found,
    Page,
    Rate,
    Rejected,
    Request,
    Response,
    Secret,
    Stream,
    Sweep,
    Unreadable,
)
from services.poller.watching import WatchedSettings

RATE = Rate(per_second=20, burst=20)  # a test key is allowed 25 a second, a live one ten times that
RESOURCE = "fulfillments"
PAGE_SIZE = 100  # seed: "Limit can range between 1 and 100, and the default is 10."
JAVA_TIME = "{year:04}-{monthValue:02}-{dayOfMonth:02}T{hour:02}:{minute:02}:{second:02}.{nano:09}Z"


class Settings(WatchedSettings):
    """The keys of a Digital River account."""

    base_url: str = Field("https://api.digitalriver.com", pattern=r"^https?://[^/?#@]+[^?#]*$")
    token: Secret = Field(description="the secret key: env:NAME or file:PATH")
    api_version: str = Field("2021-12-13", pattern=r"^\d{4}-\d{2}-\d{2}$")
    announce_untracked: bool = Field(
        False, description="what has no tracking number or shipment id counts as shipped at once"
    )

    def request(self, params: Sequence[tuple[str, str]]) -> Request:
        """A GET of the list; `ids` may repeat, so the query is part of the URL."""
        headers = {
            "Authorization": f"Bearer {self.token.get_secret_value()}",
            "DigitalRiver-Version": self.api_version,
            "Content-Type": "application/json",
        }
        url = f"{self.base_url.rstrip('/')}/fulfillments?{urlencode(params)}"
        return Request(url, headers=headers)

    @property
    def options(self) -> frozenset[str]:
        """What the mapper has to know."""
        return frozenset({"announce_untracked"} if self.announce_untracked else ())


def streams(settings: Settings) -> Sequence[Stream]:
    """The streams of an account; without `watch_days` nothing is read again by its id."""
    lookback = timedelta(seconds=settings.lookback_seconds)
    horizon = timedelta(hours=settings.settle_horizon_hours)
    found: list[Stream] = [
        Listing(settings, "head", HEAD_WEIGHT, settings.poll_interval_seconds, lookback),
        Settle(settings, "settle", SETTLE_WEIGHT, settings.settle_interval_seconds, horizon),
    ]
    if settings.watch_days:
        found.append(Watch(settings))
    if settings.start_from is not None:
        found.append(Backfill(settings, "backfill", BACKFILL_WEIGHT, 0, timedelta()))
    return found


def by_id(settings: Settings, resource: str) -> Stream | None:
    """The list by `ids`: the single request adds fields, which would look like a change."""
    return Watch(settings) if resource == RESOURCE else None


@dataclass(frozen=True)
class Listing:
    """A pass over `GET /fulfillments` from a cursor - `depth`, newest first, by startingAfter."""

    once: ClassVar[bool] = False

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
            digest([settings.base_url, settings.start_from if self.once else None]),
            interval_seconds_max=settings.poll_interval_seconds_max,
            rewinds=not self.once,
            options=settings.options,
        )

    def begin(self, cursor: Cursor, now: datetime, ids: Sequence[str]) -> Sweep:
        """From the newest, or below what an unfinished pass has read."""
        if cursor.sweep is not None:
            return resumed(cursor.sweep)
        position = parse_instant(cursor.position) if cursor.position else cursor.connected_at
        overlap = timedelta(seconds=self.settings.lookback_seconds)
        earliest = self.settings.start_from or cursor.connected_at - overlap
        since = max(position - self.depth, earliest)
        return begun(since=since, before=None, position=cursor.position, now=now)

    def request(self, sweep: Sweep, limit: int) -> Request:
        """The same filters on every page of a pass."""
        params = [("limit", str(limit)), ("createdTime[gte]", sweep["since"])]
        if sweep["before"]:
            params.append(("createdTime[lt]", sweep["before"]))
        if sweep["after"]:
            params.append(("startingAfter", sweep["after"]))
        return self.settings.request(params)

    def read(self, sweep: Sweep, response: Response) -> Page:
        """The page's records, and where the pass stands."""
        return paged(sweep, _listed(response, self.settings), response, once=self.once)


class Settle(Listing):
    """The slow pass; the next one's horizon is counted from the instant this one began."""

    def read(self, sweep: Sweep, response: Response) -> Page:
        """The same, but for the position."""
        page = super().read(sweep, response)
        return replace(page, position=sweep["started_at"]) if page.sweep is None else page


class Backfill(Listing):
    """History once: between start_from and the connection, resumable by its stored pass."""

    once = True

    def begin(self, cursor: Cursor, now: datetime, ids: Sequence[str]) -> Sweep:
        """Between both bounds, or below what the unfinished pass has read."""
        start_from = self.settings.start_from
        if cursor.sweep is not None or start_from is None:
            return super().begin(cursor, now, ids)
        return begun(since=start_from, before=cursor.connected_at, position=None, now=now)


@dataclass(frozen=True)
class Watch:
    """Fulfillments younger than watch_days, by their ids: an update moves no time stamp."""

    settings: Settings

    @property
    def facts(self) -> Facts:
        """See source.Facts."""
        return Facts(
            "watch",
            RESOURCE,
            WATCH_WEIGHT,
            self.settings.poll_interval_seconds,
            digest([self.settings.base_url]),
            ids_max=PAGE_SIZE,
            options=self.settings.options,
        )

    def begin(self, cursor: Cursor, now: datetime, ids: Sequence[str]) -> Sweep:
        """Those due; which ones they are is in the marks, so no pass is taken up again."""
        return {"ids": list(ids)}

    def request(self, sweep: Sweep, limit: int) -> Request:
        """Seed: "Only return objects with these IDs."; the default limit would cut them to 10."""
        return self.settings.request([("limit", str(limit)), *(("ids", i) for i in sweep["ids"])])

    def read(self, sweep: Sweep, response: Response) -> Page:
        """What was asked for; one that is not there, asked for alone too, counts as refused."""
        listed = _listed(response, self.settings)
        asked, came = sweep["ids"], set(listed.ids) - {""}
        if strangers := came.difference(asked):
            raise Unreadable(f"asked for by ids, but {min(strangers)!r} was not among them")
        absent = [one for one in asked if one not in came]
        more = goes_on(len(listed.ids), asked=response.limit, longest=0, told=listed.has_more)
        if absent and came and more:
            return Page(listed.found, listed.rejected, {"ids": absent})
        left: list[str] = sweep.get("left", [])
        if absent and len(asked) > 1:
            left, absent = absent, []  # this may be the answer to another question
        missing = (Rejected(one, "", "asked for by its id, it is not here", b"") for one in absent)
        onward = {"ids": left[:1], "left": left[1:]} if left else None
        return Page(listed.found, listed.rejected, onward, refused=tuple(missing))


class _Envelope(msgspec.Struct, rename="camel"):
    data: list[msgspec.Raw] | None
    has_more: bool | None = None


class _Fulfillment(msgspec.Struct, rename="camel"):
    id: str
    created_time: Any = None


class _Item(msgspec.Struct):
    quantity: Decimal | None = None


class _Parcel(msgspec.Struct, rename="camel"):
    tracking_number: str | None = None
    items: list[_Item] = []


_PAGES = Pages(
    "fulfillments",
    "data",
    msgspec.json.Decoder(_Envelope).decode,
    rows=lambda page: page.data,
    more=lambda page: bool(page.has_more),
)
_decode_fulfillment = msgspec.json.Decoder(_Fulfillment).decode
_decode_parcel = msgspec.json.Decoder(_Parcel).decode


def _listed(response: Response, settings: Settings) -> Listed:
    envelope, bodies = _PAGES.read(response)
    read = [_read(body, response.requested_at, settings) for body in bodies]
    return Listed(
        tuple(one for one in read if isinstance(one, Found)),
        tuple(one for one in read if isinstance(one, Rejected)),
        [one.upstream_id for one in read],
        envelope.has_more,
    )


def _read(body: bytes, now: datetime, settings: Settings) -> Found | Rejected:
    """A record; its createdTime stands for a last update, which this upstream does not tell."""
    record, upstream_id = identified(_decode_fulfillment, body)
    if isinstance(record, Rejected):
        return record
    try:
        created_at = _instant(record.created_time)
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        return Rejected(upstream_id, "$.createdTime", f"not an instant: {error}", body)
    due = settings.watch(now - created_at, awaits_tracking=_awaits_tracking(body))
    return Found(upstream_id, body, created_at, due)


def _awaits_tracking(body: bytes) -> bool:
    """Something was fulfilled without a number; a pure cancellation will never have one."""
    try:
        parcel, _ = legible(_decode_parcel, body)
    except NOT_JSON:
        return True  # what we cannot read here may yet be corrected
    return not (parcel.tracking_number or "").strip() and any(i.quantity for i in parcel.items)


def _instant(value: Any) -> datetime:
    """An ISO 8601 text, or a Java object as the reference shows of related resources."""
    if not isinstance(value, dict):
        return version_of(value)[1]
    local = parse_instant(JAVA_TIME.format_map({"nano": 0, **value}))
    return local - timedelta(seconds=value.get("offset", {}).get("totalSeconds", 0))
