"""Every source reads whatever the bytes of an answer may be: without HTTP, on its simulator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from urllib.parse import urlencode, urlsplit

import pytest

from schemas.cursor import Cursor
from services.poller import source as contract
from services.poller.outcome import Asked, understood
from services.poller.source import Page, Response, Stream, Sweep
from services.poller.sources import sources
from testbed import http
from testbed.simulators import simulators
from testbed.wire import BAD_BYTES, terse
from testbed.world import World
from tests.contract.upstreams import FIRST_NUMBER, order
from tests.systems.bench import TOKEN, account

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
STATUSES = (
    *(200, 201, 202, 204, 205, 206, 304, 400, 401, 403, 404, 408, 409, 410, 418, 422, 423, 425),
    *(429, 451, 500, 501, 502, 503, 504, 520, 599),
)


class Asking:
    """A source's streams and a simulator of its system with so many orders."""

    def __init__(self, source: str, orders: int) -> None:
        begun = NOW - timedelta(hours=1)
        world = World(1, start=begun, orders=0, duration_seconds=0, source=source)
        self._simulator = simulators()[source].simulate(
            world, token=TOKEN, requests_per_second=1e6, page_size_max=100
        )
        self._simulator.right_clock = lambda: NOW
        url = "http://127.0.0.1:1" + self._simulator.base_path
        keys = {"start_from": begun} if sources()[source].settings.takes("start_from") else {}
        self._settings = account(source, url, **{**simulators()[source].ACCOUNT, **keys})
        self.streams: Sequence[Stream] = sources()[source].streams(self._settings)
        self.source = source
        for number in range(orders):
            at = NOW - timedelta(seconds=90 - number)
            row = self._simulator.row(order(FIRST_NUMBER + number, 1, at))
            self._simulator.write(row)

    def begun(self, stream: Stream, ids: Sequence[str] = ()) -> Sweep:
        """A new pass, up to now."""
        facts = stream.facts
        cursor = Cursor(
            source=self.source,
            account="acme",
            stream=facts.name,
            connected_at=NOW - timedelta(minutes=30),
            fingerprint=facts.fingerprint,
        )
        return stream.begin(cursor, NOW, ids)

    def answer(self, stream: Stream, sweep: Sweep) -> Response:
        """What the simulator says to the next request."""
        login = sources()[self.source].login(self._settings)
        request = stream.request(sweep, stream.facts.page_size)
        if login is not None:
            request = login.signed(request, login.token(self._sent(login.log_in())))
        return replace(self._sent(request), limit=stream.facts.page_size)

    def pages(self) -> Iterator[tuple[Stream, Sweep, Response, Page]]:
        """One page of each stream that has one, lists first; what they find is read by its id."""
        due: dict[str, list[str]] = {}
        for stream in sorted(self.streams, key=lambda one: one.facts.ids_max > 0):
            facts = stream.facts
            ids = due.get(facts.name, [])[: facts.ids_max]
            if facts.ids_max and not ids:
                continue
            sweep = self.begun(stream, ids)
            while True:
                answer = self.answer(stream, sweep)
                page = stream.read(sweep, answer)
                if page.found or page.parents or page.sweep is None:
                    break
                sweep = page.sweep  # a window too wide for one page, or an empty one
            named = [(one.due, one.upstream_id) for one in page.found]
            for when, name in [*named, *((one.due, one.id) for one in page.parents)]:
                if when is not None:
                    due.setdefault(when.stream, []).append(name)
            yield stream, sweep, answer, page

    def _sent(self, request: contract.Request) -> Response:
        parts = urlsplit(request.url)
        query = urlencode(request.params) if request.params else parts.query
        target = f"{parts.path}?{query}" if query else parts.path
        headers = {name.lower(): value for name, value in request.headers.items()}
        got = self._simulator.handle(http.Request(request.method, target, headers, request.body))
        given = {name.lower(): value for name, value in got.headers.items()}
        return Response(got.status, given, got.body, NOW)


def bodies_of(page: Page) -> list[bytes]:
    """The bytes of each record of a page that can be read."""
    parents = [one.body for one in page.parents if one.body is not None]
    return [*(one.body for one in page.found), *parents]


ALL = pytest.mark.parametrize("source", sorted(sources()))


@ALL
def test_a_damaged_record_costs_no_other_in_any_stream(source: str) -> None:
    """Whatever is damaged in it, in lists and in what is read by its id; its id is still read."""
    tried = 0
    for stream, sweep, answer, page in Asking(source, 3).pages():
        bodies = bodies_of(page)
        for wrong in BAD_BYTES if bodies else ():
            bad = bodies[0][:-1] + b',"odd":%b}' % wrong
            assert answer.body.count(bodies[0]) == 1
            damaged = replace(answer, body=answer.body.replace(bodies[0], bad))
            if not stream.facts.ids_max or len(bodies) > 1:
                again = stream.read(sweep, damaged)
                assert bodies[1:] == bodies_of(again)
                assert [bad] == [one.body for one in again.rejected if one.body]
                assert all(one.upstream_id and one.path and one.reason for one in again.rejected)
                tried += 1
    assert tried >= len(BAD_BYTES)


@ALL
@pytest.mark.parametrize("form", range(3), ids=["204", "null", "left out"])
def test_an_empty_upstream_may_say_so_in_any_form(source: str, form: int) -> None:
    """Every list takes it for an empty page, and the pass goes on or ends as with any other."""
    asking = Asking(source, 0)
    for stream in asking.streams:
        if stream.facts.ids_max:
            continue
        sweep = asking.begun(stream)
        plain = asking.answer(stream, sweep)
        said = terse(http.Response(plain.status, plain.body), form)
        other = replace(plain, status=said.status, body=said.body)
        assert stream.read(sweep, plain) == stream.read(sweep, other)
        assert said.body != plain.body


@ALL
def test_an_empty_body_means_what_its_status_means(source: str) -> None:
    """It is never a page but with 204, and no stream fails over it."""
    asking = Asking(source, 0)
    for stream, status in product(asking.streams, STATUSES):
        facts = stream.facts
        ids = ["1"] if facts.ids_max else []
        sweep = asking.begun(stream, ids)
        asked = Asked(sweep, ids, facts.page_size, 0, bool(facts.parents))
        answer = Response(status, {"retry-after": "7"}, b"", NOW)

        page, meant = understood(stream, asked, answer, chance=0.0, now=NOW)

        if page is None:
            assert meant.action in ("retry", "stop")
            assert meant.reason
        elif status != 204:  # refused by its id, or to be asked for in another way
            assert page.only_refused or page.sweep is not None
            assert status >= 300
        if status == 429:
            assert (meant.action, meant.wait_seconds, meant.park) == ("retry", 7, True)
        if status == 401:
            assert meant.action == "stop"
