"""Digital River: orders and what was fulfilled of them, over its API with a secret key.

One resource fulfills and cancels, and both move a customer's money.  There is no idempotency key:
what is made for an event carries the event's id in its metadata and is found by it.  What is read
and does not add up is refused, not interpreted: what is overlooked here would be fulfilled twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from schemas.write_back import EVENT_ID_NAME, Call, OrderWay
from services.notifier import replies
from services.notifier.channel import Surroundings
from services.notifier.exchange import Exchange, Page, all_pages
from services.notifier.target import Answer, Fulfilled, Line, Outcome, Part, TargetOrder, Unread
from services.notifier.write_backs.settings import TargetEntry

BASE_URL = "https://api.digitalriver.com"
VERSION = "2021-12-13"  # left out, each key has a version of its own
REQUEST_ID = "x-dr-requestid"  # what the vendor finds a request by
PAGE_SIZE = 100
ORDERS_MAX = 10  # of one number; each is read whole
ERRORS_TOLD_MAX = 3

NOT_FULFILLED: Mapping[str, str] = {
    "pending_payment": "its payment is not authorized yet",
    "in_review": "its fraud review is not over",
    "dispute": "its payment is disputed",
    **dict.fromkeys(("blocked", "cancelled"), "it will not be paid for: call the package back"),
    **dict.fromkeys(("fulfilled", "complete", "returned"), "compare what it has with what left"),
}
BY_TYPE: Mapping[str, Outcome] = {
    **dict.fromkeys(("bad_request", "not_found", "method_not_allowed"), "refused"),
    **dict.fromkeys(("unauthorized", "forbidden"), "unauthorized"),
    **dict.fromkeys(("request_timeout", "gateway_timeout", "bad_gateway"), "unknown"),
    **dict.fromkeys(("internal_server_error", "service_unavailable"), "unknown"),
    "not_acceptable": "refused",
    "conflict": "conflict",
    "too_many_requests": "busy",
}


class _Record(msgspec.Struct):
    id: replies.Id


class _Item(_Record, rename="camel"):
    quantity: replies.Count
    sku_id: replies.Text | None = None


class _Order(_Record, rename="camel"):
    state: replies.Text
    items: list[_Item]
    upstream_id: replies.Text | None = None


class _Part(msgspec.Struct, rename="camel"):
    item_id: replies.Id
    quantity: replies.Count | None = None
    cancel_quantity: replies.Count | None = None


class _Made(_Record, rename="camel"):
    order_id: replies.Id


class _Fulfillment(_Made, rename="camel"):
    items: list[_Part]
    shipment_id: replies.Text | None = None
    tracking_number: replies.Text | None = None
    metadata: dict[str, Any] | None = None


class _Errors(msgspec.Struct):
    type: str = ""
    errors: list[dict[str, Any]] = []


R = TypeVar("R", bound=_Record)
S = TypeVar("S")


class _Listed(msgspec.Struct, Generic[R], rename="camel"):
    has_more: bool
    data: list[R]

    def __post_init__(self) -> None:
        if self.has_more and not self.data:
            raise ValueError("a page without records says that more follow")


class DigitalRiver:
    """One key's account."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.sent = 0

    async def orders(self, order: str, way: OrderWay) -> Sequence[TargetOrder]:
        """See WriteTarget; an order's number is the merchant's own, here its `upstreamId`."""
        if order in replies.UNNAMED:
            return []
        found = await (self._numbered(order) if way == "order_number" else self._of_id(order))
        if len(found) > ORDERS_MAX:
            raise self._exchange.unread(f"{len(found)} orders have this upstreamId", "refused")
        return [await self._whole(one) for one in found]

    async def order_of(self, fulfillment_id: str) -> str | None:
        """See WriteTarget."""
        if fulfillment_id in replies.UNNAMED:
            return None
        found = await self._by_id("fulfillments", fulfillment_id, _Made)
        return str(found.order_id) if found is not None else None

    async def call(self, call: Call) -> Answer:
        """See WriteTarget."""
        try:
            method, path, body = self.request(call)
            reply = await self._ask(method, path, body)
        except Unread as unread:
            return Answer(unread.outcome, detail=str(unread))
        except ValueError as error:
            return Answer("refused", detail=self._exchange.told(f"it was not sent: {error}"))
        if (made := made_by(call, reply)) is not None:
            return Answer("done", made)
        detail = self._exchange.told(said(reply))
        return Answer(judged(reply), None, detail, reply.retry_after_seconds)

    def request(self, call: Call) -> tuple[str, str, Mapping[str, Any]]:
        """See WriteTarget.  Raises ValueError for what cannot be asked."""
        if call.kind == "fulfill":
            return "POST", "/fulfillments", _new(call)
        place = replies.in_path(call.fulfillment_id or "")
        return "POST", f"/fulfillments/{place}", _tracking(call)

    async def close(self) -> None:
        """See WriteTarget."""
        await self._exchange.close()

    async def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> replies.Reply:
        self.sent += 1
        return await self._exchange.send(method, path, body)

    async def _of_id(self, order_id: str) -> list[_Order]:
        found = await self._by_id("orders", order_id, _Order)
        return [found] if found is not None else []

    async def _by_id(self, resource: str, asked: str, kind: type[R]) -> R | None:
        """One record of a list by its id; None: there is none.  Raises Unread."""
        reply = await self._ask("GET", f"/{resource}/{replies.in_path(asked)}")
        if reply.status == 404 and _errors(reply.body).type == "not_found":
            return None
        found = self._read(reply, kind)
        if str(found.id) != asked:
            text = f"{resource.removesuffix('s')} {asked} was asked for, {found.id} came"
            raise self._exchange.unread(text, "refused")
        return found

    async def _numbered(self, number: str) -> list[_Order]:
        """Of that very number, should the list be more generous."""
        found = await self._all("orders", "upstreamIds", number, _Listed[_Order])
        return [one for one in found if replies.text_of(one.upstream_id) == number]

    async def _whole(self, order: _Order) -> TargetOrder:
        listed = _Listed[_Fulfillment]
        found = await self._all("fulfillments", "orderId", str(order.id), listed)
        try:
            return whole_order(order, found)
        except ValueError as error:
            text = f"order {order.id} does not add up: {error}"
            raise self._exchange.unread(text, "refused") from None

    async def _all(self, resource: str, name: str, value: str, kind: type[_Listed[R]]) -> list[R]:
        """A whole list."""

        async def read(after: str | None) -> Page[R]:
            query = {name: value, "limit": PAGE_SIZE}
            query |= {} if after is None else {"startingAfter": after}
            asked = urlencode(query, quote_via=quote, errors="replace")
            listed = self._read(await self._ask("GET", f"/{resource}?{asked}"), kind)
            return Page(listed.data, str(listed.data[-1].id) if listed.has_more else None)

        return await all_pages(read)

    def _read(self, reply: replies.Reply, kind: type[S]) -> S:
        if reply.status != 200:
            outcome: Outcome = "refused" if judged(reply) == "conflict" else judged(reply)
            raise self._exchange.unread(said(reply), outcome, reply.retry_after_seconds)
        try:
            return replies.decoded(reply.body, kind)
        except ValueError as error:
            raise self._exchange.unread(f"{said(reply)}, which cannot be read: {error}") from None


