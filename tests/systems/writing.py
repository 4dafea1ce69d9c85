"""A target over real HTTP, the orders it shows, and what is called there."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any

from bus.clock import SystemClock
from schemas.write_back import Call, CallItem
from services.notifier.channel import Surroundings
from services.notifier.target import WriteTarget
from services.notifier.targets import open_target
from services.notifier.write_backs.settings import TargetEntry
from testbed.http import Handler, Request, Response, json_response

SECRET = "sk_test_canary-4711"
CALL = Call(
    kind="fulfill",
    order_id="29",
    event_id="evt_1",
    items=(CallItem(line_id="1", quantity=2),),
    shipment_id="shp_1",
    tracking_company="Fedex",
    tracking_number="Z1",
)
UPDATE = Call(
    kind="update", order_id="29", fulfillment_id="ful_1", event_id="evt_2", tracking_number="Z2"
)
ORDER = {
    "id": "29",
    "upstreamId": "PO-1",
    "state": "accepted",
    "items": [
        {"id": "1", "skuId": "MUG", "quantity": 3},
        {"id": "2", "skuId": "POT", "quantity": 1},
    ],
}
MADE = {"id": "ful_1", "orderId": "29", "items": [{"itemId": "1", "quantity": 2}]}


@asynccontextmanager
async def target_at(
    base_url: str,
    system: str = "digital_river",
    *,
    allow: str = "127.0.0.0/8",
    timeout_seconds: float = 60.0,
    connections_max: int = 4,
    **surroundings_of: Any,
) -> AsyncIterator[WriteTarget]:
    """An account of `system` there, with `SECRET` for its key."""
    entry = TargetEntry(
        name="shop",
        system=system,
        secret="env:NOT_LOOKED_UP",
        base_url=base_url,
        timeout_seconds=timeout_seconds,
    )
    surroundings = Surroundings(
        clock=SystemClock(),
        allow_networks=[ip_network(allow)],
        connect_timeout_seconds=60.0,
        total_timeout_seconds=60.0,
        connections_max=connections_max,
        **surroundings_of,
    )
    target = open_target(entry, SECRET, surroundings)
    try:
        yield target
    finally:
        await target.close()


def listed(*records: Mapping[str, Any], more: bool = False) -> Response:
    """A page of a list."""
    return json_response(200, {"hasMore": more, "data": list(records)})


def failure(status: int, kind: str, *, code: str = "some_code", **headers: str) -> Response:
    """An answer that is no success, in this system's own shape."""
    error = {"code": code, "parameter": "orderId", "message": "Words."}
    return json_response(status, {"type": kind, "errors": [error]}, headers)


def always(response: Response, seen: list[Request] | None = None) -> Handler:
    """This answer to everything; `seen` keeps what was asked."""

    def handler(request: Request) -> Response:
        if seen is not None:
            seen.append(request)
        return response

    return handler


Scripted = Response | list[Response] | Handler


class Script:
    """Answers by the path asked for, in turn, the last one for ever; keeps what was asked."""

    def __init__(self, **answers: Scripted) -> None:
        self.asked: list[Request] = []
        self._answers = answers

    def __call__(self, request: Request) -> Response:
        self.asked.append(request)
        found = self._answers[request.path.split("/")[1]]
        if callable(found):
            return found(request)
        if isinstance(found, Response):
            return found
        return found.pop(0) if len(found) > 1 else found[0]

    @property
    def targets(self) -> list[str]:
        """Method, path and query of each request."""
        return [f"{one.method} {one.target}" for one in self.asked]

    @property
    def bodies(self) -> list[Any]:
        """What was posted."""
        return [json.loads(one.body) for one in self.asked if one.method == "POST"]
