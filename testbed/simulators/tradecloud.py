"""Tradecloud One's API v2, polls of orders and shipments, as an upstream over real HTTP.

Facts and their marks (seed, public, assumed): shared upstreams/tradecloud.md. Bodies of errors and
whether the filter takes in its own instant are assumed there; `inclusive` chooses. A world is shown
as one order for each of its orders and one shipment for each package there ever was: one that is
gone is rejected.
"""

from __future__ import annotations

import base64
import re
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from testbed.http import Request, Response, json_response
from testbed.orders import Line, Order, Package, is_shipped
from testbed.rows import Row
from testbed.simulator import OF_ANY_LISTING, REQUESTS_KEPT_MAX, Shown, Simulator, system_clock
from testbed.world import World

LIMIT_MAX = 100
REQUESTS_PER_SECOND = 10.0
BURST = 10.0
ACCESS_SECONDS = 3600.0
TOKEN_DEFAULT = "tradecloud-password"  # noqa: S105 - of a simulator
SUPPLIER = "1f61e695-7545-5670-9384-58e8b1f263e6"
BUYER = "f56aa4ce-8ec8-5197-bc26-77716a58add7"
POLLS = {"/order-search/poll": "orders", "/shipment/poll": "shipments"}
LOOSE_EVERY = 4  # one in so many packages is not packed in a load carrier

Body = dict[str, Any]

ACCOUNT: dict[str, Any] = {"username": "integration@acme.example", "role": "buyer"}