def open_target(entry: TargetEntry, secret: str, surroundings: Surroundings) -> DigitalRiver:
    """The account of this key."""
    headers = {"authorization": f"Bearer {secret}", "digitalriver-version": VERSION}
    url, seconds = entry.base_url or BASE_URL, entry.timeout_seconds
    return DigitalRiver(Exchange(url, headers, secret, surroundings, seconds))


def whole_order(order: _Order, fulfillments: Sequence[_Fulfillment]) -> TargetOrder:
    """All of it in neutral words.  Raises ValueError for what could hide a fulfillment."""
    lines = tuple(
        Line(str(item.id), replies.text_of(item.sku_id) or "", item.quantity)
        for item in order.items
    )
    known = {line.id for line in lines}
    if len(known) < len(lines):
        raise ValueError("two of its lines have one id")
    if len({str(one.id) for one in fulfillments}) < len(fulfillments):
        raise ValueError("a fulfillment of it is listed twice")
    fulfilled = tuple(_fulfilled(one, str(order.id), known) for one in fulfillments)
    state = str(order.state)
    why = NOT_FULFILLED.get(state, "only an accepted order is fulfilled")
    refused = why if state != "accepted" else None
    return TargetOrder(str(order.id), state, lines, fulfilled, refused)


def _fulfilled(one: _Fulfillment, order_id: str, lines: set[str]) -> Fulfilled:
    if str(one.order_id) != order_id:
        raise ValueError(f"fulfillment {one.id} came with it and is of order {one.order_id}")
    for item in one.items:
        if str(item.item_id) not in lines:
            raise ValueError(f"fulfillment {one.id} is of item {item.item_id}, which it has not")
        if item.quantity is None and not item.cancel_quantity:
            raise ValueError(f"fulfillment {one.id} has an item without a quantity")
    parts = [Part(str(of.item_id), of.quantity or 0, of.cancel_quantity or 0) for of in one.items]
    event_id = (one.metadata or {}).get(EVENT_ID_NAME)
    event_id = event_id if isinstance(event_id, str) else None
    shipment_id, number = replies.text_of(one.shipment_id), replies.text_of(one.tracking_number)
    return Fulfilled(str(one.id), tuple(parts), event_id, shipment_id, number)


