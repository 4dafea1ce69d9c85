"""Shoplazza's OpenAPI, orders and their fulfillments, as an upstream over real HTTP.

Facts and their marks (seed, public, assumed): shared upstreams/shoplazza.md. The order of the list
(newest update first) and that a limit above 250 is refused are assumed here.
Nothing is ever taken off a list: a package that is gone is a cancelled fulfillment.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from testbed.http import Request, Response
from testbed.orders import Order, Package, is_shipped
from testbed.rows import Row
from testbed.simulator import OF_ANY_LISTING, Shown, Simulator
from testbed.world import World

ORDERS_DEFAULT, FULFILLMENTS_DEFAULT, LIMIT_MAX = 10, 50, 250  # to a page
REQUESTS_PER_SECOND, BURST = 2.0, 40.0  # for each app and store
TOKEN_DEFAULT = "shoplazza-token"  # noqa: S105 - of a simulator

NOT_FOUND = "Record not found"
NO_RESOURCE = "Unable to find resource"
# The order's own word where it is another than the world's.
AGGREGATES = {"placed": "waiting", "refunded": "returned", "canceled": "cancelled"}
Body = dict[str, Any]

ACCOUNT: dict[str, Any] = {"shop": "acme"}


class ShoplazzaSimulator(Simulator):
    """One shop's orders: of a world, or given as objects (`put`).

    A row holds an `order` and its `fulfillments`, embedded in it where orders are shown. Without
    `edits_move_orders` a fulfillment that is edited leaves its order's updated_at alone. A shop
    that is not `active` answers nothing else.
    """

    base_path = "/shoplazza/openapi"
    listing_faults = OF_ANY_LISTING | {"shifting_page"}

    def __init__(
        self,
        *,
        token: str = TOKEN_DEFAULT,
        requests_per_second: float = REQUESTS_PER_SECOND,
        burst: float = BURST,
        page_size_max: int = LIMIT_MAX,
        edits_move_orders: bool = True,
        **surroundings: Any,
    ) -> None:
        super().__init__(requests_per_second=requests_per_second, burst=burst, **surroundings)
        self.active = True
        self._token = token
        self._page_size_max = page_size_max
        self.edits_show = edits_move_orders
        self._keys: dict[str, int] = {}  # of each order, in the order they came
        self._written: dict[int, Row] = {}
        self._packages: dict[int, dict[str, Package]] = {}  # ever seen, by order and identity

    def put(
        self,
        order_id: str,
        *fulfillments: Body,
        at: datetime | None = None,
        moves: bool | None = None,
        **fields: Any,
    ) -> None:
        """Write fulfillments of an order, each replacing the one with the same id; `fields` are
        the order's own. `moves`: whether that touches an order there is, else as the shop does.
        """
        key = self._keys.setdefault(order_id, len(self._keys) + 1)
        before = self._written.get(key)
        known = before.body["fulfillments"] if before else ()
        shown = {one["id"]: one for one in (*known, *fulfillments)}
        moved = self.edits_show if moves is None else moves
        touched_at = before.updated_at if before and not moved else at or self.clock()
        order = {**(before.body["order"] if before else _order(order_id, touched_at)), **fields}
        self.write(_row(key, touched_at, order, [*shown.values()]))

    def write(self, row: Row) -> None:
        """Write an order with its fulfillments."""
        self._written[row.key] = row
        super().write(row)

    def row(self, order: Order) -> Row:
        """An order of the world with one fulfillment for each package there ever was."""
        before = self._written.get(order.number)
        sent = self._packages.setdefault(order.number, {})
        sent.update({package.truth_id: package for package in order.packages})
        old = {one["id"]: one for one in before.body["fulfillments"]} if before else {}
        shown = [_fulfillment(order, package, old) for package in sent.values()]
        told = {
            **_order(_order_id(order.number), order.placed_at),
            "status": "cancelled" if order.status == "canceled" else "placed",
            "fulfillment_status": AGGREGATES.get(order.status, order.status),
        }
        if before and not self.edits_show and len(old) == len(shown):
            as_before = _row(order.number, before.updated_at, told, shown)
            if as_before.body["order"] == before.body["order"]:
                return as_before
        return _row(order.number, order.updated_at, told, shown)

    def shown(self, row: Row) -> list[Shown]:
        """Each fulfillment of the order."""
        return [Shown("fulfillments", one["id"], one) for one in row.body["fulfillments"]]

    def touched(self, row: Row, at: datetime) -> Row:
        """The order's updated_at moves, its fulfillments' do not."""
        return _row(row.key, at, row.body["order"], row.body["fulfillments"])

    def refusal(self, status: int, message: str) -> Response:
        """An error in one of this API's three shapes."""
        if status in (400, 401):
            return Response(status, message.encode(), {"Content-Type": "text/plain"})
        return _json(status, {"errors": [message]})

    def answer(self, request: Request, now: datetime) -> Response:
        """Route a request that was let through."""
        if request.headers.get("access-token") != self._token:
            return self.refusal(401, "Unauthorized")
        if not self.active:
            return _json(400, {"error": "store is not active"})
        if request.method != "GET":
            return self.refusal(405, "Method Not Allowed")
        found = re.fullmatch(r"/\d{4}-\d{2}/orders(/.*)?", request.path[len(self.base_path) :])
        if found is None:
            return self.refusal(404, NO_RESOURCE)
        try:
            return self._routed((found[1] or "").split("/")[1:], request, now)
        except _BadQuery as error:
            return self.refusal(*error.args)

    def odd(self, record: Body) -> Body:
        """Its fulfillments are odd; an order is not."""
        if "fulfillments" not in record:
            return super().odd(record)
        return {**record, "fulfillments": [self.odd(one) for one in record["fulfillments"]]}

    def _routed(self, parts: list[str], request: Request, now: datetime) -> Response:
        rows = self.visible(now)
        if not parts:
            return self._list(rows, request)
        order_id, child, *ids = [*parts, ""] if len(parts) == 1 else parts
        row = next((row for row in rows if row.body["order"]["id"] == order_id), None)
        if row is None or child not in ("", "fulfillments"):
            return self.refusal(404, NOT_FOUND if child else NO_RESOURCE)
        if not child:
            return _json(200, {"order": self.odd(_embedding(row))})
        shown, query = row.body["fulfillments"], request.query
        if ids:
            found = [one for one in shown if [one["id"]] == ids]
            if not found:
                return self.refusal(404, NOT_FOUND)
            return _json(200, {"fulfillment": self.odd(found[0])})
        wanted = [one for one in shown if _in_time(one, query, ("created", "updated"))]
        page = _page(wanted, query, FULFILLMENTS_DEFAULT, LIMIT_MAX)
        return _json(200, {"fulfillments": self.with_bad_record(request, page, id=None)})

    def _list(self, rows: list[Row], request: Request) -> Response:
        """Newest update first; `count` are all that match."""
        matching = [row for row in reversed(rows) if self._matches(row, request.query)]
        page = _page(matching, request.query, ORDERS_DEFAULT, self._page_size_max)
        if page:
            self.shift(request, page[0].key)
        orders = self.with_bad_record(request, [_embedding(row) for row in page], id=None)
        return _json(200, {"count": len(matching), "orders": orders})

    def _matches(self, row: Row, query: dict[str, str]) -> bool:
        order, exact = row.body["order"], ("status", "fulfillment_status", "financial_status")
        return (
            order["id"] in query.get("ids", order["id"]).split(",")
            and all(query.get(name) in (None, order[name]) for name in exact)
            and _in_time(order, query, ("created", "updated", "placed"))
        )

    def _world_now(self, now: datetime) -> dict[str, Any]:
        """The truth, its orders under the ids that this upstream gives them."""
        found = super()._world_now(now)
        for order in found["truth"]["orders"] if found["truth"] else ():
            order["id"] = _order_id(int(order["id"]))
        return found


