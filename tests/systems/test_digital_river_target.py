"""Digital River as a target over real HTTP: what is asked, and what each answer leads to."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from schemas.write_back import OrderWay
from services.notifier.target import Fulfilled, Line, Outcome, Part, TargetOrder, Unread
from testbed.http import Response, json_response, serving
from tests.systems.writing import (
    CALL,
    MADE,
    ORDER,
    SECRET,
    UPDATE,
    Script,
    always,
    failure,
    listed,
    target_at,
)

WHOLE = TargetOrder(
    id="29",
    state="accepted",
    lines=(Line("1", "MUG", 3), Line("2", "POT", 1)),
    fulfilled=(),
)


async def read(script: Any, order: str = "PO-1", way: OrderWay = "order_number") -> Any:
    """The orders found, or the Unread that came of it."""
    async with serving(script) as url, target_at(url) as target:
        try:
            return await target.orders(order, way)
        except Unread as unread:
            return unread


async def answered(response: Response, call: Any = CALL) -> Any:
    """What a call leads to that is answered so."""
    async with serving(always(response)) as url, target_at(url) as target:
        return await target.call(call)


async def test_an_order_is_found_by_the_merchant_s_number() -> None:
    """By upstreamId, with the key and the version of the API that we know."""
    script = Script(orders=listed(ORDER), fulfillments=listed())

    assert await read(script) == [WHOLE]
    assert script.targets == [
        "GET /orders?upstreamIds=PO-1&limit=100",
        "GET /fulfillments?orderId=29&limit=100",
    ]
    headers = script.asked[0].headers
    assert headers["authorization"] == f"Bearer {SECRET}"
    assert headers["digitalriver-version"] == "2021-12-13"
    assert headers["content-type"] == "application/json"


async def test_an_order_is_found_by_its_id() -> None:
    """Alone, without a list."""
    script = Script(orders=json_response(200, ORDER), fulfillments=listed())

    assert await read(script, "29", "order_id") == [WHOLE]
    assert script.targets[0] == "GET /orders/29"


async def test_a_fulfillment_tells_which_order_it_is_of() -> None:
    """One that the target does not know is of none; an empty id is not even asked for."""
    found = Script(fulfillments=json_response(200, MADE))
    missing = Script(fulfillments=failure(404, "not_found"))
    wrong = Script(fulfillments=json_response(200, {**MADE, "id": "ful_2"}))

    async def order_of(script: Script, name: str) -> str | None:
        async with serving(script) as url, target_at(url) as target:
            return await target.order_of(name)

    assert await order_of(found, "ful_1") == "29"
    assert found.targets == ["GET /fulfillments/ful_1"]
    assert await order_of(missing, "ful_1") is None
    assert await order_of(missing, "") is None
    assert len(missing.asked) == 1
    with pytest.raises(Unread, match="fulfillment ful_1 was asked for, ful_2 came"):
        await order_of(wrong, "ful_1")


async def test_all_that_was_fulfilled_is_read_page_by_page() -> None:
    """Parts, cancellations, and whose event it was; the next page starts after the last id."""
    first = {
        "id": "ful/2",
        "orderId": "29",
        "shipmentId": "shp_1",
        "items": [{"itemId": "1", "skuId": "MUG", "quantity": 2, "cancelQuantity": 1}],
        "trackingNumber": " Z1 ",
        "metadata": {"shipfeed_event_id": "evt_1", "wave": 7, "gift": True},
    }
    second = {"id": "ful_1", "orderId": "29", "items": [{"itemId": "2", "cancelQuantity": 1}]}
    script = Script(orders=listed(ORDER), fulfillments=[listed(first, more=True), listed(second)])
    (order,) = await read(script)

    assert order.fulfilled == (
        Fulfilled("ful/2", (Part("1", 2, 1),), "evt_1", "shp_1", "Z1"),
        Fulfilled("ful_1", (Part("2", 0, 1),)),
    )
    assert script.targets[2] == "GET /fulfillments?orderId=29&limit=100&startingAfter=ful%2F2"


@pytest.mark.parametrize(
    ("way", "path"),
    [
        ("order_id", "/orders/a%2F..%2F%3Fb%26%20%C3%A9"),
        ("order_number", "/orders?upstreamIds=a%2F..%2F%3Fb%26%20%C3%A9&limit=100"),
    ],
)
async def test_an_id_cannot_lead_elsewhere(way: OrderWay, path: str) -> None:
    """What a shop calls its order stays one segment of a path, one value of a query."""
    script = Script(orders=failure(400, "bad_request"))
    await read(script, "a/../?b& é", way)

    assert script.targets == [f"GET {path}"]


@pytest.mark.parametrize("way", ["order_id", "order_number"])
@pytest.mark.parametrize("order", ["", ".", ".."])
async def test_an_order_without_a_name_is_not_asked_for(order: str, way: OrderWay) -> None:
    """An empty filter would list every order, a dotted path another resource."""
    script = Script(orders=listed(ORDER), fulfillments=listed())

    assert (await read(script, order, way), script.asked) == ([], [])


async def test_an_order_that_is_not_there_is_none() -> None:
    """By id and by number."""
    assert await read(Script(orders=failure(404, "not_found")), "29", "order_id") == []
    assert await read(Script(orders=listed())) == []


async def test_a_404_from_something_else_is_no_answer_about_the_order() -> None:
    """A wrong base_url would tell of every order that it is not there."""
    unread = await read(Script(orders=Response(404, b"<html>nginx")), "29", "order_id")

    assert isinstance(unread, Unread)
    assert unread.outcome == "refused"
    assert "not its own" in str(unread)


async def test_orders_of_another_number_are_left_out() -> None:
    """A list that is more generous than asked, or heeds no filter, finds no wrong order."""
    others = [{**ORDER, "id": str(number), "upstreamId": f"po-{number}"} for number in range(1, 40)]
    without = {name: value for name, value in ORDER.items() if name != "upstreamId"}
    script = Script(orders=listed(*others, ORDER, without), fulfillments=listed())

    assert await read(script) == [WHOLE]
    assert await read(Script(orders=listed(without)), "None") == []


async def test_several_orders_of_one_number_are_all_told() -> None:
    """Each whole; more than a few are not read."""
    twin = {**ORDER, "id": "30"}
    script = Script(orders=listed(ORDER, twin), fulfillments=listed())
    assert [order.id for order in await read(script)] == ["29", "30"]

    many = [{**ORDER, "id": str(number)} for number in range(11)]
    unread = await read(Script(orders=listed(*many)))
    assert (unread.outcome, str(unread)) == ("refused", "11 orders have this upstreamId")


async def test_a_list_that_comes_back_to_where_it_was_is_not_believed() -> None:
    """What is not seen whole could hide a fulfillment."""
    script = Script(orders=listed(ORDER), fulfillments=listed(MADE, more=True))

    assert ((await read(script)).outcome, len(script.asked)) == ("unknown", 3)


async def test_an_order_that_does_not_add_up_is_held() -> None:
    """A fulfillment of an item that it has not: nothing more is said to be left of it."""
    strange = {**MADE, "items": [{"itemId": "9", "quantity": 1}]}
    unread = await read(Script(orders=listed(ORDER), fulfillments=listed(strange)))

    assert unread.outcome == "refused"
    assert str(unread).startswith("order 29 does not add up: fulfillment ful_1")


async def test_another_order_than_was_asked_for_is_none() -> None:
    """An id is answered with that id."""
    unread = await read(Script(orders=json_response(200, ORDER)), "30", "order_id")

    assert (unread.outcome, str(unread)) == ("refused", "order 30 was asked for, 29 came")


async def test_a_call_fulfills_and_tells_the_new_id() -> None:
    """It is sent as a dry run shows it."""
    script = Script(fulfillments=json_response(201, MADE))
    async with serving(script) as url, target_at(url) as target:
        answer = await target.call(CALL)
        method, path, body = target.request(CALL)

    assert (answer.outcome, answer.fulfillment_id, answer.detail) == ("done", "ful_1", None)
    assert script.targets == ["POST /fulfillments"] == [f"{method} {path}"]
    assert script.bodies == [body]
    assert body["metadata"] == {"shipfeed_event_id": "evt_1"}


async def test_an_update_says_tracking_and_nothing_else() -> None:
    """What the fulfillment is known by stays as it is."""
    script = Script(fulfillments=json_response(200, MADE))
    async with serving(script) as url, target_at(url) as target:
        answer = await target.call(UPDATE)

    assert (answer.outcome, answer.fulfillment_id) == ("done", "ful_1")
    assert script.targets == ["POST /fulfillments/ful_1"]
    assert script.bodies == [{"trackingNumber": "Z2"}]


async def test_an_update_of_nothing_is_not_sent() -> None:
    """Posted to the list, it would make a fulfillment."""
    script = Script(fulfillments=json_response(201, MADE))
    async with serving(script) as url, target_at(url) as target:
        answer = await target.call(UPDATE.model_copy(update={"fulfillment_id": ""}))

    assert (answer.outcome, script.asked) == ("refused", [])


@pytest.mark.parametrize(
    "response",
    [Response(200, b"<html>Sign in"), json_response(202, MADE), Response(204), Response(201)],
)
async def test_a_success_that_does_not_say_what_it_made_is_unknown(response: Response) -> None:
    """The order is read before anything else is done."""
    answer = await answered(response)

    assert (answer.outcome, answer.fulfillment_id) == ("unknown", None)
    assert f"answered {response.status}" in answer.detail


STATUSES: list[tuple[int, str, Outcome]] = [
    *((400, "bad_request", "refused"), (404, "not_found", "refused")),
    *((405, "method_not_allowed", "refused"), (406, "not_acceptable", "refused")),
    *((422, "", "refused"), (410, "", "refused"), (401, "unauthorized", "unauthorized")),
    *((403, "forbidden", "unauthorized"), (409, "conflict", "conflict"), (409, "", "conflict")),
    *((429, "too_many_requests", "busy"), (429, "", "busy"), (408, "request_timeout", "unknown")),
    *((500, "internal_server_error", "unknown"), (502, "bad_gateway", "unknown")),
    *((503, "service_unavailable", "unknown"), (504, "gateway_timeout", "unknown")),
    *((599, "", "unknown"), (302, "", "refused"), (308, "", "refused"), (303, "", "unknown")),
    # A gateway's status over the system's own words, or the other way around.
    *((400, "conflict", "conflict"), (400, "gateway_timeout", "unknown")),
    *((500, "bad_request", "unknown"), (400, "never_heard_of", "refused")),
]


@pytest.mark.parametrize(("status", "kind", "outcome"), STATUSES)
async def test_what_an_answer_means(status: int, kind: str, outcome: Outcome) -> None:
    """By status and type: only what certainly did nothing may be sent again."""
    answer = await answered(failure(status, kind, code="order_fulfilled"))

    assert (answer.outcome, answer.fulfillment_id) == (outcome, None)
    assert answer.detail.startswith(f"Digital River answered {status} {kind}".strip())
    assert "order_fulfilled orderId Words." in answer.detail


async def test_reading_fails_as_a_call_would_but_for_a_conflict() -> None:
    """Which a reading cannot have."""
    found = {
        status: (await read(Script(orders=failure(status, "")))).outcome
        for status in (302, 400, 401, 409, 429, 500)
    }

    assert found == {
        302: "refused",
        400: "refused",
        401: "unauthorized",
        409: "refused",
        429: "busy",
        500: "unknown",
    }


@pytest.mark.parametrize("response", [Response(200, b"<html>Sign in"), Response(204)])
async def test_orders_that_cannot_be_read_are_unread(response: Response) -> None:
    """Nothing is guessed from what is no list."""
    unread = await read(Script(orders=response))

    assert isinstance(unread, Unread)
    assert unread.outcome == "unknown"


async def test_an_answer_names_what_the_vendor_finds_it_by() -> None:
    """The id of the request, beside code, parameter and message."""
    answer = await answered(failure(400, "bad_request", **{"x-dr-requestid": "req_7"}))

    assert answer.detail == (
        "Digital River answered 400 bad_request; some_code orderId Words.; its request id is req_7"
    )


async def test_retry_after_is_told_in_seconds() -> None:
    """As it came, or until the date that came; of a reading, too."""
    later = format_datetime(datetime.now(UTC) + timedelta(hours=2), usegmt=True)
    seconds = await answered(failure(429, "too_many_requests", **{"Retry-After": "120"}))
    date = await answered(failure(429, "too_many_requests", **{"Retry-After": later}))
    unread = await read(Script(orders=failure(429, "", **{"Retry-After": "120"})))

    assert (seconds.retry_after_seconds, unread.retry_after_seconds) == (120, 120)
    assert 0 < date.retry_after_seconds <= 7_200


async def test_a_name_cut_in_the_middle_of_an_emoji_harms_no_order() -> None:
    """Half a surrogate pair stands in texts that nobody here needs."""
    body = json.dumps({**ORDER, "email": "cut"}).replace("cut", "\\ud83d").encode()
    script = Script(orders=Response(200, body), fulfillments=listed())

    assert await read(script, "29", "order_id") == [WHOLE]
