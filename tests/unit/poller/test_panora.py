"""The Panora source, without HTTP."""

from __future__ import annotations

import json
import os
from base64 import b64encode
from collections.abc import Awaitable, Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from bus.clock import SystemClock
from bus.errors import BadConfig
from bus.settings import KafkaSettings, checked
from bus.table import Table
from bus.transaction import Transaction
from schemas.cursor import Cursor
from schemas.topics import CURSORS
from services.poller.account import Account, Surroundings
from services.poller.scanning import TIMES_MAX
from services.poller.settings import PollerSettings
from services.poller.slot import home_of
from services.poller.source import Page, Response, Sweep, Unreadable
from services.poller.sources import panora
from tests.unit.poller.test_bodies import ODD

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BASE = "https://api.example"
os.environ["POLLER_UNIT_TOKEN"] = "s3cret"


def configured(**keys: Any) -> panora.Settings:
    table = {
        "source": "panora",
        "name": "acme",
        "api_key": "env:POLLER_UNIT_TOKEN",
        "connection_token": "env:POLLER_UNIT_TOKEN",
        "base_url": BASE,
    }
    return checked(panora.Settings, {**table, **keys}, "[[accounts]]")


def scan(**keys: Any) -> panora.Scan:
    return panora.Scan(configured(**keys))


def cursor(**values: Any) -> Cursor:
    return Cursor(source="panora", account="acme", stream="head", connected_at=NOW, **values)


def begun(**values: Any) -> Sweep:
    """A pass of its own, some of its progress put in place."""
    return {**scan().begin(cursor(), NOW, ()), **values}


def uuid(number: int) -> str:
    return str(UUID(int=number, version=4))


def place(number: int) -> str:
    """The cursor that begins at a record."""
    return b64encode(uuid(number).encode()).decode()


def row(number: int, stamp: Any = None) -> dict[str, Any]:
    return {"id": uuid(number), "created_at": stamp}


def page_of(*rows: Any, following: str | None = None) -> bytes:
    return json.dumps({"prev_cursor": None, "next_cursor": following, "data": rows}).encode()


def read(body: bytes, sweep: Sweep | None = None, status: int = 200) -> Page:
    return scan().read(sweep or begun(), Response(status, {}, body, NOW))


def failure(message: str) -> bytes:
    return json.dumps({"statusCode": 500, "path": "/", "message": message}).encode()


def test_the_default_is_the_vendors_address_and_the_providers_data() -> None:
    """A table of source, name and the two credentials is enough."""
    keys = ("api_key", "connection_token")
    secrets = dict.fromkeys(keys, "env:POLLER_UNIT_TOKEN")
    table = {"source": "panora", "name": "acme", **secrets}
    settings = checked(panora.Settings, table, "[[accounts]]")
    assert (settings.base_url, settings.remote_data) == ("https://api.panora.dev", True)


@pytest.mark.parametrize("key", ["api_key", "connection_token"])
def test_both_credentials_are_secrets_and_both_are_needed(key: str) -> None:
    """A literal one is refused and not repeated; neither is shown in a request."""
    with pytest.raises(BadConfig, match="env:NAME or file:PATH") as refused:
        configured(**{key: "very-secret"})
    assert "very-secret" not in str(refused.value)
    request = scan().request(begun(), 100)
    assert "s3cret" not in repr(request)
    assert {"x-api-key", "x-connection-token"} < set(request.headers)


def test_the_fingerprint_covers_where_and_what_is_asked() -> None:
    """Another address or another kind of record is another history; a new token is not."""
    own = scan().facts.fingerprint
    assert scan(base_url="https://other.example").facts.fingerprint != own
    assert scan(remote_data=False).facts.fingerprint != own
    assert scan(poll_interval_seconds=300).facts.fingerprint == own