def simulate(
    world: World, *, token: str, requests_per_second: float, page_size_max: int
) -> ShoplazzaSimulator:
    """This upstream showing a world."""
    return ShoplazzaSimulator(
        world=world,
        token=token,
        requests_per_second=requests_per_second,
        burst=requests_per_second,
        page_size_max=page_size_max,
    )


class _BadQuery(Exception):
    """A query that this API refuses; its arguments are those of `refusal`."""


def _in_time(one: Body, query: dict[str, str], names: tuple[str, ...]) -> bool:
    """Whether a record lies within all bounds, inclusive at both ends."""
    for name in names:
        at = datetime.fromisoformat(one[f"{name}_at"])
        first, last = (_bound(query, name, end) for end in ("min", "max"))
        if (first and at < first) or (last and at > last):
            return False
    return True


def _bound(query: dict[str, str], name: str, end: str) -> datetime | None:
    value = query.get(f"{name}_at_{end}")
    try:
        return datetime.fromisoformat(value).astimezone(UTC) if value else None
    except ValueError as error:
        # The seed shows update_at_min, without "d", also for the other end.
        raise _BadQuery(422, f"{name[:-1]}_at_min time format error") from error


def _row(key: int, touched_at: datetime, order: Body, fulfillments: list[Body]) -> Row:
    body = {"order": {**order, "updated_at": _stamp(touched_at)}, "fulfillments": fulfillments}
    return Row(key, touched_at, body)


