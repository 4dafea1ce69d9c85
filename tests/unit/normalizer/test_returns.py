"""A return label that is listed as one more package is no departure, in any system."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from services.normalizer.returns import is_return
from tests.unit.normalizer.copies import SAMPLES, outcome, seen
from tests.unit.normalizer.feed import Feed, box, order

LABEL = {"labelType": "RETURN"}


@pytest.mark.parametrize(
    "told",
    [
        {"type": "return"},
        {"label_type": "Return Label"},
        {"packageType": "RETURN"},
        {"direction": "reverse"},
        {"isReturn": True},
        {"is_return": "true"},
        {"shipment_type": "returns"},
    ],
    ids=str,
)
def test_the_usual_spellings_say_return(told: dict[str, Any]) -> None:
    """However the words are joined and whatever their case."""
    assert is_return(told)


@pytest.mark.parametrize(
    "told",
    [
        {"isReturn": False},
        {"is_return": None},
        {"status": "returned"},
        {"type": "returnable crate"},
        {"direction": "inbound"},
        {"note": "return"},
        {"type": ["return"]},
        "return",
        None,
    ],
    ids=str,
)
def test_anything_else_is_a_package(told: Any) -> None:
    """A package that came back has left before."""
    assert not is_return(told)


@pytest.mark.parametrize("source", SAMPLES)
def test_a_record_that_is_a_return_tells_no_departure(source: str) -> None:
    """Beside the same record, which does.  What its status says of the whole stays its own word."""
    whole = seen(source, labelType="RETURN")
    types = {event.type for event in outcome(whole, None).events}

    assert "package.shipped" in {event.type for event in outcome(seen(source), None).events}
    assert not types & {"package.created", "package.shipped", "package.delivered"}


def test_a_return_beside_packages_of_a_zentail_order_is_passed_over() -> None:
    """The package that left is announced alone, and the order is shipped with it."""
    feed = Feed()
    back = {**box({"MUG": 1}, tracking="R1", shipped=5), **LABEL}
    told = feed.see(order(box({"MUG": 1}, tracking="T1", shipped=0), back, status="SHIPPED"))

    assert told == ["package.created", "package.shipped", "fulfillment.shipped"]
    assert [one.trackings[0].number for one in feed.state.packages] == ["T1"]


def test_a_return_beside_load_carriers_of_a_shipment_is_passed_over() -> None:
    """Its lines are none of the shipment's."""
    (carrier,) = SAMPLES["tradecloud"].record["loadCarriers"]
    back = {**copy.deepcopy(carrier), "packageSSCC": "340123450000000024", **LABEL}
    state = outcome(seen("tradecloud", loadCarriers=[carrier, back]), None).state

    assert state is not None
    assert len(state.packages) == 1
    assert state.line_items == state.packages[0].line_items