def test_an_unfinished_pass_goes_on_and_single_ids_are_read_beside_it() -> None:
    """A stored pass is taken up again; ids make a pass of their own that moves no position."""
    stored = begun(cursor=place(7))
    assert scan().begin(cursor(sweep=stored), NOW, ()) == stored
    sweep = scan().begin(cursor(sweep=stored), NOW, [uuid(1)])
    assert scan().request(sweep, 100).url == f"{BASE}/ecommerce/fulfillments/{uuid(1)}"
    page = read(json.dumps(row(1)).encode(), sweep)
    assert [found.upstream_id for found in page.found] == [uuid(1)]
    assert (page.sweep, page.position) == (None, None)


@pytest.mark.parametrize(
    ("stamps", "following", "begins_at", "times"),
    [
        ("abcd", place(9), 2, 1),
        ("abccc", place(9), 1, 1),
        ("aabbcc", place(9), 3, 1),
        ("aaaa", place(9), None, 2),
        ("abbb", place(9), None, 2),
        ("aabb", place(9), None, 2),
        ("abcd", "another-kind-of-cursor", "another-kind-of-cursor", 1),
        ("", place(9), None, 2),
    ],
)
def test_the_next_page_begins_before_the_last_instant_or_the_page_is_made_wider(
    stamps: str, following: str, begins_at: int | str | None, times: int
) -> None:
    """All records of earlier instants are in hand, whatever the order within an instant."""
    rows = [row(number, stamp) for number, stamp in enumerate(stamps)]
    sweep = read(page_of(*rows, following=following)).sweep
    assert sweep is not None
    expected = place(begins_at) if isinstance(begins_at, int) else begins_at
    assert (sweep["cursor"], sweep["times"]) == (expected, times)


def test_a_page_is_made_wider_so_often_and_then_the_link_is_followed() -> None:
    """16 times the limit; after it a page has its usual size again."""
    body = page_of(row(1), row(2), following=place(9))
    sweep = begun()
    limits = []
    while sweep["cursor"] is None:
        limits.append(scan().request(sweep, 100).params["limit"])
        following = read(body, sweep).sweep
        assert following is not None
        sweep = following
    assert limits == ["110", "220", "440", "880", "1760"]
    assert (sweep["cursor"], sweep["times"]) == (place(9), 1)


def test_a_list_that_leads_in_a_ring_is_noticed() -> None:
    """A cursor that repeats would never end; it is no page."""
    ring = (page_of(row(1, "a"), following=f"cursor {number % 3}") for number in range(20))
    with pytest.raises(Unreadable, match="would never end"):
        followed(ring)


def followed(bodies: Iterable[bytes]) -> None:
    """Read pages one after the other, as wide as they get."""
    sweep = begun()
    for body in bodies:
        sweep = read(body, {**sweep, "times": TIMES_MAX}).sweep or begun()


@pytest.mark.parametrize(
    ("status", "message", "meant"),
    [
        (500, "API Key not found.", 401),
        (500, "Connection undefined for token abc", 401),
        (500, "ReferenceError: Connection undefined for token abc", 401),
        (500, "The provided cursor does not exist!", 200),
        (500, f"Fulfillment with ID {uuid(1)} not found.", 200),
        (500, "Cannot read properties of null (reading 'data')", 200),
        (404, "The provided cursor does not exist!", 200),
        (404, f"Fulfillment with ID {uuid(1)} not found.", 200),
        (404, "Cannot GET /v2/ecommerce/fulfillments", 404),
        (500, "Internal server error", 500),
        (500, "", 500),
        (502, "API Key not found.", 502),
        (401, "Unauthorized", 401),
        (429, "ThrottlerException: Too Many Requests", 429),
        (200, "API Key not found.", 200),
    ],
)
def test_a_500_means_what_its_message_says(status: int, message: str, meant: int) -> None:
    """Permanent ones are told from temporary ones; without a known message it is temporary."""
    assert panora.meaning(Response(status, {}, failure(message), NOW)) == meant


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"message":5}', b'"\xff"', b"[" * 99999])
def test_a_500_that_is_no_error_of_theirs_is_temporary(body: bytes) -> None:
    """From whatever stands between."""
    assert panora.meaning(Response(500, {}, body, NOW)) == 500


