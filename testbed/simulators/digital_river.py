"""Digital River's API, fulfillments and the orders they are of, as an upstream over real HTTP.

Facts and their marks (seed, public, assumed): shared upstreams/digital-river.md. The rules of its
lists are in testbed/river_lists.py, what may be written in testbed/river_orders.py.
Nothing is ever taken off the list: a package that is gone shows its quantities as canceled.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import NAMESPACE_OID, uuid5

from testbed import river_lists
from testbed.http import Request, Response, json_response
from testbed.orders import Line, Order, Package
from testbed.river_lists import PAGE_SIZE_MAX, Body, Refused, at_times, exact, one_of, stamp
from testbed.river_orders import Orders, order_of
from testbed.rows import Row
from testbed.simulator import Shown, Simulator, system_clock
from testbed.world import World

REQUESTS_PER_SECOND = 25.0  # of a test key
BURST = 25.0
RETRY_AFTER_SECONDS = 1
TOKEN_DEFAULT = "sk_test_digital-river"  # noqa: S105 - of a simulator

ERROR_TYPES = {
    400: "bad_request",
    401: "unauthorized",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    429: "too_many_requests",
}
FULFILLMENT_FILTERS = {
    **{name: exact(name) for name in ("orderId", "trackingCompany", "trackingNumber")},
    **at_times("createdTime"),
    "skuId": lambda skus: lambda one: any(item.get("skuId") in skus for item in one["items"]),
    "ids": one_of("id"),
}
ORDER_FILTERS = {"upstreamIds": one_of("upstreamId"), "ids": one_of("id"), "state": exact("state")}

ACCOUNT: dict[str, Any] = {}
FULFILLED_FROM = "zentail"  # the system whose packages fulfill its orders, where both are played


class DigitalRiverSimulator(Simulator):
    """One key's fulfillments: of a world, or given as objects (`fulfillments`, then `put`).

    A row holds the fulfillments of one order of the world, or one that was given or written.
    Only orders that were sold or put (`sell`, `put_order`) can be written to.
    """

    base_path = "/digital-river"

    def __init__(
        self,
        *,
        world: World | None = None,
        fulfillments: Iterable[Body] = (),
        token: str = TOKEN_DEFAULT,
        clock: Callable[[], datetime] = system_clock,
        requests_per_second: float = REQUESTS_PER_SECOND,
        burst: float = BURST,
        page_size_max: int = PAGE_SIZE_MAX,
    ) -> None:
        super().__init__(
            world=world, clock=clock, requests_per_second=requests_per_second, burst=burst
        )
        self._token = token
        self._page_size_max = page_size_max
        self._serials: dict[str, int] = {}  # of each fulfillment, in the order they were created
        self._packages: dict[int, dict[str, Package]] = {}  # ever seen, by order and identity
        self._created: dict[str, str] = {}  # by id
        self._orders = Orders()
        for fulfillment in fulfillments:
            self.put(fulfillment)

    def put(self, fulfillment: Body) -> None:
        """Write a fulfillment object; it replaces the one with the same id."""
        serial = self._serial(fulfillment["id"])
        self.write(Row(serial, self.clock(), {"fulfillments": [fulfillment]}))

    def put_order(self, order: Body) -> None:
        """Write an order object; it replaces the one with the same id. See Orders.put."""
        self._orders.put(order, self.clock())

    def sell(self, orders: Iterable[Order], *, shipped_by: str) -> None:
        """Each is an open order here, its number the merchant's own id."""
        self._orders.shipped_by = shipped_by
        for order in orders:
            self.put_order(order_of(order))

    def writes(self, request: Request) -> bool:
        """Every POST does."""
        return request.method == "POST"

    def written(self) -> Body:
        """See Orders.as_written; what is due by now is carried out first."""
        self.live(self.clock())
        return self._orders.as_written(self._fulfillments())

    @property
    def captures(self) -> list[Body]:
        """What was captured and released: `{kind, fulfillmentId, orderId, items, at}`."""
        return list(self.written()["captures"])

    def row(self, order: Order) -> Row:
        """What was fulfilled and canceled of an order, as Digital River spells it."""
        packages = self._packages.setdefault(order.number, {})
        packages.update({package.truth_id: package for package in order.packages})
        live = {package.truth_id for package in order.packages}
        bodies = [
            _fulfillment(order, package, live=truth_id in live)
            for truth_id, package in packages.items()
        ]
        if order.status == "canceled":
            bodies.append(_cancellation(order, packages.values()))
        for body in bodies:
            self._serial(body["id"])
            body["createdTime"] = self._created.setdefault(body["id"], stamp(order.updated_at))
        return Row(order.number, order.updated_at, {"fulfillments": bodies})

    def shown(self, row: Row) -> list[Shown]:
        """Each fulfillment of the order."""
        return [Shown("fulfillments", body["id"], body) for body in row.body["fulfillments"]]

    def touched(self, row: Row, at: datetime) -> Row:
        """Nothing shows it: a fulfillment has no time of update."""
        return Row(row.key, at, row.body)

    def refusal(
        self, status: int, message: str, parameter: str = "", code: str = "invalid_parameter"
    ) -> Response:
        """An error in the shape of this API."""
        kind = ERROR_TYPES.get(status, "internal_server_error")
        error = {"code": code, "parameter": parameter} if parameter else {"code": kind}
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if status == 429 else {}
        value = {"type": kind, "errors": [{**error, "message": message}]}
        return json_response(status, value, headers)

    def answer(self, request: Request, now: datetime) -> Response:
        """Route a request that was let through."""
        if request.headers.get("authorization") != f"Bearer {self._token}":
            return self.refusal(401, "The API key is missing or unknown.")
        path = request.path.removeprefix(self.base_path)
        found = re.fullmatch(r"/(orders|fulfillments)(?:/([^/]+))?", path)
        if found is None:
            return self.refusal(404, f"There is no {request.path}.")
        resource, upstream_id = found.groups()
        try:
            match request.method, resource:
                case "GET", _ if upstream_id:
                    return self._single(resource, upstream_id, now)
                case "GET", _:
                    return self._list(resource, request, now)
                case "POST", "fulfillments":
                    return self._written(request, upstream_id, now)
                case _:
                    return self.refusal(405, f"{request.method} is not allowed here.")
        except Refused as error:
            return self.refusal(error.status, str(error), error.parameter, error.code)

    def newest_first(self, now: datetime) -> list[Body]:
        """All fulfillments readers see, in the order of the list."""
        rows = [body for row in self.visible(now) for body in row.body["fulfillments"]]
        return sorted(rows, key=self._newness, reverse=True)

    def _newness(self, body: Body) -> tuple[datetime, int]:
        return river_lists.instant(body["createdTime"]), self._serials[body["id"]]

    def _serial(self, upstream_id: str) -> int:
        return self._serials.setdefault(upstream_id, len(self._serials) + 1)

    def _fulfillments(self) -> list[Body]:
        """All there are, also those that no reader sees yet."""
        return list({one.upstream_id: one.body for one in self.log}.values())

    def _single(self, resource: str, upstream_id: str, now: datetime) -> Response:
        if resource == "orders":
            order = self._orders.get(upstream_id)
            return json_response(200, order) if order else self._unknown(upstream_id)
        for body in self.newest_first(now):
            if body["id"] == upstream_id:
                details = {"id": body.get("orderId"), "state": "fulfilled"}
                return json_response(200, {**self.odd(body), "orderDetails": details})
        return self._unknown(upstream_id)

    def _unknown(self, upstream_id: str) -> Response:
        return self.refusal(404, f"There is no {upstream_id}.")

    def _list(self, resource: str, request: Request, now: datetime) -> Response:
        """Raises Refused."""
        pairs = parse_qsl(urlsplit(request.target).query, keep_blank_values=True)
        filters, rows = FULFILLMENT_FILTERS, self.newest_first(now)
        if resource == "orders":
            filters, rows = ORDER_FILTERS, self._orders.newest_first()
        page, more = river_lists.page(rows, pairs, filters, page_size_max=self._page_size_max)
        if resource == "fulfillments":
            page = self.with_bad_record(request, page, id="ful_bad", items="none")
        return json_response(200, {"hasMore": more, "data": page})

    def _written(self, request: Request, upstream_id: str | None, now: datetime) -> Response:
        """A fulfillment made, or one with another tracking number. Raises Refused."""
        try:
            body = request.json()
        except ValueError as error:
            raise Refused("body", f"The body is no JSON: {error}") from error
        if upstream_id is None:
            made = self._orders.create(body, self._fulfillments(), now)
            self.write(Row(self._serial(made["id"]), now, {"fulfillments": [made]}))
            return json_response(201, made)
        for row in self.visible(now):
            by_id = {one["id"]: one for one in row.body["fulfillments"]}
            if upstream_id in by_id:
                by_id[upstream_id] = self._orders.update(body, by_id[upstream_id])
                self.write(Row(row.key, now, {"fulfillments": list(by_id.values())}))
                return json_response(200, by_id[upstream_id])
        return self._unknown(upstream_id)


