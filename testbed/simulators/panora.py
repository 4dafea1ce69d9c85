"""Panora's unified e-commerce API, fulfillments of one linked account, over real HTTP.

Facts and their marks (seed, public, assumed): shared upstreams/panora.md. By default errors are as
the code has them (500 for nearly everything), with `documented_codes` as its pages promise.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from datetime import UTC, datetime
from random import Random
from typing import Any
from uuid import UUID, uuid5

from testbed.http import Request, Response, json_response
from testbed.orders import Order, Package, is_shipped
from testbed.rows import Row
from testbed.simulator import OF_ANY_LISTING, Shown, Simulator, system_clock
from testbed.world import World

LIMIT_DEFAULT = 50
REQUESTS_PER_SECOND = 100 / 60
BURST = 100.0
SYNC_SECONDS = 1  # a linked account is read again so often; modified_at moves each time
TOKEN_DEFAULT = "panora-token"  # noqa: S105 - of a simulator
SPACE = UUID("801f9ede-c698-4e66-a7fc-48d19eebaa4f")
PATH = "/ecommerce/fulfillments"

Fulfillment = dict[str, Any]

ACCOUNT: dict[str, Any] = {}


class PanoraSimulator(Simulator):
    """One connection's fulfillments: from a world, or given as objects (`put`, `delete`).

    A row holds the fulfillments of one order, in `fulfillments`. With `shuffled` the records of
    one instant stand in another order in each answer; a `shifting_page` fault does so once.
    A record whose `remote_data` is missing has no raw record stored beside it.
    """

    base_path = "/panora"
    listing_faults = OF_ANY_LISTING | {"shifting_page"}

    def __init__(
        self,
        *,
        world: World | None = None,
        api_key: str = TOKEN_DEFAULT,
        connection_token: str = TOKEN_DEFAULT,
        clock: Callable[[], datetime] = system_clock,
        requests_per_second: float = REQUESTS_PER_SECOND,
        burst: float = BURST,
        page_size_max: int | None = None,
        documented_codes: bool = False,
        shuffled: bool = False,
    ) -> None:
        super().__init__(
            world=world, clock=clock, requests_per_second=requests_per_second, burst=burst
        )
        self._api_key = api_key
        self._connection_token = connection_token
        self._page_size_max = page_size_max
        self._documented_codes = documented_codes
        self._shuffled = shuffled
        self._chance = Random(0)
        self._target = ""
        self._sent: dict[int, dict[str, Package]] = {}
        self._stored_at: dict[str, str] = {}

    def put(self, *fulfillments: Fulfillment) -> None:
        """Write fulfillment objects; each replaces the one with the same id."""
        for one in fulfillments:
            self.write(Row(UUID(one["id"]).int, self.clock(), {"fulfillments": [one]}))

    def delete(self, *ids: str) -> None:
        """Take fulfillments out of the list, as if they had never been."""
        for one in ids:
            self.write(Row(UUID(one).int, self.clock(), {"fulfillments": []}))

    def row(self, order: Order) -> Row:
        """One fulfillment for each package there ever was; one that is gone is cancelled."""
        sent = self._sent.setdefault(order.number, {})
        sent.update({_id(package): package for package in order.packages})
        shown = [
            self._fulfillment(order, package, gone=package not in order.packages)
            for package in sent.values()
        ]
        return Row(order.number, order.updated_at, {"fulfillments": shown})

    def handle(self, request: Request) -> Response:
        """One request; errors name its target."""
        self._target = request.target
        return super().handle(request)

    def shown(self, row: Row) -> list[Shown]:
        """Each fulfillment of the order; modified_at moves at every sync."""
        return [Shown("fulfillments", one["id"], one) for one in row.body["fulfillments"]]

    def touched(self, row: Row, at: datetime) -> Row:
        """A sync moves every modified_at anyway."""
        return Row(row.key, at, row.body)

    def refusal(self, status: int, message: str) -> Response:
        """An error in the shape of this API."""
        headers = {"Retry-After": "1"} if status == 429 else {}
        text = "ThrottlerException: Too Many Requests" if status == 429 else message
        body = {
            "statusCode": status,
            "timestamp": _stamp(self.clock()),
            "path": self._target,
            "message": text,
        }
        return json_response(status, body, headers)

    def answer(self, request: Request, now: datetime) -> Response:
        """Route a request that was let through."""
        if (refused := self._stranger(request)) is not None:
            return refused
        path = request.path.removeprefix(self.base_path)
        if request.method != "GET":
            return self.refusal(404, f"Cannot {request.method} {request.path}")
        if path == PATH:
            return self._list(request, now)
        if found := re.fullmatch(re.escape(PATH) + "/([^/]+)", path):
            return self._retrieve(found[1], request, now)
        return self.refusal(404, f"Cannot GET {request.path}")

    def _stranger(self, request: Request) -> Response | None:
        key = request.headers.get("x-api-key")
        if not key:
            return self.refusal(401, "Unauthorized")
        if key != self._api_key:
            return self._failure(401, "API Key not found.")
        token = request.headers.get("x-connection-token", "")
        if token != self._connection_token:
            of_list = "ReferenceError: " if request.path.endswith(PATH) else ""
            return self._failure(401, f"{of_list}Connection undefined for token {token}")
        return None

    def _failure(self, documented: int, message: str) -> Response:
        """What the pages promise as `documented` and the code answers with 500."""
        return self.refusal(documented if self._documented_codes else 500, message)

    def _list(self, request: Request, now: datetime) -> Response:
        limit = request.query.get("limit", str(LIMIT_DEFAULT))
        remote_data = request.query.get("remote_data", "false")
        cursor = request.query.get("cursor")
        if not limit.isdecimal() or remote_data not in ("true", "false") or not _valid(cursor):
            return self.refusal(400, "Bad Request")
        rows = self._in_order(request, now)
        first = 0
        if cursor is not None:
            place = base64.b64decode(cursor).decode()
            found = [index for index, row in enumerate(rows) if row["id"] == place]
            if not found:
                return self._failure(404, "The provided cursor does not exist!")
            first = found[0]
        size = min(int(limit), self._page_size_max or int(limit))
        page, beyond = rows[first : first + size], rows[first + size : first + size + 1]
        try:
            shown = [_shown(row, now, remote_data=remote_data == "true") for row in page]
        except LookupError as error:
            return self.refusal(500, str(error.args[0]))
        following = base64.b64encode(beyond[0]["id"].encode()).decode() if beyond else None
        data = self.with_bad_record(request, shown, id=None)
        return json_response(200, {"prev_cursor": cursor, "next_cursor": following, "data": data})

    def _retrieve(self, asked: str, request: Request, now: datetime) -> Response:
        found = [row for row in self._in_order(request, now) if row["id"] == asked]
        if not found:
            return self._failure(404, f"Fulfillment with ID {asked} not found.")
        try:  # any text switches it on, "false" too
            remote_data = bool(request.query.get("remote_data"))
            shown = _shown(found[0], now, remote_data=remote_data)
            return json_response(200, self.odd(shown))
        except LookupError as error:
            return self.refusal(500, str(error.args[0]))

    def _in_order(self, request: Request, now: datetime) -> list[Fulfillment]:
        """By created_at only; nulls last, as the database sorts them."""
        rows = [one for row in self.visible(now) for one in row.body["fulfillments"]]
        rows.sort(key=lambda row: str(row["id"]))
        if self._shuffled or self.faults.take({"shifting_page"}, request.target, request.method):
            self._chance.shuffle(rows)
        return sorted(rows, key=lambda row: (row["created_at"] is None, row["created_at"] or ""))

    def _world_now(self, now: datetime) -> dict[str, Any]:
        """The truth, its orders under the ids that this upstream gives them."""
        found = super()._world_now(now)
        for order in found["truth"]["orders"] if found["truth"] else ():
            order["id"] = _order_id(int(order["id"]))
        return found

    def _fulfillment(self, order: Order, package: Package, *, gone: bool) -> Fulfillment:
        """A package as a fulfillment of its own, stored when it was first seen."""
        stored_at = self._stored_at.setdefault(_id(package), _stamp(order.updated_at))
        word = "success" if is_shipped(order, package) else "pending"
        number = package.tracking
        return {
            "id": _id(package),
            "remote_id": str(package.number),
            "order_id": _order_id(order.number),
            "carrier": package.carrier,
            "tracking_numbers": [number] if number else [],
            "tracking_urls": [f"https://track.example.com/{number}"] if number else [],
            "items": {},
            "field_mappings": {"warehouse": "LYS-2"},
            "created_at": stored_at,
            "remote_data": {
                "id": package.number,
                "order_id": order.number,
                "status": "cancelled" if gone else word,
                "tracking_company": package.carrier,
                "line_items": [
                    {"id": line + 1, "sku": sku, "title": sku.title(), "quantity": count}
                    for line, (sku, count) in enumerate(package.contents)
                ],
            },
        }


def simulate(
    world: World, *, token: str, requests_per_second: float, page_size_max: int
) -> PanoraSimulator:
    """This upstream showing a world; `token` is API key and connection token."""
    return PanoraSimulator(
        world=world,
        api_key=token,
        connection_token=token,
        requests_per_second=requests_per_second,
        burst=requests_per_second,
        page_size_max=page_size_max,
    )


def _shown(row: Fulfillment, now: datetime, *, remote_data: bool) -> Fulfillment:
    """The record of one answer; raises LookupError with what the code says of a missing one."""
    if remote_data and "remote_data" not in row:
        raise LookupError("Cannot read properties of null (reading 'data')")
    seconds = int(now.timestamp()) // SYNC_SECONDS * SYNC_SECONDS
    synced = {"modified_at": _stamp(datetime.fromtimestamp(seconds, UTC)), **row}
    return {name: value for name, value in synced.items() if remote_data or name != "remote_data"}


def _valid(cursor: str | None) -> bool:
    try:
        UUID(
            base64.b64decode(
                cursor or base64.b64encode(str(SPACE).encode()), validate=True
            ).decode()
        )
    except (binascii.Error, ValueError):
        return False
    return True


def _id(package: Package) -> str:
    return str(uuid5(SPACE, f"fulfillment {package.number}"))


def _order_id(number: int) -> str:
    return str(uuid5(SPACE, f"order {number}"))


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
