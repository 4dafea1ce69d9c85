"""Panora's unified e-commerce API: the fulfillments of one linked account, by a full scan.

There is no time filter and no order by change, so `head` reads the whole list each time and the
marks tell what is new.  A page that Panora cannot put together is read one record at a time.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import quote

import msgspec
from pydantic import Field

from schemas.cursor import Cursor
from schemas.message import digest, iso
from services.poller.bodies import NOT_JSON, Pages, identified, single
from services.poller.pages import goes_on
from services.poller.scanning import FROM_THE_START, Row, following
from services.poller.source import (
    HEAD_WEIGHT,
    AccountSettings,
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

RATE = Rate(  # 100 in 60 s for each address, any key
    1.5, 10, shared=True, remaining="x-ratelimit-remaining", reset="x-ratelimit-reset"
)
RESOURCE = "fulfillments"
PATH = "/ecommerce/fulfillments"
PAGE_SIZE = 100
OVERLAP_ROWS = 10  # asked for on top: what two neighboring pages share, one instant's rows and one
RESTARTS_MAX = 3  # of one pass whose place in the list was deleted
VOLATILE = frozenset({"modified_at"})  # moves at every sync, changed or not

# Panora answers 500 to nearly everything that is wrong; only the message tells.
UNKNOWN_CREDENTIAL = ("API Key not found", "Connection undefined for token")
PLACE_IS_GONE = "The provided cursor does not exist"
RECORD_IS_GONE = "Fulfillment with ID"
NO_REMOTE_DATA = "Cannot read propert"  # of null: no raw record was stored beside this one
GOES_ON = (PLACE_IS_GONE, RECORD_IS_GONE, NO_REMOTE_DATA)


class Settings(AccountSettings):
    """The keys of a Panora account: one connection token is one linked account."""

    without: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("start_from", "lookback_seconds"), "the whole list is read at every poll"
    )

    base_url: str = Field("https://api.panora.dev", pattern=r"^https?://[^/?#@]+[^?#]*$")
    api_key: Secret = Field(description="env:NAME or file:PATH")
    connection_token: Secret = Field(description="env:NAME or file:PATH")
    remote_data: bool = Field(
        True, description="ask for the provider's own record: its status and quantities"
    )
    keep_remote_data: bool = Field(
        False, description="the provider's own record goes with the fulfillment, personal data too"
    )
    settle_horizon_hours: float = Field(
        48, ge=2, le=24 * 30, description="a record the scan brings no more is remembered as long"
    )

    def request(self, path: str, params: dict[str, str]) -> Request:
        """A GET below base_url with both credentials."""
        headers = {
            "x-api-key": self.api_key.get_secret_value(),
            "x-connection-token": self.connection_token.get_secret_value(),
            "Accept": "application/json",
        }
        return Request(self.base_url.rstrip("/") + path, params, headers)


def streams(settings: Settings) -> Sequence[Stream]:
    """One: the list shows every change."""
    return [Scan(settings)]


def by_id(settings: Settings, resource: str) -> Stream | None:
    """The same scan, which reads single records where it is given ids."""
    return Scan(settings) if resource == RESOURCE else None


def meaning(response: Response) -> int:
    """The status an answer should have had; 200 for the failures that `Scan.read` goes on from."""
    if response.status not in (400, 404, 500):  # its pages promise the first two
        return response.status
    message = _message(response.body)
    if any(text in message for text in UNKNOWN_CREDENTIAL):
        return 401
    return 200 if any(text in message for text in GOES_ON) else response.status


@dataclass(frozen=True)
class Scan:
    """A pass over `GET /ecommerce/fulfillments`, oldest record first (public: panora code).

    A sweep with `ids` reads those by `GET /ecommerce/fulfillments/{id}` (panora seed) and goes on
    with `then`.
    """

    settings: Settings

    @property
    def facts(self) -> Facts:
        """See source.Facts."""
        settings = self.settings
        return Facts(
            "head",
            RESOURCE,
            HEAD_WEIGHT,
            settings.poll_interval_seconds,
            digest([settings.base_url, settings.remote_data]),
            PAGE_SIZE,
            interval_seconds_max=settings.poll_interval_seconds_max,
            volatile=VOLATILE,
            options=frozenset({"remote_data"} if settings.keep_remote_data else ()),
            meaning=meaning,
        )

    def begin(self, cursor: Cursor, now: datetime, ids: Sequence[str]) -> Sweep:
        """From the first page, or where an unfinished pass stood; over `ids` where they are given.

        Whatever the first complete pass brings was there before the account was connected.
        """
        if cursor.sweep is not None and not ids:
            return cursor.sweep
        return {
            "started_at": None if ids else iso(now),
            "first": cursor.position is None,
            **FROM_THE_START,
            "longest": 0,
            "restarts": 0,
            "ids": list(ids),
            "then": None,
        }

    def request(self, sweep: Sweep, limit: int) -> Request:
        """A page, or the next single record; `remote_data` is left out where it is not wanted.

        For a single record even "false" would switch it on (public: panora code).
        """
        wanted = self.settings.remote_data and not sweep["bare"]
        remote_data = {"remote_data": "true"} if wanted else {}
        if sweep["ids"]:
            return self.settings.request(f"{PATH}/{quote(sweep['ids'][0], safe='')}", remote_data)
        place = {"cursor": sweep["cursor"]} if sweep["cursor"] else {}
        rows = str(_rows(sweep, limit))
        return self.settings.request(PATH, {"limit": rows, **place, **remote_data})

    def read(self, sweep: Sweep, response: Response) -> Page:
        """The records, and how the pass goes on."""
        if response.status not in (200, 204):
            return _recovered(sweep, _message(response.body))
        if sweep["ids"]:
            return self._read_single(sweep, response)
        envelope, bodies = _PAGES.read(response)
        read = [_read_row(body, history=sweep["first"]) for body in bodies]
        rows = [row for row in read if isinstance(row, Row)]
        rejected = tuple(row for row in read if isinstance(row, Rejected))
        told, asked = envelope.next_cursor, _rows(sweep, response.limit)
        place = _next(envelope, sweep, rows, asked=asked if response.limit else 0, count=len(read))
        widens = told is not msgspec.UNSET or len(read) >= asked
        sweep = {**sweep, "longest": max(sweep.get("longest", 0), len(read))}
        onward = following(sweep, rows, place, widens=widens)
        if sweep["bare"] and rows:
            # It only told the ids: the records are read one by one, remote data and all.
            ids = [row.found.upstream_id for row in rows]
            return Page((), rejected, {**sweep, "bare": False, "ids": ids, "then": onward})
        return _page(sweep, [row.found for row in rows], onward, *rejected)

    def _read_single(self, sweep: Sweep, response: Response) -> Page:
        """One record of a page that could not be had whole."""
        asked = sweep["ids"][0]
        body = single(response, "a fulfillment")
        row = _read_row(body, history=sweep["first"])
        if isinstance(row, Rejected):
            rejected = Rejected(asked, row.path, row.reason, body)
            return _page(sweep, (), _after_single(sweep), rejected)
        if row.found.upstream_id != asked:
            raise Unreadable(f"fulfillment {asked} was asked for, {row.found.upstream_id} came")
        return _page(sweep, (row.found,), _after_single(sweep))


def _page(
    sweep: Sweep, found: Sequence[Found], following: Sweep | None, *rejected: Rejected
) -> Page:
    position = sweep["started_at"] if following is None else None
    return Page(tuple(found), rejected, following, position)


def _recovered(sweep: Sweep, message: str) -> Page:
    """How the pass goes on after a failure that asking again would only repeat."""
    if PLACE_IS_GONE in message and sweep["cursor"]:
        if sweep["restarts"] >= RESTARTS_MAX:
            raise Unreadable("the place in the list was deleted again and again")
        restarts = {"restarts": sweep["restarts"] + 1}
        return Page(sweep={**sweep, **FROM_THE_START, **restarts})
    if RECORD_IS_GONE in message and sweep["ids"]:
        return _page(sweep, (), _after_single(sweep))
    if NO_REMOTE_DATA in message and not sweep["bare"]:
        return Page(sweep={**sweep, "bare": True})
    raise Unreadable("the upstream refused with a message that does not fit the request")


def _after_single(sweep: Sweep) -> Sweep | None:
    """The next id, or what was to follow them."""
    left: list[str] = sweep["ids"][1:]
    then: Sweep | None = sweep["then"]
    return {**sweep, "bare": False, "ids": left} if left else then


def _rows(sweep: Sweep, limit: int) -> int:
    """How many rows are asked for, to have so many records."""
    return int((limit + OVERLAP_ROWS) * sweep["times"])


def _next(
    envelope: _Envelope, sweep: Sweep, rows: Sequence[Row], *, asked: int, count: int
) -> str | None:
    """The cursor of the next page.  Where it is left out, another page follows this one's last
    record while this one may have been cut short.
    """
    told = envelope.next_cursor
    if not isinstance(told, msgspec.UnsetType):
        return told or None
    more = goes_on(count, asked=asked, longest=sweep.get("longest", 0), told=None)
    return b64encode(rows[-1].found.upstream_id.encode()).decode() if rows and more else None


class _Envelope(msgspec.Struct):
    data: list[msgspec.Raw] | None
    next_cursor: str | msgspec.UnsetType | None = msgspec.UNSET


class _Fulfillment(msgspec.Struct):
    id: str
    created_at: Any = None


class _Error(msgspec.Struct):
    message: str = ""


_PAGES = Pages(
    "fulfillments",
    "data",
    msgspec.json.Decoder(_Envelope).decode,
    rows=lambda page: page.data,
    more=lambda page: bool(page.next_cursor),
)
_decode_fulfillment = msgspec.json.Decoder(_Fulfillment).decode
_decode_error = msgspec.json.Decoder(_Error).decode


def _message(body: bytes) -> str:
    """What an error says; it may hold a credential and is shown nowhere."""
    try:
        return _decode_error(body).message
    except NOT_JSON:
        return ""


def _read_row(body: bytes, *, history: bool) -> Row | Rejected:
    """The sort key may be anything: it is compared with its neighbors only."""
    record, upstream_id = identified(_decode_fulfillment, body)
    if isinstance(record, Rejected):
        return record
    return Row(Found(upstream_id, body, history=history), record.created_at)