def simulate(
    world: World, *, token: str, requests_per_second: float, page_size_max: int
) -> DigitalRiverSimulator:
    """This upstream showing a world."""
    return DigitalRiverSimulator(
        world=world,
        token=token,
        requests_per_second=requests_per_second,
        burst=requests_per_second,
        page_size_max=page_size_max,
    )


def _fulfillment(order: Order, package: Package, *, live: bool) -> Body:
    """A package; its shipment id comes when it leaves, unset fields are absent, not null."""
    contents = dict(package.contents)
    counts = [(line, contents[line.product]) for line in order.lines if line.product in contents]
    items = [
        _item(line, fulfilled=count if live else 0, canceled=0 if live else count)
        for line, count in counts
    ]
    return {
        "id": f"ful_{uuid5(NAMESPACE_OID, str(package.number))}",
        "orderId": str(order.number),
        **({"shipmentId": f"1{package.number:011d}"} if package.shipped_at else {}),
        "items": items,
        "trackingCompany": package.carrier,
        **dict(_tracking(package)),
        "liveMode": False,
    }


def _item(line: Line, *, fulfilled: int, canceled: int) -> Body:
    return {
        "itemId": line.line_id,
        "skuId": line.product,
        "quantity": fulfilled,
        "cancelQuantity": canceled,
    }


def _tracking(package: Package) -> Iterator[tuple[str, str]]:
    if package.tracking:
        yield "trackingNumber", package.tracking
        yield "trackingUrl", f"http://tracking.example/?code={package.tracking}"


def _cancellation(order: Order, gone: Iterable[Package]) -> Body:
    """What is canceled of an order beside the packages that are gone."""
    told = sum((Counter(dict(package.contents)) for package in gone), Counter[str]())
    left = [(line, line.quantity - told[line.product]) for line in order.lines]
    return {
        "id": f"ful_{uuid5(NAMESPACE_OID, f'{order.number} canceled')}",
        "orderId": str(order.number),
        "items": [_item(line, fulfilled=0, canceled=count) for line, count in left if count > 0],
        "liveMode": False,
    }
