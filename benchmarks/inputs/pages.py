"""A list of orders in Zentail's shape, cut into pages once: 100 orders of 0.9 kB each.

Run as a process it serves them below any path, as fast as it can.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from testbed.http import Request, Response, serving
from testbed.process import run_until_stopped

PAGE_SIZE = 100
RECORD_BYTES = 900
STEP = timedelta(seconds=1)


def stamp(began_at: datetime, index: int) -> str:
    """When the order at this place was updated."""
    at = (began_at + index * STEP).astimezone(UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def pages(began_at: datetime, count: int) -> dict[str, bytes]:
    """Every page by the instant it is asked for from: the last order of the page before."""
    made = {}
    for number in range(count):
        first = number * (PAGE_SIZE - 1)
        orders = [_order(first + place, began_at) for place in range(PAGE_SIZE)]
        page = {"results": orders, "pagination": {"hasNext": number < count - 1}}
        made[stamp(began_at, first)] = json.dumps(page, separators=(",", ":")).encode()
    return made


def _order(index: int, began_at: datetime) -> dict[str, Any]:
    order = {
        "orderNumber": 10_000_000 + index,
        "status": "SHIPPED",
        "lastUpdatedTs": stamp(began_at, index),
        "products": [{"lineItemId": str(index), "SKU": "MUG-BLU", "quantity": 2}],
        "packages": [
            {
                "carrier": "UPS",
                "tracking": f"1Z{index:010d}",
                "shippedTs": stamp(began_at, index),
                "products": [{"SKU": "MUG-BLU", "quantity": 2}],
            }
        ],
        "note": "",
    }
    missing = RECORD_BYTES - len(json.dumps(order, separators=(",", ":")))
    return {**order, "note": "x" * missing}


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inputs.pages")
    parser.add_argument("--began-at", type=datetime.fromisoformat, required=True)
    parser.add_argument("--pages", type=int, required=True)
    arguments = parser.parse_args()
    made = pages(arguments.began_at, arguments.pages)
    empty = b'{"results":[],"pagination":{"hasNext":false}}'
    json_header = {"Content-Type": "application/json"}

    def handle(request: Request) -> Response:
        body = made.get(request.query.get("lastUpdatedTs", ""), empty)
        return Response(200, body, json_header)

    asyncio.run(run_until_stopped(serving(handle)))


if __name__ == "__main__":
    main()
