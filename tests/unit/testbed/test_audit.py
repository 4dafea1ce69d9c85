"""The audit must be able to fail: planted losses, repeats and lies are each reported."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from testbed.audit import Report, audit
from testbed.simulators.zentail import ZentailSimulator
from testbed.world import World
from tests.unit.testbed.pipeline import Pipeline, shipped_event

START = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
STEP = timedelta(milliseconds=200)


class Run:
    """A whole world seen by a perfect pipeline, ready to be spoiled."""

    def __init__(self) -> None:
        world = World(11, start=START)
        simulator = ZentailSimulator(world=world)
        pipeline = Pipeline()
        for step in range(101):
            for order in world.advance(START + step * STEP):
                pipeline.observe(simulator.row(order).body)
        self.truth = world.truth(START + 101 * STEP)
        self.received = pipeline.received
        self.fulfillments = pipeline.fulfillments

    def audit(self) -> Report:
        return audit(self.truth, self.received, self.fulfillments)

    def must(self) -> Iterator[dict[str, Any]]:
        """Received records of packages that shipped once, stayed, and are like no other."""
        for record in self.received:
            order_id = record["event"]["data"]["fulfillment"]["orders"][0]["id"]
            packages = next(o for o in self.truth["orders"] if o["id"] == order_id)["packages"]
            numbers = {package["states"][-1]["tracking"] for package in packages}
            if len(numbers) == len(packages) and all(
                package["live"] and len(package["states"]) == 1 for package in packages
            ):
                yield record


@pytest.fixture
def run() -> Run:
    return Run()


def test_a_perfect_run_has_nothing_missing_duplicate_or_wrong(run: Run) -> None:
    """The figures of a clean run add up, per source as well."""
    report = run.audit()

    assert report.clean
    assert report.findings == []
    assert report.delivered == report.verified == len(run.received)
    assert report.shipped_events == report.delivered
    assert report.as_dict()["by_source"]["zentail"]["shipped_in_world"] == report.shipped_in_world


def test_a_lost_event_is_missing(run: Run) -> None:
    """Promise 1: nothing is lost."""
    run.received.remove(next(run.must()))

    report = run.audit()

    assert (report.missing, report.duplicate, report.wrong) == (1, 0, 0)
    assert "was never announced" in report.findings[0]


def test_an_event_the_receiver_refused_is_missing(run: Run) -> None:
    """Only what was answered with 2xx has been delivered."""
    next(run.must())["status"] = 503

    report = run.audit()

    assert (report.missing, report.duplicate, report.wrong) == (1, 0, 0)
    assert report.verified == report.delivered + 1


def test_a_second_id_for_one_package_is_a_duplicate(run: Run) -> None:
    """Promise 2: package.shipped once per package."""
    event = next(run.must())["event"]
    number = int(event["data"]["fulfillment"]["orders"][0]["id"])
    again = shipped_event(number, event["data"]["package"], suffix="-again")
    run.received.append({"webhook_id": again["id"], "status": 200, "event": again})

    report = run.audit()

    assert (report.missing, report.duplicate, report.wrong) == (0, 1, 0)
    assert event["id"] in report.findings[0]
    assert again["id"] in report.findings[0]


def test_equal_twins_need_two_announcements(run: Run) -> None:
    """Two boxes under one number are two packages, also when they cannot be told apart."""
    by_claim: dict[str, list[dict[str, Any]]] = {}
    for record in run.received:
        package = {**record["event"]["data"]["package"], "id": None}
        by_claim.setdefault(str(package), []).append(record)
    twins = next(records for records in by_claim.values() if len(records) == 2)

    assert run.audit().clean
    run.received.remove(twins[0])
    assert run.audit().missing == 1


def test_a_repeated_webhook_id_is_redelivered_and_nothing_else(run: Run) -> None:
    """A repeat of one webhook-id is counted apart."""
    run.received.append(dict(next(run.must())))

    report = run.audit()

    assert report.clean
    assert report.redelivered == 1
    assert report.verified == report.delivered + 1


def lie_about_number(event: dict[str, Any]) -> None:
    event["data"]["package"]["trackings"] = [{"number": "1Z-NEVER"}]


def lie_about_contents(event: dict[str, Any]) -> None:
    event["data"]["package"]["line_items"][0]["quantity"] = "99"


def lie_about_order(event: dict[str, Any]) -> None:
    event["data"]["fulfillment"]["orders"] = [{"id": "1", "number": "1"}]


@pytest.mark.parametrize("lie", [lie_about_number, lie_about_contents, lie_about_order])
def test_an_announcement_that_never_was_true_is_wrong(run: Run, lie: Any) -> None:
    """The package it should have announced is missing as well."""
    record = next(run.must())
    data = record["event"]["data"]
    record["event"] = {
        **record["event"],
        "data": {
            "fulfillment": dict(data["fulfillment"]),
            "package": {
                **data["package"],
                "line_items": [dict(item) for item in data["package"]["line_items"]],
            },
        },
    }
    lie(record["event"])

    report = run.audit()

    assert (report.missing, report.duplicate, report.wrong) == (1, 0, 1)


def test_an_announcement_without_a_package_is_wrong(run: Run) -> None:
    """package.shipped is about one package."""
    record = next(run.must())
    data = {**record["event"]["data"], "package": None}
    record["event"] = {**record["event"], "data": data}

    report = run.audit()

    assert (report.missing, report.duplicate, report.wrong) == (1, 0, 1)


def test_a_package_announced_before_it_shipped_is_wrong(run: Run) -> None:
    """A label is no shipment."""
    order, state = next(
        (order, package["states"][0])
        for order in run.truth["orders"]
        for package in order["packages"]
        if package["states"][0]["contents"] and not package["states"][0]["shipped"]
    )
    label = {
        "id": "pkg-label",
        "trackings": [],
        "line_items": [
            {"sku": sku, "quantity": str(quantity)} for sku, quantity in state["contents"].items()
        ],
    }
    event = shipped_event(int(order["id"]), label)
    run.received.append({"webhook_id": event["id"], "status": 200, "event": event})

    report = run.audit()

    assert (report.missing, report.duplicate, report.wrong) == (0, 0, 1)


def test_an_event_under_another_webhook_id_is_wrong(run: Run) -> None:
    """The webhook-id is the event id, on every try."""
    next(run.must())["webhook_id"] = "msg-1"

    assert run.audit().wrong == 1


def lose_package(packages: list[dict[str, Any]]) -> None:
    packages.pop()


def keep_pending(packages: list[dict[str, Any]]) -> None:
    packages[0]["status"] = "pending"


def keep_old_number(packages: list[dict[str, Any]]) -> None:
    packages[0]["trackings"] = [{"number": "1Z-OLD"}]


@pytest.mark.parametrize("spoil", [lose_package, keep_pending, keep_old_number])
def test_a_final_state_that_differs_from_the_world_is_wrong(run: Run, spoil: Any) -> None:
    """Live packages match one to one by number and contents, with their shipped status."""
    stored = next(
        packages
        for fulfillment in run.fulfillments
        if (packages := fulfillment["packages"])
        and all(package["status"] == "shipped" for package in packages)
    )
    spoil(stored)

    report = run.audit()

    assert (report.missing, report.duplicate, report.wrong) == (0, 0, 1)
    assert "but is stored as" in report.findings[0]


def test_a_stored_order_that_never_was_is_wrong(run: Run) -> None:
    """The final state holds nothing the world does not."""
    known = run.fulfillments[0]
    run.fulfillments.append({**known, "orders": [{"id": "1", "number": "1"}], "packages": []})

    report = run.audit()

    assert report.wrong == 1
    assert report.findings == [
        "zentail: order zentail/acme/1 is stored, but no such order ever was"
    ]


def test_an_order_not_stored_is_wrong_only_if_it_has_packages(run: Run) -> None:
    """An order without packages may honestly never have been seen."""
    empty = [f for f in run.fulfillments if not f["packages"]]
    assert empty
    for fulfillment in empty:
        number = int(fulfillment["orders"][0]["id"])
        run.fulfillments = [f for f in run.fulfillments if f["key"] != fulfillment["key"]]
        assert run.audit().clean, number

    run.fulfillments.clear()

    assert run.audit().wrong > 0


def test_a_package_shipped_only_for_a_while_may_be_announced_or_not(run: Run) -> None:
    """What was shipped between two polls may honestly never have been seen."""
    gone = [
        package["states"][-1]["tracking"]
        for order in run.truth["orders"]
        for package in order["packages"]
        if not package["live"] and package["states"][-1]["shipped"]
    ]
    unseen = [
        record
        for record in run.received
        if record["event"]["data"]["package"]["trackings"][:1] != [{"number": gone[0]}]
    ]

    assert len(unseen) == len(run.received) - 1
    assert run.audit().clean
    run.received = unseen
    assert run.audit().clean
