"""What an answer by parent means, and what a page is told of its request."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from schemas.cursor import Cursor
from services.poller.outcome import Asked, understood
from services.poller.source import Facts, Failure, Page, Request, Response, Sweep

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Told:
    """A stream that keeps what it was given to read."""

    facts = Facts("touched", "fulfillments", 8, 120, "f", ids_max=1, parents="orders")

    def __init__(self) -> None:
        self.limits: list[int] = []

    def begin(self, cursor: Cursor, now: datetime, ids: Sequence[str]) -> Sweep:
        return {}

    def request(self, sweep: Sweep, limit: int) -> Request:
        return Request("https://up.example")

    def read(self, sweep: Sweep, response: Response) -> Page:
        self.limits.append(response.limit)
        return Page()


def test_a_page_is_read_with_the_limit_it_was_asked_with() -> None:
    """Else nobody knows whether a page of a halved limit is full."""
    stream = Told()
    asked = Asked({}, ["o"], 125, 0, by_parent=True)
    understood(stream, asked, Response(200, {}, b"", NOW), chance=0, now=NOW)
    assert stream.limits == [125]


def test_too_much_of_one_parent_is_asked_for_in_smaller_pages() -> None:
    """One id, but many records; a record by its own id cannot be halved."""
    large = Failure("too_large", "the body is large")
    by_parent = Asked({}, ["o"], 250, 0, by_parent=True)
    _, answer = understood(Told(), by_parent, large, chance=0, now=NOW)
    assert (answer.action, by_parent.count) == ("halve", 250)
    by_id = Asked({}, ["r"], 250, 0)
    _, answer = understood(Told(), by_id, large, chance=0, now=NOW)
    assert (answer.action, by_id.count) == ("refuse", 1)


def test_a_parent_that_is_gone_is_refused_under_its_own_resource() -> None:
    """With what was answered; whether it stays due is decided by what the others are answered."""
    page, answer = understood(
        Told(), Asked({}, ["o"], 250, 0, True), Response(404, {}, b"gone", NOW), chance=0, now=NOW
    )
    assert page is not None
    assert page.only_refused
    assert answer.action == "refuse"
    assert [(one.upstream_id, one.resource, one.body) for one in page.refused] == [
        ("o", "orders", b"gone")
    ]


def test_of_several_parents_the_ids_are_halved_first_and_then_the_pages() -> None:
    """However small the page: half of it is never nothing."""
    gone = Response(404, {}, b"gone", NOW)
    asked = Asked({}, ["a", "b", "c"], 1, 0, by_parent=True)
    _, answer = understood(Told(), asked, gone, chance=0, now=NOW)
    assert (answer.action, asked.count) == ("halve", 3)
    assert (asked.halved.ids, asked.halved.limit) == (["a"], 1)
    alone = Asked({}, ["a"], 2, 0, by_parent=True)
    assert (list(alone.halved.ids), alone.halved.limit) == (["a"], 1)
    listed = Asked({}, [], 100, 0)
    assert (list(listed.halved.ids), listed.halved.limit) == ([], 50)