@pytest.mark.parametrize(
    ("message", "progress"),
    [
        ("The provided cursor does not exist!", {}),
        ("The provided cursor does not exist!", {"cursor": place(1), "restarts": 3}),
        (f"Fulfillment with ID {uuid(1)} not found.", {}),
        ("Cannot read properties of null (reading 'data')", {"bare": True}),
    ],
)
def test_a_failure_that_does_not_fit_the_request_is_asked_again(
    message: str, progress: dict[str, Any]
) -> None:
    """So that no answer can make a pass turn in place without a pause."""
    with pytest.raises(Unreadable):
        read(failure(message), begun(**progress), 500)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"{}",
        b"[]",
        b'{"data":{},"next_cursor":null}',
        b'{"data":[],"next_cursor":5}',
        b'{"data":[{"id":"a"}',
    ],
)
def test_what_is_no_page_of_fulfillments_is_never_taken_for_an_empty_one(body: bytes) -> None:
    """Both cursors are always there (public: spec)."""
    with pytest.raises(Unreadable):
        read(body)
    with pytest.raises(Unreadable):
        read(b"<html>", begun(ids=[uuid(1)]))


@pytest.mark.parametrize("record", [b"7", b"null", b"[]", b"{}", b'{"id":null}', b'{"id":""}'])
def test_a_bad_record_is_rejected_and_its_neighbors_are_not(record: bytes) -> None:
    """With a reason and its own bytes; a strange sort key is no reason."""
    good = b'{ "id" : "b", "created_at":[1.10] ,"u":"\\u00e9"}'
    page = read(b'{"next_cursor":null,"data":[' + record + b" , " + good + b"]}")
    assert [found.body for found in page.found] == [good]
    (rejected,) = page.rejected
    assert (rejected.body, rejected.upstream_id) == (record, "")
    assert rejected.reason


@pytest.mark.parametrize("value", ODD)
def test_what_a_parser_refuses_in_one_record_is_passed_on_as_it_came(value: bytes) -> None:
    """Half an emoji, absurd nesting: in a page and alone."""
    odd = b'{"id":"%b","x":%b}' % (uuid(1).encode(), value)
    page = read(b'{"next_cursor":null,"data":[{"id":"b"},' + odd + b"]}")
    assert [found.body for found in page.found] == [b'{"id":"b"}', odd]
    assert read(odd, begun(ids=[uuid(1)])).found[0].body == odd


def test_another_fulfillment_than_the_one_asked_for_is_not_believed() -> None:
    """A misdirected answer is asked for again."""
    with pytest.raises(Unreadable, match="was asked for"):
        read(json.dumps(row(2)).encode(), begun(ids=[uuid(1)]))


def test_only_the_first_whole_pass_is_history() -> None:
    """Every page of it, and nothing once a pass has been completed."""
    (found,) = read(page_of(row(1))).found
    assert found.history
    later = scan().begin(cursor(position="2026-03-01T12:00:00Z"), NOW, ())
    (found,) = read(page_of(row(1)), later).found
    assert not found.history


async def test_all_accounts_live_in_one_slot_and_share_one_budget() -> None:
    """The throttle counts by our address: another name or key gives no requests more."""
    one, two = (configured(name=name) for name in ("acme", "globex"))
    homes = {home_of(account.source, account.name, 8) for account in (one, two)}
    assert len(homes) == 1
    kafka, clock = KafkaSettings(), SystemClock()
    around = Surroundings(kafka, PollerSettings(), clock, Table(kafka, CURSORS, 0), NoSink())
    accounts = [Account(around, settings, panora.RATE) for settings in (one, two)]
    granted = 0
    for account in accounts * 10:
        granted += not account.budget.claim(account.settings.name, 8, clock.monotonic())
        account.budget.leave(account.settings.name)
    for account in accounts:
        await account.close()
    assert granted == panora.RATE.burst


class NoSink:
    """Nothing is written here."""

    def submit(self, transaction: Transaction) -> Awaitable[None]:
        raise AssertionError(transaction)
