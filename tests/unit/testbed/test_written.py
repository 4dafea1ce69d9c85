"""The judge of what was written back must be able to fail: whatever is planted is reported."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from testbed.audit import audit
from testbed.http import Request
from testbed.simulators.digital_river import TOKEN_DEFAULT, DigitalRiverSimulator
from testbed.written import Verdict, judge
from tests.unit.testbed.upstream import START

ORDERED = {"MUG": 3, "TRAY": 2}


class Run:
    """An order shipped in two packages, the rest canceled, all of it written back; to be spoiled.

    The second package's tracking number was corrected.
    """

    def __init__(self) -> None:
        self.river = DigitalRiverSimulator(clock=lambda: START, requests_per_second=1000)
        lines = [{"id": sku, "skuId": sku, "quantity": n} for sku, n in ORDERED.items()]
        self.river.put_order({"id": "o1", "upstreamId": "500", "items": lines})
        self.events = [
            shipped("e1", "p1", {"MUG": 1}, "1Z1"),
            shipped("e2", "p2", {"MUG": 1, "TRAY": 1}, "1Z2"),
            shipped("e3", "p2", {"MUG": 1, "TRAY": 1}, "1Z3", kind="package.tracking_changed"),
            canceled("e4", {"MUG": 1}, {"MUG": 2}),
        ]
        self.write("e1", {"MUG": 1}, "1Z1")
        corrected = self.write("e2", {"MUG": 1, "TRAY": 1}, "1Z2")
        self.post(f"/{corrected}", {"trackingNumber": "1Z3"})
        self.write("e4", {"MUG": 1}, None, name="cancelQuantity")
        self.write_backs: list[dict[str, Any]] = []
        self.written: dict[str, Any] = {**self.river.written(), "shipped_by": "zentail"}
        self.stored = [
            {"source": "river", "upstream_id": one["id"], "echo": True, "packages": []}
            for one in self.written["fulfillments"]
        ]

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        head = {"authorization": f"Bearer {TOKEN_DEFAULT}"}
        target = f"/digital-river/fulfillments{path}"
        answer = self.river.handle(Request("POST", target, head, json.dumps(body).encode()))
        assert answer.status in (200, 201), answer.body
        found: dict[str, Any] = json.loads(answer.body)
        return found

    def write(
        self, event_id: str, pieces: dict[str, int], number: str | None, *, name: str = "quantity"
    ) -> str:
        """A fulfillment as it should be; its id."""
        body: dict[str, Any] = {
            "orderId": "o1",
            "items": [{"itemId": sku, name: count} for sku, count in pieces.items()],
            "metadata": {"shipfeed_event_id": event_id},
            **({"trackingNumber": number} if number else {}),
        }
        return str(self.post("", body)["id"])

    def lose(self, event_id: str) -> None:
        """As if the target had never been asked."""
        lost = self.made(event_id)
        self.written["fulfillments"].remove(lost)
        self.written["captures"] = [
            one for one in self.written["captures"] if one["fulfillmentId"] != lost["id"]
        ]

    def hold(self, event_id: str) -> None:
        self.write_backs.append(
            {
                "wanted": {"event_id": event_id},
                "state": "held",
                "reason": "less is left",
            }
        )

    def made(self, event_id: str) -> dict[str, Any]:
        found: dict[str, Any] = next(
            one
            for one in self.written["fulfillments"]
            if one["metadata"]["shipfeed_event_id"] == event_id
        )
        return found

    def judge(self) -> Verdict:
        return judge("river", self.written, self.events, self.stored, self.write_backs)

    def bad(self) -> set[str]:
        return {bad for bad, _ in self.judge().findings}


def shipped(
    event_id: str, package: str, pieces: dict[str, int], number: str, kind: str = "package.shipped"
) -> dict[str, Any]:
    items = [{"sku": sku, "quantity": str(count)} for sku, count in pieces.items()]
    told = {"id": package, "line_items": items, "trackings": [{"number": number}]}
    data = {"fulfillment": header("zentail", "500"), "package": told, "changes": []}
    return {"id": event_id, "type": kind, "data": data}


def canceled(event_id: str, before: dict[str, int], after: dict[str, int]) -> dict[str, Any]:
    both = [
        [{"sku": sku, "quantity": str(count)} for sku, count in pieces.items()]
        for pieces in (before, after)
    ]
    change = {"field": "canceled_items", "before": both[0], "after": both[1]}
    data = {"fulfillment": header("zentail", "500"), "package": None, "changes": [change]}
    return {"id": event_id, "type": "fulfillment.items_canceled", "data": data}


def header(source: str, upstream_id: str) -> dict[str, Any]:
    order = {"id": upstream_id, "number": upstream_id}
    return {"source": source, "account": "acme", "upstream_id": upstream_id, "orders": [order]}


@pytest.fixture
def run() -> Run:
    return Run()


def test_what_was_asked_for_and_written_once_is_all_right(run: Run) -> None:
    """Two packages and a cancellation; the correction is on the one it was told of."""
    verdict = run.judge()

    assert (verdict.written, verdict.held, verdict.findings) == (3, 0, [])


def test_what_was_never_written_is_missing(run: Run) -> None:
    """Nobody holds it either."""
    run.lose("e1")

    assert run.bad() == {"missing"}


def test_what_is_held_for_too_little_is_left_is_no_loss(run: Run) -> None:
    """It is counted as held; what could be written is not to be held."""
    for event_id in ("e1", "e4"):
        run.lose(event_id)
        run.hold(event_id)
    run.events[0] = shipped("e1", "p1", {"MUG": 3}, "1Z1")

    verdict = run.judge()

    assert (verdict.written, verdict.held) == (1, 1)
    assert verdict.findings == [
        ("missing", "e4 of order 500 is held without need: less is left"),
    ]


def write_again(run: Run) -> None:
    run.written["fulfillments"].append({**run.made("e1"), "id": "ful_again"})


def capture_again(run: Run) -> None:
    run.written["captures"].append(run.written["captures"][0])


@pytest.mark.parametrize("plant", [write_again, capture_again])
def test_what_was_written_or_paid_twice_is_a_duplicate(
    run: Run, plant: Callable[[Run], None]
) -> None:
    """A second fulfillment for an event; a second capture for a fulfillment."""
    plant(run)

    assert "duplicate" in run.bad()


def write_unasked(run: Run) -> None:
    run.events = [event for event in run.events if event["id"] != "e1"]


def write_too_few(run: Run) -> None:
    run.made("e2")["items"].pop()


def write_to_another_order(run: Run) -> None:
    run.made("e1")["orderId"] = "o2"


def forget_the_correction(run: Run) -> None:
    run.made("e2")["trackingNumber"] = "1Z2"


def order_less(run: Run) -> None:
    run.written["orders"][0]["items"][0]["quantity"] = 2


def capture_nothing(run: Run) -> None:
    run.written["captures"].clear()


def announce_the_echo(run: Run) -> None:
    event = shipped("e9", "p9", {"MUG": 1}, "1Z1")
    event["data"]["fulfillment"] = header("river", run.made("e1")["id"])
    run.events.append(event)


def store_it_as_news(run: Run) -> None:
    run.stored[0]["echo"] = False


def store_it_nowhere(run: Run) -> None:
    run.stored.pop()


@pytest.mark.parametrize(
    "plant",
    [
        write_unasked,
        write_too_few,
        write_to_another_order,
        forget_the_correction,
        order_less,
        capture_nothing,
        announce_the_echo,
        store_it_as_news,
        store_it_nowhere,
    ],
)
def test_whatever_else_is_not_as_it_was_asked_for_is_wrong(
    run: Run, plant: Callable[[Run], None]
) -> None:
    """Order, pieces, number, payment, and what comes of its echo."""
    plant(run)

    assert "wrong" in run.bad()


def test_what_was_written_is_no_part_of_the_targets_world(run: Run) -> None:
    """The audit takes it for neither stored nor told wrongly, and counts it for the target."""
    told = [
        {**one, "account": "acme", "key": one["upstream_id"], "orders": [{"id": "o1"}]}
        for one in run.stored
    ]
    report = audit({"orders": []}, [], told, written={"river": {**run.written, "captures": []}})

    unasked = [text for text in report.findings if "asked nothing" in text]
    unpaid = [text for text in report.findings if "was made 0 times" in text]
    assert report.by_source["river"].wrong == len(report.findings)
    assert len(report.findings) == len(unasked) + len(unpaid) == 6
