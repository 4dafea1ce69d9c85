"""Digital River's API, fulfillments only, as an upstream over real HTTP.

Facts and their marks (seed, public, assumed): shared upstreams/digital-river.md. The refusal of an
unknown cursor id (404) and that a plain `createdTime` means "at that second" are assumed here.
Nothing is ever taken off the list: a package that is gone shows its quantities as canceled.
"""

from __future__ import annotations

import operator
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import NAMESPACE_OID, uuid5

from testbed.http import Request, Response, json_response
from testbed.orders import Line, Order, Package
from testbed.rows import Row
from testbed.simulator import Shown, Simulator, system_clock
from testbed.world import World

PAGE_SIZE_DEFAULT = 10
PAGE_SIZE_MAX = 100
REQUESTS_PER_SECOND = 25.0  # of a test key
BURST = 25.0
RETRY_AFTER_SECONDS = 1
TOKEN_DEFAULT = "sk_test_digital-river"  # noqa: S105 - of a simulator

ERROR_TYPES = {
    400: "bad_request",
    401: "unauthorized",
    404: "not_found",
    405: "method_not_allowed",
    429: "too_many_requests",
}
EXACT = {"orderId", "trackingCompany", "trackingNumber"}
TIMES = {
    "createdTime": operator.eq,
    "createdTime[gt]": operator.gt,
    "createdTime[gte]": operator.ge,
    "createdTime[lt]": operator.lt,
    "createdTime[lte]": operator.le,
}
PAGING = {"limit", "startingAfter", "endingBefore", "ids"}
KNOWN = {"skuId", *PAGING, *EXACT, *TIMES}

Body = dict[str, Any]

ACCOUNT: dict[str, Any] = {}


