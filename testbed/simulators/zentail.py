"""Zentail's Open API v1, sales orders only, as an upstream over real HTTP.

Facts and their marks (seed, public, assumed): shared upstreams/zentail.md. Bodies of errors, the
`limit` parameter and the offset inside `nextToken` are assumed there too.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from testbed.http import Request, Response, json_response
from testbed.orders import Line, Order, OrderStatus, Package
from testbed.rows import Row
from testbed.simulator import OF_ANY_LISTING, Shown, Simulator, system_clock
from testbed.world import World

PAGE_SIZE_DEFAULT = 25
PAGE_SIZE_MAX = 100
REQUESTS_PER_SECOND = 10.0
BURST = 10.0
TOKEN_DEFAULT = "zentail-token"  # noqa: S105 - of a simulator

STATUS_NAMES: dict[OrderStatus, str] = {
    "placed": "PENDING",
    "partially_shipped": "PARTIALLY_SHIPPED",
    "shipped": "SHIPPED",
    "return_requested": "RETURN_REQUESTED",
    "refunded": "REFUNDED",
    "canceled": "CANCELLED",
}
KNOWN_STATUSES = frozenset(STATUS_NAMES.values()) | {
    "PENDING_PAYMENT",
    "RETURNED",
    "CANCELED",
    "PARTIALLY_CANCELLED",
}

ACCOUNT: dict[str, Any] = {}


class ZentailSimulator(Simulator):
    """One seller's orders: from a world, or given as order objects (`orders`, then `put`)."""

    id_field = "orderNumber"
    base_path = "/zentail/v1"
    listing_faults = OF_ANY_LISTING | {"shifting_page", "next_token_host"}

    def __init__(
        self,
        *,
        world: World | None = None,
        orders: Iterable[dict[str, Any]] = (),
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
        self._package_ids = world is not None and world.package_ids
        for order in orders:
            self.put(order)

    def put(self, order: dict[str, Any]) -> None:
        """Write an order object; it replaces the one with the same orderNumber."""
        updated_at = datetime.fromisoformat(order["lastUpdatedTs"])
        self.write(Row(int(order["orderNumber"]), updated_at, order))

    def row(self, order: Order) -> Row:
        """The order in its listing, as Zentail spells it."""
        return Row(order.number, order.updated_at, _order(order, package_ids=self._package_ids))

    def shown(self, row: Row) -> list[Shown]:
        """An order is one record."""
        return [Shown("orders", str(row.key), row.body)]

    def touched(self, row: Row, at: datetime) -> Row:
        """Its lastUpdatedTs moves it to the end of the listing."""
        return Row(row.key, at, {**row.body, "lastUpdatedTs": _stamp(at)})

    def refusal(self, status: int, message: str) -> Response:
        """An error in the shape of this API."""
        return json_response(status, {"errors": [{"message": message}]})

    def answer(self, request: Request, now: datetime) -> Response:
        """Route a request that was let through."""
        scheme, _, credential = request.headers.get("authorization", "").rpartition(" ")
        if scheme.lower() not in ("", "bearer") or credential != self._token:
            return self.refusal(401, "missing or unknown token")
        path = request.path.removeprefix(self.base_path)
        if request.method != "GET":
            return self.refusal(405, f"{request.method} is not allowed here")
        if path == "/salesOrder":
            return self._list(request, now)
        if found := re.fullmatch(r"/salesOrder/(\d+)", path):
            row = self._row(int(found[1]))
            return (
                json_response(200, self.odd(row.body))
                if row
                else self.refusal(404, "no such order")
            )
        return self.refusal(404, f"no such path: {request.path}")

    def _row(self, number: int) -> Row | None:
        return next((row for row in self.visible(self.clock()) if row.key == number), None)

    def _list(self, request: Request, now: datetime) -> Response:
        try:
            offset, query = _continued(request.query)
            since, statuses = _since(query), _statuses(query)
            size = min(_limit(query), self._page_size_max)
        except ValueError as error:
            return self.refusal(400, str(error))
        rows = [
            row
            for row in self.visible(now)
            if (since is None or row.updated_at >= since)
            and (statuses is None or row.body.get("status") in statuses)
        ]
        page = rows[offset : offset + size]
        more = offset + size < len(rows)
        pagination: dict[str, Any] = {"hasNext": more, "nextToken": None}
        if more:
            pagination["nextToken"] = self._next_url(request, offset + size, query)
            self.shift(request, page[0].key)
        bodies = [row.body for row in page]
        results = self.with_bad_record(request, bodies, orderNumber=1, packages="none")
        return json_response(200, {"results": results, "pagination": pagination})

    def _next_url(self, request: Request, offset: int, query: dict[str, str]) -> str:
        """An absolute URL on the host that was asked, or on the one a fault names."""
        fault = self.faults.take({"next_token_host"}, request.target, request.method)
        origin = fault.host if fault else f"http://{request.headers.get('host', '127.0.0.1')}"
        token = base64.urlsafe_b64encode(json.dumps({"o": offset, "q": query}).encode()).decode()
        return f"{origin}{urlsplit(request.target).path}?nextToken={token.rstrip('=')}"


def simulate(
    world: World, *, token: str, requests_per_second: float, page_size_max: int
) -> ZentailSimulator:
    """This upstream showing a world."""
    return ZentailSimulator(
        world=world,
        token=token,
        requests_per_second=requests_per_second,
        burst=requests_per_second,
        page_size_max=page_size_max,
    )


def _continued(query: dict[str, str]) -> tuple[int, dict[str, str]]:
    """Offset and filters of a page; with nextToken every other parameter is ignored."""
    token = query.get("nextToken")
    if token is None:
        return 0, query
    try:
        state = json.loads(base64.urlsafe_b64decode(token + "=="))
        return int(state["o"]), dict(state["q"])
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        raise ValueError("nextToken is not one of ours") from error


def _since(query: dict[str, str]) -> datetime | None:
    given = query.get("lastUpdatedTs")
    if given is None:
        return None
    try:
        since = datetime.fromisoformat(given)
    except ValueError as error:
        raise ValueError(f"lastUpdatedTs is not ISO-8601: {given!r}") from error
    return since if since.tzinfo else since.replace(tzinfo=UTC)


def _statuses(query: dict[str, str]) -> frozenset[str] | None:
    given = query.get("status")
    if given is None:
        return None
    statuses = frozenset(given.split(","))
    if unknown := statuses - KNOWN_STATUSES:
        raise ValueError(f"unknown status: {min(unknown)!r}")
    return statuses


def _limit(query: dict[str, str]) -> int:
    given = query.get("limit", str(PAGE_SIZE_DEFAULT))
    if not given.isdecimal() or int(given) < 1:
        raise ValueError(f"limit is not a positive number: {given!r}")
    return int(given)


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _order(order: Order, *, package_ids: bool) -> dict[str, Any]:
    shipped = order.shipped_units()
    number = order.number
    return {
        "orderNumber": number,
        "channelOrderId": f"113-{number % 10_000:04d}",
        "status": STATUS_NAMES[order.status],
        "orderTs": _stamp(order.placed_at),
        "lastUpdatedTs": _stamp(order.updated_at),
        "shippingAddress": {
            "name": "Ana Ruiz",
            "city": "Austin",
            "state": "TX",
            "postalCode": "78701",
            "country": "US",
        },
        "products": [_line(order, line, shipped[line.product]) for line in order.lines],
        "packages": [
            _package(package, _ids(order, package, place, package_ids=package_ids))
            for place, package in enumerate(order.packages, start=1)
            for _ in range(package.listed)
        ],
    }


def _line(order: Order, line: Line, shipped: int) -> dict[str, Any]:
    canceled = line.quantity if order.status == "canceled" else 0
    status = "CANCELLED" if canceled else "SHIPPED" if shipped >= line.quantity else "PENDING"
    return {
        "lineItemId": line.line_id,
        "status": "PARTIALLY_SHIPPED" if 0 < shipped < line.quantity else status,
        "requestedSku": line.requested_sku,
        "SKU": line.sku,
        "quantity": line.quantity,
        "cancelQuantity": canceled,
        "shippedQuantity": shipped,
    }


def _ids(order: Order, package: Package, place: int, *, package_ids: bool) -> dict[str, Any]:
    """Its ids; some orders number their packages by place, or give one another id."""
    if order.numbered_by_place:
        return {"packageId": place}
    if package.own_id is not None:
        return {"packageId": package.own_id}
    if not package_ids:
        return {}
    number, box = divmod(package.number, 10)
    return {"packageId": package.number, "fulfillmentPackageId": f"ShipCo #{number}-{box}"}


def _package(package: Package, ids: dict[str, Any]) -> dict[str, Any]:
    return {
        **ids,
        "warehouseId": 4,
        "carrier": package.carrier,
        "service_level": package.service_level,
        "tracking": package.tracking,
        "shippedTs": _stamp(package.shipped_at) if package.shipped_at else None,
        "products": [{"SKU": sku, "quantity": count} for sku, count in package.contents],
    }
