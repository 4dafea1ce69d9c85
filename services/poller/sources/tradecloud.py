"""Tradecloud One API v2: purchase orders and shipments, one integration user for each account.

`orders` and `shipments` poll by lastUpdatedAfter from the last string they received;
`orders-settle` and `shipments-settle` read the same deeper, for what became visible late;
`shipments-single` reads a shipment whose departure lay ahead again at that instant.
There is no stream for history: the vendor's polling guide has the first poll itself begin "in the
past from which you want to receive existing orders or shipments", and the list is in ascending
order, so a poll that is broken off goes on where it stood.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import quote

import msgspec
from pydantic import Field

from schemas.cursor import Cursor
from schemas.message import digest, iso, parse_instant
from services.poller.bodies import NOT_JSON, Pages, legible, single, unreadable
from services.poller.by_total import Listed, begun, paged
from services.poller.departures import departures, due_at_departure
from services.poller.keyset import Row, read_stamp
from services.poller.pages import version_of
from services.poller.source import (
    HEAD_WEIGHT,
    SETTLE_WEIGHT,
    WATCH_WEIGHT,
    AccountSettings,
    Facts,
    Found,
    Login,
    Page,
    Rate,
    Rejected,
    Request,
    Response,
    Secret,
    Stream,
    Sweep,
    Token,
    Unreadable,
)

RATE = Rate(per_second=9, burst=1, in_turn=True)  # 10 a second, "one after another"
PAGE_SIZE = 100  # seed: "Set `limit` to the maximum of `100` orders or shipments."
JSON = {"Accept": "application/json", "Content-Type": "application/json"}

Resource = Literal["orders", "shipments"]
LISTS: dict[Resource, str] = {"orders": "/order-search/poll", "shipments": "/shipment/poll"}
DEPARTING: Resource = "shipments"
SINGLES: dict[Resource, str] = {"orders": "/order/", "shipments": "/shipment/"}
LINE_FILTER = r"^(changed|(process|inProgress|logistics|deliveryLine)Status:[A-Za-z]+)$"


class Settings(AccountSettings):
    """The keys of a Tradecloud account."""

    base_url: str = Field("https://api.tradecloud1.com/v2", pattern=r"^https?://[^/?#@]+[^?#]*$")
    username: str = Field(min_length=1, description="of a user with the integration role")
    password: Secret = Field(description="env:NAME or file:PATH")
    role: Literal["buyer", "supplier"] = Field(description="which side of the orders is ours")
    streams: tuple[Resource, ...] = Field(("orders", "shipments"), min_length=1)
    announce_lines: tuple[Annotated[str, Field(pattern=LINE_FILTER)], ...] = Field(
        (), description="whose changes are told: `changed`, `processStatus:Confirmed` and the like"
    )

    @property
    def options(self) -> frozenset[str]:
        """What the mapper has to know; what `changed` means is with each record."""
        return frozenset({f"role:{self.role}", *self.announce_lines}) - {"changed"}

    def url(self, path: str) -> str:
        """Below base_url."""
        return self.base_url.rstrip("/") + path


def login(settings: Settings) -> Login:
    """A login by e-mail and password, then a token that runs out after an hour."""
    return Jwt(settings)


def streams(settings: Settings) -> Sequence[Stream]:
    """A poll and a settle sweep for each resource, and a reader of what departs."""
    resources = dict.fromkeys(settings.streams)
    lists = [of(settings, one) for of in (Poll, Settle) for one in resources]
    return [*lists, *(Single(settings, one) for one in resources if one == DEPARTING)]


def by_id(settings: Settings, resource: str) -> Stream | None:
    """Reads one order or shipment."""
    return next((Single(settings, one) for one in SINGLES if one == resource), None)


@dataclass(frozen=True)
class Jwt:
    """Public: both tokens come in headers, not in a body; a refresh voids the token it was for."""

    settings: Settings

    def log_in(self) -> Request:
        """`GET /authentication/login` with Basic."""
        settings = self.settings
        pair = f"{settings.username}:{settings.password.get_secret_value()}"
        headers = {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
        return Request(settings.url("/authentication/login"), headers=headers)

    def refresh(self, token: Token) -> Request | None:
        """`GET /authentication/refresh` with nothing but the refresh token."""
        if not token.refresh:
            return None
        url = self.settings.url("/authentication/refresh")
        return Request(url, headers={"Refresh-Token": token.refresh})

    def token(self, response: Response) -> Token:
        """The new pair.  Raises Unreadable."""
        access = response.headers.get("set-authorization", "").removeprefix("Bearer ").strip()
        if not access:
            raise Unreadable("there is no Set-Authorization header")
        return Token(access, response.headers.get("set-refresh-token", "").strip())

    def signed(self, request: Request, token: Token) -> Request:
        """With the access token."""
        headers = {**request.headers, "Authorization": f"Bearer {token.access}"}
        return replace(request, headers=headers)


@dataclass(frozen=True)
class Poll:
    """A pass over one list from the last string received.

    Seed: "to keep it simple just store it as a `String`", so it is sent back untouched; there is
    no overlap, which is why the settle sweep exists.
    """

    settings: Settings
    resource: Resource

    @property
    def facts(self) -> Facts:
        """See source.Facts."""
        settings = self.settings
        start_from = iso(settings.start_from) if settings.start_from else None
        return Facts(
            self.resource,
            self.resource,
            HEAD_WEIGHT,
            settings.poll_interval_seconds,
            digest([settings.base_url, settings.username, start_from]),
            interval_seconds_max=settings.poll_interval_seconds_max,
            rewinds=True,
            options=settings.options,
        )

    def begin(self, cursor: Cursor, now: datetime, ids: Sequence[str]) -> Sweep:
        """A new pass, or where an unfinished one stood."""
        return cursor.sweep or begun(after=self._after(cursor), now=now, page_size=PAGE_SIZE)

    def request(self, sweep: Sweep, limit: int) -> Request:
        """A POST of the filter, which changes nothing."""
        filters = {"lastUpdatedAfter": sweep["after"]}
        query = {"filters": filters, "offset": sweep["offset"], "limit": limit}
        url, body = self.settings.url(LISTS[self.resource]), msgspec.json.encode(query)
        return Request(url, headers=JSON, method="POST", body=body)

    def read(self, sweep: Sweep, response: Response) -> Page:
        """The rows not read before, and how the pass goes on."""
        offset = sweep["offset"]
        pages = Pages(
            self.resource,
            "data",
            _decode_envelope,
            rows=lambda page: page.data,
            more=lambda page: (page.total or 0) > offset,
        )
        envelope, bodies = pages.read(response)
        options = self._changed(sweep["since"])
        entries = [self._entry(body, options, response) for body in bodies]
        return paged(sweep, Listed(entries, envelope.total), response)

    def _entry(self, body: bytes, options: frozenset[str], response: Response) -> Row | Rejected:
        """A row, with when it departs."""
        row = _read(body, options)
        times = _departures(body) if self.resource == DEPARTING else ()
        if isinstance(row, Rejected) or not times:
            return row
        due = due_at_departure(times, response.requested_at, f"{DEPARTING}-single")
        return msgspec.structs.replace(
            row, found=msgspec.structs.replace(row.found, due=due, departs=times)
        )

    def _after(self, cursor: Cursor) -> str:
        """The position as it stands."""
        return cursor.position or _stamp(self._earliest(cursor))

    def _earliest(self, cursor: Cursor) -> datetime:
        overlap = timedelta(seconds=self.settings.lookback_seconds)
        return self.settings.start_from or cursor.connected_at - overlap

    def _changed(self, since: str) -> frozenset[str]:
        """Seed: "Only consider lines where `lines.lastUpdatedAt` is after the filter value."

        The value of the whole pass, not of a page of it: what a page begins after was not seen.
        """
        if "changed" not in self.settings.announce_lines:
            return frozenset()
        return frozenset({f"changed-after:{iso(read_stamp(since))}"})


class Settle(Poll):
    """The slow pass, a horizon deeper; the next one's is counted from the instant this one began.

    Public: the orders' poll reads a search index, in which one may appear after a later one.
    """

    @property
    def facts(self) -> Facts:
        """The same, but slower."""
        settings = self.settings
        return replace(
            super().facts,
            name=f"{self.resource}-settle",
            weight=SETTLE_WEIGHT,
            interval_seconds=settings.settle_interval_seconds,
            interval_seconds_max=0.0,
            fingerprint=digest([settings.base_url, settings.username]),
        )

    def read(self, sweep: Sweep, response: Response) -> Page:
        """The same, but for the position."""
        page = super().read(sweep, response)
        return replace(page, position=sweep["started_at"]) if page.sweep is None else page

    def _after(self, cursor: Cursor) -> str:
        """The horizon behind the position, never before start_from."""
        position = parse_instant(cursor.position) if cursor.position else cursor.connected_at
        horizon = timedelta(hours=self.settings.settle_horizon_hours)
        return _stamp(max(position - horizon, self._earliest(cursor)))


class Single(Poll):
    """One order or shipment by its id."""

    @property
    def facts(self) -> Facts:
        """See source.Facts."""
        return replace(
            super().facts,
            name=f"{self.resource}-single",
            weight=WATCH_WEIGHT,
            page_size=1,
            ids_max=1,
            rewinds=False,
        )

    def begin(self, cursor: Cursor, now: datetime, ids: Sequence[str]) -> Sweep:
        """The one that is asked for; nothing of it is stored."""
        return {"id": ids[0]}

    def request(self, sweep: Sweep, limit: int) -> Request:
        """`GET /order/{id}` or `GET /shipment/{id}`."""
        url = self.settings.url(SINGLES[self.resource] + quote(sweep["id"], safe=""))
        return Request(url, headers=JSON)

    def read(self, sweep: Sweep, response: Response) -> Page:
        """It, or why it cannot be read."""
        body = single(response, f"one of {self.resource}")
        row = self._entry(body, frozenset(), response)
        if isinstance(row, Rejected):
            return Page(rejected=(replace(row, upstream_id=sweep["id"]),))
        if row.found.upstream_id != sweep["id"]:
            raise Unreadable(f"{sweep['id']} was asked for, {row.found.upstream_id} came")
        return Page((row.found,))


class _Envelope(msgspec.Struct):
    data: list[msgspec.Raw] | None
    total: int | None = None


class _Meta(msgspec.Struct, rename="camel"):
    last_updated_at: Any = None


class _Record(msgspec.Struct, rename="camel"):
    id: str
    last_updated_at: Any = None  # public: of orders; shipments have it in `meta`
    meta: _Meta | None = None


class _Departure(msgspec.Struct, rename="camel"):
    atd_date: Any = None


class _Locations(msgspec.Struct):
    departure: _Departure | None = None


class _Located(msgspec.Struct):
    locations: _Locations | None = None


_decode_located = msgspec.json.Decoder(_Located).decode
_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_record = msgspec.json.Decoder(_Record).decode


def _read(body: bytes, options: frozenset[str]) -> Row | Rejected:
    try:
        record, copy = legible(_decode_record, body)
    except NOT_JSON as error:
        return unreadable(body, error, "id")
    if not record.id or (copy is not body and "\ufffd" in record.id):
        return Rejected("", "$.id", "id is empty or not valid Unicode", body)
    in_meta = record.meta.last_updated_at if record.meta else None
    try:
        stamp, updated_at = version_of(record.last_updated_at, in_meta)
    except ValueError as error:
        return Rejected(record.id, "$.lastUpdatedAt", str(error), body)
    return Row(Found(record.id, body, updated_at, options=options), stamp, updated_at)


def _departures(body: bytes) -> tuple[datetime, ...]:
    try:
        located, _ = legible(_decode_located, body)
    except NOT_JSON:
        return ()
    place = located.locations and located.locations.departure
    return departures([place.atd_date]) if place else ()


def _stamp(instant: datetime) -> str:
    """In the upstream's own format, cut off: YYYY-MM-DDThh:mm:ss.SSSZ."""
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")