class DigitalRiverSimulator(Simulator):
    """One key's fulfillments: of a world, or given as objects (`fulfillments`, then `put`).

    A row holds the fulfillments of one order of the world, or one that was given.
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
        for fulfillment in fulfillments:
            self.put(fulfillment)

    def put(self, fulfillment: Body) -> None:
        """Write a fulfillment object; it replaces the one with the same id."""
        serial = self._serial(fulfillment["id"])
        self.write(Row(serial, self.clock(), {"fulfillments": [fulfillment]}))

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
            body["createdTime"] = self._created.setdefault(body["id"], _stamp(order.updated_at))
        return Row(order.number, order.updated_at, {"fulfillments": bodies})

    def shown(self, row: Row) -> list[Shown]:
        """Each fulfillment of the order."""
        return [Shown("fulfillments", body["id"], body) for body in row.body["fulfillments"]]

    def touched(self, row: Row, at: datetime) -> Row:
        """Nothing shows it: a fulfillment has no time of update."""
        return Row(row.key, at, row.body)

    def refusal(self, status: int, message: str, parameter: str = "") -> Response:
        """An error in the shape of this API."""
        kind = ERROR_TYPES.get(status, "internal_server_error")
        code = "invalid_parameter" if parameter else kind
        error = {"code": code, **({"parameter": parameter} if parameter else {})}
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if status == 429 else {}
        value = {"type": kind, "errors": [{**error, "message": message}]}
        return json_response(status, value, headers)

    def answer(self, request: Request, now: datetime) -> Response:
        """Route a request that was let through."""
        if request.headers.get("authorization") != f"Bearer {self._token}":
            return self.refusal(401, "The API key is missing or unknown.")
        if request.method != "GET":
            return self.refusal(405, f"{request.method} is not allowed here.")
        path = request.path.removeprefix(self.base_path)
        if path == "/fulfillments":
            return self._list(request, now)
        if found := re.fullmatch(r"/fulfillments/([^/]+)", path):
            return self._single(found[1], now)
        return self.refusal(404, f"There is no {request.path}.")

    def newest_first(self, now: datetime) -> list[Body]:
        """All fulfillments readers see, in the order of the list."""
        rows = [body for row in self.visible(now) for body in row.body["fulfillments"]]
        return sorted(rows, key=lambda one: (_created(one), self._serials[one["id"]]), reverse=True)

    def _serial(self, upstream_id: str) -> int:
        return self._serials.setdefault(upstream_id, len(self._serials) + 1)

    def _single(self, upstream_id: str, now: datetime) -> Response:
        for body in self.newest_first(now):
            if body["id"] == upstream_id:
                details = {"id": body.get("orderId"), "state": "fulfilled"}
                return json_response(200, {**body, "orderDetails": details})
        return self.refusal(404, f"There is no fulfillment {upstream_id}.")

    def _list(self, request: Request, now: datetime) -> Response:
        pairs = parse_qsl(urlsplit(request.target).query, keep_blank_values=True)
        query = dict(pairs)
        ids = [value for name, value in pairs if name == "ids"]
        try:
            size = _limit(query)
            matches = _filters(query)
        except _BadParameter as error:
            return self.refusal(400, str(error), error.parameter)
        rows = self.newest_first(now)
        wanted = [one for one in rows if all(match(one) for match in matches)]
        wanted = [one for one in wanted if one["id"] in ids] if ids else wanted
        page_size = min(size, self._page_size_max)
        name = "endingBefore" if "endingBefore" in query else "startingAfter"
        at = next((i for i, one in enumerate(wanted) if one["id"] == query.get(name)), None)
        if at is None and name in query:
            return self.refusal(404, f"There is no fulfillment {query[name]}.", name)
        if name == "endingBefore" and at is not None:
            page, more = wanted[max(0, at - page_size) : at], at > page_size
        else:
            start = 0 if at is None else at + 1
            page, more = wanted[start : start + page_size], start + page_size < len(wanted)
        data = self.with_bad_record(request, page, id="ful_bad", items="none")
        return json_response(200, {"hasMore": more, "data": data})


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


class _BadParameter(Exception):
    """A query that this API refuses."""

    def __init__(self, parameter: str, message: str) -> None:
        super().__init__(message)
        self.parameter = parameter


Match = Callable[[Body], bool]


def _filters(query: dict[str, str]) -> list[Match]:
    if unknown := query.keys() - KNOWN:
        raise _BadParameter(min(unknown), f"There is no parameter {min(unknown)}.")
    return [_filter(name, value) for name, value in query.items() if name not in PAGING]


def _filter(name: str, value: str) -> Match:
    if name in EXACT:
        return lambda one: str(one.get(name)) == value
    if name == "skuId":
        return lambda one: any(item.get("skuId") == value for item in one["items"])
    try:
        bound = datetime.fromisoformat(value)
    except ValueError as error:
        raise _BadParameter(name, f"{value!r} is not an ISO-8601 time.") from error
    if bound.tzinfo is None:
        raise _BadParameter(name, f"{value!r} has no time zone.")
    compare = TIMES[name]
    return lambda one: bool(compare(_created(one), bound))


def _limit(query: dict[str, str]) -> int:
    given = query.get("limit", str(PAGE_SIZE_DEFAULT))
    if not given.isdecimal() or not 1 <= int(given) <= PAGE_SIZE_MAX:
        raise _BadParameter("limit", f"limit must be 1 to {PAGE_SIZE_MAX}, not {given!r}.")
    return int(given)


def _created(body: Body) -> datetime:
    """createdTime, a text or the object a Java program would print."""
    value = body["createdTime"]
    if isinstance(value, str):
        return datetime.fromisoformat(value)
    names = ("year", "monthValue", "dayOfMonth", "hour", "minute", "second")
    year, month, day, hour, minute, second = (value.get(name, 0) for name in names)
    zone = timezone(timedelta(seconds=value.get("offset", {}).get("totalSeconds", 0)))
    return datetime(year, month, day, hour, minute, second, tzinfo=zone)


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


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