def _order(order_id: str, at: datetime) -> Body:
    return {
        "id": order_id,
        "number": order_id.rsplit("-", maxsplit=1)[-1],
        "status": "placed",
        "fulfillment_status": "waiting",
        "financial_status": "paid",
        **dict.fromkeys(("created_at", "placed_at", "updated_at"), _stamp(at)),
    }


def _page(wanted: list[Any], query: dict[str, str], default: int, cut: int) -> list[Any]:
    limit, number = query.get("limit", str(default)), query.get("page", "1")
    if not (limit.isdecimal() and number.isdecimal() and 1 <= int(limit) <= LIMIT_MAX):
        raise _BadQuery(400, "Bad Request")
    size, page = min(int(limit), cut), max(int(number), 1)
    return wanted[(page - 1) * size : page * size]


def _embedding(row: Row) -> Body:
    return {**row.body["order"], "fulfillments": row.body["fulfillments"]}


def _fulfillment(order: Order, package: Package, old: dict[str, Body]) -> Body:
    """A package as a fulfillment; its updated_at moves when anything else of it does."""
    fulfillment_id = str(uuid5(NAMESPACE_OID, f"shoplazza {package.number}"))
    before = old.get(fulfillment_id, {})
    number = package.tracking or ""
    shown = {
        "id": fulfillment_id,
        "order_id": _order_id(order.number),
        "status": _status(order, package),
        "tracking_company": package.carrier,
        "tracking_company_code": "DJ-11343",
        "tracking_number": number,
        "tracking_url": f"//track.example.com/{number}" if number else "",
        "line_items": _lines(order, package),
        "created_at": before.get("created_at", _stamp(order.updated_at)),
    }
    same = before and {**before, "updated_at": None} == {**shown, "updated_at": None}
    return {**shown, "updated_at": before["updated_at"] if same else _stamp(order.updated_at)}


def _status(order: Order, package: Package) -> str:
    left = "finished" if order.status in ("return_requested", "refunded") else "shipped"
    live = left if is_shipped(order, package) else "waiting"
    return live if package in order.packages else "cancelled"


def _lines(order: Order, package: Package) -> list[Body]:
    contents = dict(package.contents)
    return [
        {
            "id": str(uuid5(NAMESPACE_OID, line.line_id)),
            "product_title": line.product.title(),
            "sku": line.product,
            "quantity": line.quantity,
            "shipping_quantity": contents[line.product],
            "image": f"//cdn.example.com/{line.product}.jpeg",
            "price": "81.00",
        }
        for line in order.lines
        if line.product in contents
    ]


def _order_id(number: int) -> str:
    return f"633130-{number:08d}"


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _json(status: int, value: Any) -> Response:
    """UTF-8 as it is, as a shop full of Chinese names answers."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    body = text.encode(errors="backslashreplace")  # half an emoji is written as an escape
    return Response(status, body, {"Content-Type": "application/json; charset=utf-8"})
