"""Digital River's words: what an order's answers say, what is asked, what an answer leads to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, cast, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.write_back import Call, CallItem
from services.notifier.exchange import Exchange
from services.notifier.replies import Reply, decoded
from services.notifier.target import Fulfilled, Line, Outcome, Part, TargetOrder
from services.notifier.targets.digital_river import (
    DigitalRiver,
    _Fulfillment,
    _Listed,
    _Order,
    judged,
    made_by,
    said,
    whole_order,
)

LINES = [
    {"id": "1", "skuId": "MUG", "quantity": 3},
    {"id": "2", "skuId": "MUG", "quantity": 1},
]
ORDER = {"id": "29", "state": "accepted", "items": LINES}
MADE = {"id": "ful_1", "orderId": "29", "items": [{"itemId": "1", "quantity": 2}]}
CALL = Call(
    kind="fulfill",
    order_id="29",
    event_id="evt_1",
    items=(CallItem(line_id="1", quantity=2),),
)
UPDATE = Call(
    kind="update", order_id="29", fulfillment_id="ful_1", event_id="evt_2", tracking_number="Z2"
)


def whole(order: Any, fulfillments: Sequence[Any] = ()) -> TargetOrder:
    """The order as it is told by these bodies."""
    return whole_order(
        decoded(json.dumps(order).encode(), _Order),
        decoded(json.dumps(fulfillments).encode(), list[_Fulfillment]),
    )


def test_an_order_is_told_line_by_line() -> None:
    """Two lines of one product are two; ids that came as numbers are texts."""
    numbers = {"id": 29, "state": "accepted", "items": [{"id": 1, "quantity": 0}]}

    assert whole(ORDER).lines == (Line("1", "MUG", 3), Line("2", "MUG", 1))
    assert whole(numbers) == TargetOrder("29", "accepted", (Line("1", "", 0),), ())


def test_what_is_unset_is_none() -> None:
    """However that is said: absent, null, empty, or an event's id that is none."""
    empty = {"shipmentId": "", "trackingNumber": " ", "metadata": {"shipfeed_event_id": 7}}
    null = dict.fromkeys(empty)
    bare = Fulfilled("ful_1", (Part("1", 2, 0),))

    assert whole(ORDER, [MADE]).fulfilled == (bare,)
    assert whole(ORDER, [{**MADE, **empty}]).fulfilled == (bare,)
    assert whole(ORDER, [{**MADE, **null}]).fulfilled == (bare,)


@pytest.mark.parametrize(
    ("state", "advice"),
    [
        *(("pending_payment", "not authorized"), ("in_review", "review"), ("dispute", "disputed")),
        *(("blocked", "call the package back"), ("cancelled", "call the package back")),
        *(("fulfilled", "compare"), ("complete", "compare"), ("returned", "compare")),
        ("never_heard_of", "only an accepted"),
    ],
)
def test_only_an_accepted_order_is_fulfilled(state: str, advice: str) -> None:
    """The others are read whole all the same, and say why not."""
    order = whole({**ORDER, "state": state}, [MADE])

    assert order.state == state
    assert advice in str(order.refused)
    assert (order.lines, order.fulfilled) == (whole(ORDER).lines, whole(ORDER, [MADE]).fulfilled)
    assert whole(ORDER).refused is None


MISFITS: dict[str, tuple[Any, list[Any]]] = {
    "a fulfillment of another order": (ORDER, [{**MADE, "orderId": "30"}]),
    "an item that the order has not": (
        ORDER,
        [{**MADE, "items": [{"itemId": "9", "quantity": 1}]}],
    ),
    "an item without a quantity": (ORDER, [{**MADE, "items": [{"itemId": "1"}]}]),
    "an item whose quantity is null": (
        ORDER,
        [{**MADE, "items": [{"itemId": "1", "quantity": None, "cancelQuantity": 0}]}],
    ),
    "a fulfillment listed twice": (ORDER, [MADE, MADE]),
    "two lines of one id": ({**ORDER, "items": LINES[:1] * 2}, []),
}


@pytest.mark.parametrize("name", MISFITS)
def test_what_could_hide_a_fulfillment_is_not_told(name: str) -> None:
    """Overlooked, it would be made a second time."""
    with pytest.raises(ValueError, match=r"fulfillment|lines"):
        whole(*MISFITS[name])


def page(order: Any) -> dict[str, Any]:
    """A list of this one order."""
    return {"hasMore": False, "data": [order]}


ILLEGIBLE = {
    "no list": {"data": []},
    "more of nothing": {"hasMore": True, "data": []},
    "items that are none": page({**ORDER, "items": "none"}),
    "no id": page({**ORDER, "id": ""}),
    "an id without end": page({**ORDER, "id": "x" * 1_000}),
    "an id too long to print": page({**ORDER, "id": 10**4_000}),
    "less than nothing": page({**ORDER, "items": [{"id": 1, "quantity": -1}]}),
    "a half": page({**ORDER, "items": [{"id": 1, "quantity": 0.5}]}),
}


