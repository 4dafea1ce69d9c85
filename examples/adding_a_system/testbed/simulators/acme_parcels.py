"""Acme Parcels' API as an upstream over real HTTP: `GET /orders`, oldest update first."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from testbed.http import Request, Response, json_response
from testbed.orders import Order, OrderStatus, Package, is_shipped
from testbed.rows import Row
from testbed.simulator import Shown, Simulator
from testbed.world import World

ACCOUNT: dict[str, Any] = {}
STATES: dict[OrderStatus, str] = {
    "placed": "open",
    "partially_shipped": "part_shipped",
    "shipped": "shipped",
    "return_requested": "shipped",
    "refunded": "returned",
    "canceled": "canceled",
}


class AcmeParcelsSimulator(Simulator):
    """One account's orders with their parcels."""

    base_path = "/acme/v1"

    def __init__(self, *, token: str, page_size_max: int = 100, **more: Any) -> None:
        super().__init__(**more)
        self._token = token
        self._page_size_max = page_size_max

    def row(self, order: Order) -> Row:
        """An order as Acme Parcels spells it."""
        body = {
            "id": order.number,
            "state": STATES[order.status],
            "updated_at": _stamp(order.updated_at),
            "lines": {line.product: line.quantity for line in order.lines},
            "parcels": [_parcel(order, package) for package in order.packages],
        }
        return Row(order.number, order.updated_at, body)

    def shown(self, row: Row) -> list[Shown]:
        """An order is one record."""
        return [Shown("orders", str(row.key), row.body)]

    def touched(self, row: Row, at: datetime) -> Row:
        """Its updated_at moves it to the end of the list."""
        return Row(row.key, at, {**row.body, "updated_at": _stamp(at)})

    def refusal(self, status: int, message: str) -> Response:
        """An error in the shape of this API."""
        return json_response(status, {"error": message})

    def answer(self, request: Request, now: datetime) -> Response:
        """The list; `after` is how many rows a next link passes over."""
        if request.headers.get("x-acme-token") != self._token:
            return self.refusal(401, "unknown token")
        if request.path != f"{self.base_path}/orders":
            return self.refusal(404, f"no such path: {request.path}")
        query = request.query
        since, after = datetime.fromisoformat(query["updated_since"]), int(query.get("after", 0))
        end = after + min(int(query["limit"]), self._page_size_max)
        rows = [row for row in self.visible(now) if row.updated_at >= since]
        link = f"{self.base_path}/orders?updated_since={query['updated_since']}"
        link += f"&limit={query['limit']}&after={end}"
        orders = self.with_bad_record(request, [row.body for row in rows[after:end]], parcels=0)
        return json_response(200, {"orders": orders, "next": link if end < len(rows) else None})


def simulate(
    world: World, *, token: str, requests_per_second: float, page_size_max: int
) -> AcmeParcelsSimulator:
    """This upstream showing a world."""
    rate = {"requests_per_second": requests_per_second, "burst": requests_per_second}
    return AcmeParcelsSimulator(token=token, page_size_max=page_size_max, world=world, **rate)


def _parcel(order: Order, package: Package) -> dict[str, Any]:
    return {
        "id": package.number,
        "state": "shipped" if is_shipped(order, package) else "packed",
        "carrier": package.carrier,
        "tracking": package.tracking,
        "shipped_at": _stamp(package.shipped_at) if package.shipped_at else None,
        "contents": dict(package.contents),
    }


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
