"""An upstream that turns no pages: the stream stops and says why."""

from __future__ import annotations

from typing import Any

import pytest

from services.poller.answers import REPEATS_MAX
from testbed.http import Request, Response, json_response, serving
from tests.systems import tradecloud_records
from tests.systems.bench import running
from tests.systems.orders import order, stamp

TIE = stamp(ago_seconds=5)
ORDERS = [order(number, at=TIE) for number in range(3)]
SHIPMENTS = [tradecloud_records.shipment(number, at=TIE) for number in range(3)]
CLOUD = {**tradecloud_records.HISTORY, "streams": ["shipments"]}


def same_token(request: Request) -> Response:
    """Zentail: one instant fills the page, and its nextToken leads back to it."""
    return json_response(
        200, {"results": ORDERS, "pagination": {"hasNext": True, "nextToken": "again"}}
    )


def same_offset(request: Request) -> Response:
    """Tradecloud: the first rows, whatever the offset."""
    if "authentication" in request.path:
        return Response(200, headers={"Set-Authorization": "Bearer x"})
    return json_response(200, {"data": SHIPMENTS, "total": 1000})


@pytest.mark.parametrize(
    ("answer", "stream", "keys"),
    [(same_token, "head", {}), (same_offset, "shipments", CLOUD)],
    ids=["zentail", "tradecloud"],
)
async def test_a_stream_whose_pages_repeat_stops_and_says_why(
    answer: Any, stream: str, keys: dict[str, Any]
) -> None:
    """After a few tries, since a page may be repeated once; what was read is on raw."""
    asked = 0

    def counted(request: Request) -> Response:
        nonlocal asked
        asked += "authentication" not in request.path
        return answer(request)  # type: ignore[no-any-return]

    async with (
        serving(counted) as url,
        running(url, only=(stream,), recheck_seconds=600, **keys) as bench,
    ):
        await bench.until(lambda: bench.streams[stream].state == "stopped", "stopped")
        assert "would never end" in bench.streams[stream].reason
    assert asked <= 3 + REPEATS_MAX
    assert len(bench.ids) == 3