class TradecloudSimulator(Simulator):
    """One company's orders and shipments: of a world, or given as objects (`put`).

    A row holds an order and its shipments, or one object that was given. `polls` are the bodies of
    polls as they were asked, each with its resource.
    """

    base_path = "/tradecloud/v2"
    listing_faults = OF_ANY_LISTING | {"shifting_page", "shrinking_total"}

    def __init__(
        self,
        *,
        world: World | None = None,
        username: str = ACCOUNT["username"],
        password: str = TOKEN_DEFAULT,
        clock: Callable[[], datetime] = system_clock,
        requests_per_second: float = REQUESTS_PER_SECOND,
        burst: float = BURST,
        page_size_max: int = LIMIT_MAX,
        inclusive: bool = False,
        access_seconds: float = ACCESS_SECONDS,
    ) -> None:
        super().__init__(
            world=world, clock=clock, requests_per_second=requests_per_second, burst=burst
        )
        self.polls: deque[tuple[str, Body]] = deque(maxlen=REQUESTS_KEPT_MAX)
        self.inclusive = inclusive
        self.access_seconds = access_seconds
        self._credential = base64.b64encode(f"{username}:{password}".encode()).decode()
        self._page_size_max = page_size_max
        self._keys: dict[tuple[str, str], int] = {}
        self._packages: dict[int, dict[str, Package]] = {}  # ever seen, by order and identity
        self._shipments: dict[str, Body] = {}  # of the world, as last shown
        self._tokens = 0
        self._access: dict[str, datetime] = {}  # and when each runs out
        self._refresh = ""

    def put(self, resource: str, body: Body) -> int:
        """Write an order or shipment; it replaces the one with the same id. The key to touch it."""
        key = self._keys.setdefault((resource, body["id"]), len(self._keys) + 1)
        self.write(Row(key, _updated_at(body), {"orders": [], "shipments": [], resource: [body]}))
        return key

    def expire(self) -> None:
        """Let every access token run out now."""
        self._access.clear()

    def row(self, order: Order) -> Row:
        """The order and its shipments; a shipment that has not changed keeps its last update."""
        packages = self._packages.setdefault(order.number, {})
        packages.update({package.truth_id: package for package in order.packages})
        live = {package.truth_id for package in order.packages}
        shipments = [
            self._shipment(order, package, gone=truth_id not in live)
            for truth_id, package in packages.items()
        ]
        return Row(
            order.number, order.updated_at, {"orders": [_order(order)], "shipments": shipments}
        )

    def shown(self, row: Row) -> list[Shown]:
        """The order and each of its shipments."""
        return [
            Shown(resource, body["id"], body)
            for resource in POLLS.values()
            for body in row.body[resource]
        ]

    def touched(self, row: Row, at: datetime) -> Row:
        """Last updated now, all of it."""
        return _touched(row, at, frozenset(POLLS.values()))

    def refusal(self, status: int, message: str) -> Response:
        """An error in the shape of this API."""
        return json_response(status, {"ok": False, "message": message})

    def answer(self, request: Request, now: datetime) -> Response:
        """Route a request that was let through."""
        path = request.path.removeprefix(self.base_path)
        if path in ("/authentication/login", "/authentication/refresh"):
            return self._authenticate(path, request, now)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        bearer = scheme == "Bearer" and self._access.get(token, now) > now
        if not bearer and (scheme, token) != ("Basic", self._credential):
            return self.refusal(401, "The token or credential is missing, unknown or too old.")
        if path in POLLS and request.method in ("GET", "POST"):
            return self._poll(POLLS[path], request, now)
        if request.method == "GET" and (found := re.fullmatch(r"/(order|shipment)/([^/]+)", path)):
            return self._single(f"{found[1]}s", found[2], now)
        return self.refusal(404, f"There is no {request.method} {request.path}.")

    def listed(self, resource: str, now: datetime) -> list[tuple[int, Body]]:
        """What readers see of a resource with its key to touch, oldest update first."""
        found = [(row.key, body) for row in self.visible(now) for body in row.body[resource]]
        return sorted(found, key=lambda one: (_updated_at(one[1]), one[1]["id"]))

    def _authenticate(self, path: str, request: Request, now: datetime) -> Response:
        """A new pair of tokens in headers; the refresh token before it is void."""
        if path.endswith("/refresh"):
            known = bool(self._refresh) and request.headers.get("refresh-token") == self._refresh
        else:
            known = request.headers.get("authorization") == f"Basic {self._credential}"
        if not known:
            return self.refusal(401, "Not authenticated.")
        self._tokens += 1
        access, self._refresh = f"access-{self._tokens}", f"refresh-{self._tokens}"
        self._access[access] = now + timedelta(seconds=self.access_seconds)
        tokens = {"Set-Authorization": access, "Set-Refresh-Token": self._refresh}
        return json_response(200, {"ok": True}, tokens)

    def _poll(self, resource: str, request: Request, now: datetime) -> Response:
        try:
            query = request.json()
            after, offset, limit = _asked(query)
        except (ValueError, TypeError, AttributeError) as error:
            return self.refusal(400, f"The body is no query: {error}")
        self.polls.append((resource, query))
        wanted = [one for one in self.listed(resource, now) if self._passes(one[1], after)]
        page = wanted[offset : offset + min(limit, self._page_size_max)]
        total = len(wanted)
        if offset + len(page) < total:
            self.shift(request, page[0][0], partial(_touched, names=frozenset({resource})))
            if self.faults.take({"shrinking_total"}, request.target, request.method):
                total = offset + len(page)
        wrong = {"id": "bad", "lastUpdatedAt": 5, "meta": None}
        data = self.with_bad_record(request, [body for _, body in page], **wrong)
        last = _stamp(_updated_at(page[-1][1])) if page else None
        return json_response(200, {"data": data, "total": total, "lastUpdatedAt": last})

    def _passes(self, body: Body, after: datetime | None) -> bool:
        updated_at = _updated_at(body)
        return after is None or updated_at > after or (self.inclusive and updated_at == after)

    def _single(self, resource: str, asked: str, now: datetime) -> Response:
        for _, body in self.listed(resource, now):
            if body["id"] == asked:
                return json_response(200, self.odd(body))
        return self.refusal(404, f"There is no {asked}.")

    def _shipment(self, order: Order, package: Package, *, gone: bool) -> Body:
        body = _shipment(order, package, gone=gone)
        known = self._shipments.get(body["id"])
        if known is None or _stamped(known, order.updated_at) != body:
            self._shipments[body["id"]] = body
        return self._shipments[body["id"]]


def simulate(
    world: World, *, token: str, requests_per_second: float, page_size_max: int
) -> TradecloudSimulator:
    """This upstream showing a world; `token` is the password."""
    return TradecloudSimulator(
        world=world,
        password=token,
        requests_per_second=requests_per_second,
        burst=requests_per_second,
        page_size_max=page_size_max,
    )


def _asked(query: Any) -> tuple[datetime | None, int, int]:
    """lastUpdatedAfter, offset and limit; raises ValueError, TypeError, AttributeError."""
    text = query.get("filters", {}).get("lastUpdatedAfter")
    after = None if text is None else datetime.fromisoformat(text)
    if after is not None and after.tzinfo is None:
        raise ValueError(f"lastUpdatedAfter has no time zone: {text!r}")
    offset, limit = query.get("offset", 0), query.get("limit", LIMIT_MAX)
    if not 0 <= offset or not 1 <= limit <= LIMIT_MAX:
        raise ValueError(f"offset {offset!r} or limit {limit!r} is out of range")
    return after, int(offset), int(limit)