@pytest.mark.parametrize("name", ILLEGIBLE)
def test_orders_of_another_shape_are_refused(name: str) -> None:
    """As one kind of error, whatever is wrong."""
    with pytest.raises(ValueError, match=r"\w"):
        decoded(json.dumps(ILLEGIBLE[name]).encode(), _Listed[_Order])


def asked(call: Call) -> tuple[str, str, Any]:
    """What is asked for it; nothing is sent."""
    return DigitalRiver(cast("Exchange", None)).request(call)


def test_a_call_says_what_there_is_to_say() -> None:
    """What is None is absent, whole numbers are numbers, the event's id goes along."""
    call = CALL.model_copy(
        update={
            "items": (
                CallItem(line_id="1", quantity=2, distributor_cost="400.50", shipping_cost="10"),
                CallItem(line_id="2", cancel_quantity=1),
            ),
            "currency": "EUR",
            "partner_id": "partner123",
        }
    )

    assert asked(call) == (
        "POST",
        "/fulfillments",
        {
            "orderId": "29",
            "items": [
                {"itemId": "1", "quantity": 2, "distributorCost": 400.5, "shippingCost": 10},
                {"itemId": "2", "cancelQuantity": 1},
            ],
            "currency": "EUR",
            "partnerId": "partner123",
            "metadata": {"shipfeed_event_id": "evt_1"},
        },
    )


def test_an_update_leaves_what_a_fulfillment_is_known_by() -> None:
    """Its tracking alone, at its own path."""
    call = UPDATE.model_copy(update={"fulfillment_id": "ful/1?", "tracking_company": "UPS"})

    assert asked(call) == (
        "POST",
        "/fulfillments/ful%2F1%3F",
        {"trackingCompany": "UPS", "trackingNumber": "Z2"},
    )


@pytest.mark.parametrize(
    "call",
    [
        *(UPDATE.model_copy(update={"fulfillment_id": one}) for one in (None, "", ".", "..")),
        CALL.model_copy(update={"items": (CallItem(line_id="1", distributor_cost="a lot"),)}),
        CALL.model_copy(update={"items": (CallItem(line_id="1", shipping_cost="Infinity"),)}),
    ],
)
def test_what_cannot_be_asked_is_not(call: Call) -> None:
    """An update of nothing would make a fulfillment; JSON knows no such amount."""
    with pytest.raises(ValueError, match=r"id of nothing|quantity"):
        asked(call)


UNCLEAR: dict[str, bytes] = {
    "a page for people": b"<html>Sign in",
    "nothing": b"",
    "no object": b'[{"id":"ful_1","orderId":"29"}]',
    "no id": b'{"orderId":"29"}',
    "an id that is none": b'{"orderId":"29","id":{}}',
    "an empty id": b'{"orderId":"29","id":""}',
    "a number too long to print": b'{"orderId":"29","id":' + b"9" * 5_000 + b"}",
    "another order": b'{"id":"ful_1","orderId":"30"}',
    "no order": b'{"id":"ful_1"}',
    "no bytes of UTF-8": b'{"orderId":"29","id":"\xff"}',
    "too deep": b'{"x":' + b"[" * 200_000,
}


@pytest.mark.parametrize("name", UNCLEAR)
def test_a_success_counts_only_when_it_says_what_was_made(name: str) -> None:
    """For anything else the order is read first."""
    assert made_by(CALL, Reply(201, {}, UNCLEAR[name])) is None


@pytest.mark.parametrize(("status", "made"), [(200, "ful_1"), (201, "ful_1"), (202, None)])
def test_a_success_says_what_was_made(status: int, made: str | None) -> None:
    """Accepted for later is none: it is looked for."""
    assert made_by(CALL, Reply(status, {}, json.dumps(MADE).encode())) == made


def test_an_update_is_told_of_its_own_fulfillment() -> None:
    """Another's id says nothing of it."""
    assert made_by(UPDATE, Reply(200, {}, json.dumps(MADE).encode())) == "ful_1"
    assert made_by(UPDATE, Reply(200, {}, json.dumps({**MADE, "id": "ful_9"}).encode())) is None


def test_an_answer_is_told_in_its_own_words() -> None:
    """A few of its errors, what to do, and what the vendor finds the request by."""
    errors = [{"code": f"c{n}", "parameter": None, "message": f"m{n}"} for n in range(9)]
    body = json.dumps({"type": "forbidden", "errors": errors}).encode()

    assert said(Reply(403, {"x-dr-requestid": "req_7"}, body)) == (
        "Digital River answered 403 forbidden; c0 m0; c1 m1; c2 m2; "
        "check the key and whether it may do this; notifiers read a mended one when they start; "
        "its request id is req_7"
    )
    assert said(Reply(502, {}, b"<html>")) == (
        "Digital River answered 502; in words that are not its own"
    )


@given(st.integers(100, 999), st.binary(max_size=40) | st.from_regex(rb'\{"type": ?".*'))
def test_no_answer_breaks_the_judgement(status: int, body: bytes) -> None:
    """Whatever came, it is one of the outcomes, and there are words for it."""
    reply = Reply(status, {}, body)

    assert judged(reply) in get_args(Outcome)
    assert str(status) in said(reply)