def _new(call: Call) -> dict[str, Any]:
    """A fulfillment, a cancellation or both, with what its event is known by."""
    parts = [
        replies.present(
            itemId=one.line_id,
            quantity=one.quantity or None,
            cancelQuantity=one.cancel_quantity or None,
            distributorCost=replies.json_number(one.distributor_cost),
            shippingCost=replies.json_number(one.shipping_cost),
        )
        for one in call.items
    ]
    more = replies.present(
        shipmentId=call.shipment_id, currency=call.currency, partnerId=call.partner_id
    )
    more |= {**_tracking(call), "metadata": {EVENT_ID_NAME: call.event_id}}
    return {"orderId": call.order_id, "items": parts, **more}


def _tracking(call: Call) -> dict[str, Any]:
    """All that an update says; it names no metadata, so what is there is left as it is."""
    return replies.present(
        trackingCompany=call.tracking_company,
        trackingNumber=call.tracking_number,
        trackingUrl=call.tracking_url,
    )


def made_by(call: Call, reply: replies.Reply) -> str | None:
    """The fulfillment that a success tells of; None when it tells of nothing, or of another."""
    try:
        made = replies.decoded(reply.body if reply.status in (200, 201) else b"", _Made)
    except ValueError:
        return None
    another = call.kind == "update" and str(made.id) != call.fulfillment_id
    return None if another or str(made.order_id) != call.order_id else str(made.id)


def judged(reply: replies.Reply) -> Outcome:
    """What an answer says that is no success, by status and type, never by messages.

    Either may come from a gateway: what one of the two does not know is not known.
    """
    by_status = replies.outcome_of(reply.status)
    by_type = BY_TYPE.get(_errors(reply.body).type, by_status)
    return "unknown" if by_status == "unknown" else by_type


def said(reply: replies.Reply) -> str:
    """An answer in Digital River's words, and what to do where that is clear."""
    told, asked = _errors(reply.body), reply.headers.get(REQUEST_ID)
    errors = told.errors[:ERRORS_TOLD_MAX]
    parts = [
        f"Digital River answered {reply.status} {told.type}".strip(),
        "" if told.type else "in words that are not its own",
        *(" ".join(one for one in error.values() if isinstance(one, str)) for error in errors),
        replies.hint_of(reply.status),
        f"its request id is {asked}" if asked else "",
    ]
    return "; ".join(filter(None, parts))


def _errors(body: bytes) -> _Errors:
    """Empty, when the body is something else."""
    try:
        return replies.decoded(body, _Errors)
    except ValueError:
        return _Errors()