def _updated_at(body: Body) -> datetime:
    """At the root of an order, in the meta of a shipment."""
    return datetime.fromisoformat(body.get("lastUpdatedAt") or body["meta"]["lastUpdatedAt"])


def _touched(row: Row, at: datetime, names: frozenset[str]) -> Row:
    stamped = {name: [_stamped(one, at) for one in row.body[name]] for name in names}
    return Row(row.key, at, {**row.body, **stamped})


def _stamped(body: Body, at: datetime) -> Body:
    """The same, last updated then; what its lines say of themselves stays."""
    if "lastUpdatedAt" in body:
        return {**body, "lastUpdatedAt": _stamp(at)}
    return {**body, "meta": {**body["meta"], "lastUpdatedAt": _stamp(at)}}


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _shipment(order: Order, package: Package, *, gone: bool) -> Body:
    """A package as a despatch advice; it has left when it has an actual time of departure."""
    number, left = f"SN{package.number}", is_shipped(order, package)
    lines = list(_advice_lines(order, package))
    loose = package.number % LOOSE_EVERY == 0
    boxes = _load_carriers(package, lines)
    word = "Rejected" if gone else "Issued"
    departed = _stamp(package.shipped_at or order.updated_at)[:10] if left else None
    return {
        "id": f"{SUPPLIER}-{number}",
        "identifiers": {"billOfLadingNumber": None, "trackingNumber": package.tracking},
        "supplierShipment": {"companyId": SUPPLIER, "shipmentNumber": number},
        "buyerShipment": {"companyId": BUYER},
        "loadCarriers": [] if loose else boxes,
        "lines": lines if loose else [],
        "locations": {"departure": {"etdDate": _stamp(order.placed_at)[:10], "atdDate": departed}},
        "status": {"processStatus": word},
        "meta": {"lastUpdatedAt": _stamp(order.updated_at)},
    }


def _load_carriers(package: Package, lines: list[Body]) -> list[Body]:
    """One; what is listed twice stands on two under one SSCC, its lines divided where it can be."""
    sscc = f"(00){package.own_id or package.number:018d}"
    halves = [lines]
    if package.listed > 1:
        halves = [lines[:1], lines[1:] or lines]
    return [{"packageSSCC": sscc, "packageType": "CT", "lines": half} for half in halves]


def _advice_lines(order: Order, package: Package) -> Iterator[Body]:
    names = [line.product for line in order.lines]
    empty = ((names[0], 0),)  # nothing is packed yet, but it is known for what
    for position, (product, count) in enumerate(package.contents or empty, start=1):
        yield {
            "purchaseOrderNumber": str(order.number),
            "purchaseOrderLinePosition": f"{names.index(product) + 1:02d}0",
            "item": {"buyerItemNumber": product, "buyerItemName": f"{product} ø60"},
            "supplierLine": {
                "despatchAdviceNumber": f"DA-{package.number}",
                "despatchAdviceLinePosition": f"{position:02d}",
                "despatchQuantity": float(count),
            },
        }


def _order(order: Order) -> Body:
    lines = [_order_line(order, line) for line in order.lines]
    words = {line["status"]["logisticsStatus"] for line in lines}
    process = "Cancelled" if order.status == "canceled" else "Confirmed"
    logistics = words.pop() if len(words) == 1 else "Open"
    return {
        "id": f"{BUYER}-{order.number}",
        "buyerOrder": {"companyId": BUYER, "purchaseOrderNumber": str(order.number)},
        "lines": lines,
        "status": {"processStatus": process, "logisticsStatus": logistics},
        "lastUpdatedAt": _stamp(order.updated_at),
    }


def _order_line(order: Order, line: Line) -> Body:
    """Its logisticsStatus speaks of the full quantity; a part shows in the delivery schedule."""
    sent = min(order.shipped_units()[line.product], line.quantity)
    canceled = order.status == "canceled"
    word = "Cancelled" if canceled else "Shipped" if sent == line.quantity else "Open"
    parts = [(sent, "Shipped"), (line.quantity - sent, "Cancelled" if canceled else "Open")]
    return {
        "id": line.line_id,
        "buyerLine": {"position": line.line_id[-1], "item": {"number": line.product}},
        "deliverySchedule": [
            {"quantity": float(count), "status": status} for count, status in parts if count
        ],
        "status": {"processStatus": "Cancelled" if canceled else "Confirmed"}
        | {"inProgressStatus": None, "logisticsStatus": word},
        "lastUpdatedAt": _stamp(order.updated_at),
    }
