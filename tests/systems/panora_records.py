"""Hand-made Panora fulfillments, by number, and what a scan made of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from testbed.simulators.panora import PanoraSimulator
from tests.systems.bench import TOKEN, Bench

FIRST = datetime(2024, 10, 1, 12, tzinfo=UTC)


def uuid(number: int) -> str:
    """The id of a hand-made fulfillment."""
    return str(UUID(int=number + 1, version=4))


def fulfillment(number: int, *, minutes: float | None = None, **more: Any) -> dict[str, Any]:
    """A shipped fulfillment, stored so long after the first instant, else `number` minutes."""
    stored_at = FIRST + timedelta(minutes=number if minutes is None else minutes)
    return {
        "id": uuid(number),
        "remote_id": f"id_{number}",
        "order_id": uuid(number + 1_000_000),
        "carrier": "DHL",
        "tracking_numbers": [f"track_{number}"],
        "tracking_urls": [f"https://track.example.com/{number}"],
        "items": {},
        "field_mappings": {"fav_dish": "broccoli", "fav_color": "red"},
        "created_at": stored_at.isoformat().replace("+00:00", "Z"),
        "remote_data": {"status": "success", "line_items": [{"sku": "MUG", "quantity": 1}]},
        **more,
    }


def without_raw_record(number: int) -> dict[str, Any]:
    """One that Panora cannot show together with the provider's record."""
    found = fulfillment(number)
    del found["remote_data"]
    return found


def known(*values: int) -> list[int]:
    """What `numbers` makes of these."""
    return [UUID(uuid(value)).int & 0xFFFFFFFF for value in values]


def numbers(bench: Bench) -> list[int]:
    """The numbers of the fulfillments on raw, in order."""
    return [UUID(one).int & 0xFFFFFFFF for one in bench.ids]


async def scans(bench: Bench, count: int) -> None:
    """Wait for so many more complete passes."""
    done = sum(cursor.sweep is None for cursor in bench.cursors("head"))
    await bench.until(
        lambda: sum(cursor.sweep is None for cursor in bench.cursors("head")) >= done + count,
        f"{count} whole passes",
    )


def unthrottled(**keys: Any) -> PanoraSimulator:
    """A simulator that never throttles."""
    credentials = {"api_key": TOKEN, "connection_token": TOKEN}
    return PanoraSimulator(**{**credentials, **keys}, requests_per_second=1000, burst=1000)
