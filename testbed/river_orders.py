"""Digital River's orders, and what may be written to them: fulfillments, cancellations, tracking.

Facts: the vendor's pages of the Fulfillments and Orders resources. Assumed here: an order that is
not known is refused with 400, not 404, as the operation lists no 404; so is one in a state that
fulfills nothing and is not done; what was canceled of an order makes it done as what was sent does.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from testbed.orders import Order
from testbed.river_lists import Body, Refused, stamp

METADATA_KEYS_MAX = 20
DONE = {"fulfilled", "complete"}
TRACKING = ("trackingCompany", "trackingNumber", "trackingUrl")
TEXTS = {"orderId", "shipmentId", "currency", "partnerId", *TRACKING}
ITEM_TEXTS = {"shipmentItemId", "subfulfillerId"}
COSTS = ("distributorCost", "shippingCost")
ITEM = {"itemId", "quantity", "cancelQuantity", *ITEM_TEXTS, *COSTS}


class Orders:
    """The orders of one key, by id, and the payments that writing captured or released."""

    def __init__(self) -> None:
        self.shipped_by = ""  # the system whose packages they are, if they were sold for one
        self.captures: list[Body] = []
        self._orders: dict[str, Body] = {}
        self._written: set[str] = set()

    def put(self, order: Mapping[str, Any], now: datetime) -> None:
        """Take an order object as it is; it replaces the one with the same id.

        Only `id` and `items` must be told: it is open, of now, in dollars, if nothing is said.
        """
        standard = {"state": "accepted", "currency": "USD", "metadata": {}, "liveMode": False}
        times = {"createdTime": stamp(now), "updatedTime": stamp(now)}
        self._orders[order["id"]] = {**standard, **times, **order}

    def get(self, order_id: str) -> Body | None:
        """The order, None when there is none of this id."""
        return self._orders.get(order_id)

    def newest_first(self) -> list[Body]:
        """All of them, as the list has them; of one second, the last one taken first."""
        rows = list(self._orders.values())
        rows.reverse()
        return sorted(rows, key=_created, reverse=True)

    def create(self, body: Any, fulfillments: Iterable[Body], now: datetime) -> Body:
        """The fulfillment that a request makes; its order and its payment are seen to.

        `fulfillments` are those there are, of any order. Raises Refused.
        """
        _known(body, {"items", "metadata", *TEXTS}, "body")
        order = self._open(body)
        _texts(body, TEXTS)
        _metadata(body.get("metadata", {}))
        left = _left(order, fulfillments)
        items = [_item(order, item, body, left) for item in _items(body)]
        made = {
            "id": f"ful_{uuid5(NAMESPACE_OID, f'written {len(self._written)}')}",
            "createdTime": stamp(now),
            **{name: value for name, value in body.items() if name != "items"},
            "items": items,
            "liveMode": False,
        }
        self._written.add(made["id"])
        done = {"state": "fulfilled"} if max(left.values()) <= 0 else {}
        self._orders[order["id"]] = {**order, **done, "updatedTime": stamp(now)}
        self._pay(made)
        return made

    def update(self, body: Any, fulfillment: Body) -> Body:
        """The fulfillment with another tracking number. Raises Refused."""
        _known(body, set(TRACKING), "body")
        _texts(body, set(TRACKING))
        return {**fulfillment, **body}

    def as_written(self, fulfillments: Iterable[Body]) -> Body:
        """`{shipped_by, orders, fulfillments, captures}`: what the audit judges writing by.

        `fulfillments` are those there are; only written ones are told of.
        """
        return {
            "shipped_by": self.shipped_by,
            "orders": list(self._orders.values()),
            "fulfillments": [one for one in fulfillments if one["id"] in self._written],
            "captures": self.captures,
        }

    def _open(self, body: Body) -> Body:
        if "orderId" not in body:
            raise Refused("orderId", "orderId is missing.", code="missing_parameter")
        order = self.get(body["orderId"])
        if order is None:
            raise Refused("orderId", f"There is no order {body['orderId']!r}.")
        if order["state"] in DONE:
            text = f"Order {order['id']} is {order['state']} already."
            raise Refused("orderId", text, code="order_fulfilled", status=409)
        if order["state"] != "accepted":
            text = f"Order {order['id']} is {order['state']}, only an accepted one is fulfilled."
            raise Refused("orderId", text)
        return order

    def _pay(self, made: Body) -> None:
        """What is sent captures its payment, what is canceled releases it."""
        for kind, name in (("capture", "quantity"), ("release", "cancelQuantity")):
            items = [
                {"itemId": item["itemId"], "quantity": item[name]}
                for item in made["items"]
                if item[name]
            ]
            if items:
                ids = {"fulfillmentId": made["id"], "orderId": made["orderId"]}
                told = {"kind": kind, **ids, "items": items, "at": made["createdTime"]}
                self.captures.append(told)


def order_of(order: Order) -> Body:
    """An order of a world that another system ships, as the merchant has sold it here."""
    return {
        "id": f"2919{order.number}",
        "upstreamId": str(order.number),
        "items": [
            {"id": f"22{line.line_id}", "skuId": line.product, "quantity": line.quantity}
            for line in order.lines
        ],
    }


def _created(order: Body) -> str:
    return str(order["createdTime"])


def _known(body: Any, names: set[str], what: str) -> None:
    if not isinstance(body, dict):
        raise Refused(what, f"The {what} is no object.")
    if unknown := body.keys() - names:
        name = min(unknown)
        raise Refused(name, f"There is no parameter {name}.", code="unknown_parameter")


def _texts(body: Body, names: set[str]) -> None:
    for name in sorted(names & body.keys()):
        if not isinstance(body[name], str) or not body[name]:
            raise Refused(name, f"{name} is no text: {body[name]!r}.")
    currency = body.get("currency")
    if currency is not None and not re.fullmatch("[A-Z]{3}", currency):
        raise Refused("currency", f"{currency!r} is no code of ISO 4217.")


def _metadata(metadata: Any) -> None:
    if not isinstance(metadata, dict) or len(metadata) > METADATA_KEYS_MAX:
        raise Refused("metadata", f"metadata is an object of at most {METADATA_KEYS_MAX} keys.")
    for name, value in metadata.items():
        if not isinstance(value, str | int | float | bool):
            raise Refused("metadata", f"{name} is neither text, number nor boolean.")


def _items(body: Body) -> list[Any]:
    items = body.get("items")
    if items is None:
        raise Refused("items", "items is missing.", code="missing_parameter")
    if not isinstance(items, list) or not items:
        raise Refused("items", "items is no list of what to fulfill or cancel.")
    return items


def _left(order: Body, fulfillments: Iterable[Body]) -> Counter[str]:
    """How much of each line is neither fulfilled nor canceled."""
    left = Counter({item["id"]: item["quantity"] for item in order["items"]})
    for one in fulfillments:
        for item in one["items"] if one.get("orderId") == order["id"] else ():
            left[item["itemId"]] -= item.get("quantity", 0) + item.get("cancelQuantity", 0)
    return left


def _item(order: Body, item: Any, body: Body, left: Counter[str]) -> Body:
    """An item as it is kept; takes it from what is left. Raises Refused."""
    _known(item, ITEM, "items")
    line = next((one for one in order["items"] if one["id"] == item.get("itemId")), None)
    if line is None:
        raise Refused("itemId", f"Order {order['id']} has no item {item.get('itemId')!r}.")
    counts = {name: _count(name, item) for name in ("quantity", "cancelQuantity") if name in item}
    wanted = sum(counts.values())
    if not counts:
        text = "An item needs quantity or cancelQuantity."
        raise Refused("quantity", text, code="missing_parameter")
    if not 0 < wanted <= left[line["id"]]:
        text = f"{wanted} of item {line['id']}, of which {left[line['id']]} are left."
        raise Refused(next(iter(counts)), text, code="invalid_quantity_amount")
    for name in COSTS:
        if name in item and "currency" not in body:
            text = f"With {name}, currency is required."
            raise Refused("currency", text, code="missing_parameter")
        if name in item and not re.fullmatch(r"\d+(\.\d+)?", str(item[name])):
            raise Refused(name, f"{item[name]!r} is no amount of money.")
    _texts(item, ITEM_TEXTS)
    left[line["id"]] -= wanted
    standard = {"quantity": 0, "cancelQuantity": 0}
    return {**item, "skuId": line["skuId"], **standard, **counts}


def _count(name: str, item: Body) -> int:
    """A whole number, not below 0, that may come as a text."""
    if isinstance(item[name], bool) or not re.fullmatch(r"\d+", str(item[name])):
        text = f"{item[name]!r} is no whole number of pieces."
        raise Refused(name, text, code="invalid_quantity_amount")
    return int(item[name])
