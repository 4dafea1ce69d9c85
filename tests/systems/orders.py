"""Hand-made Zentail orders, by number and age."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any


def stamp(*, ago_seconds: float = 0.0) -> str:
    """Now, or so long ago, as Zentail writes it."""
    instant = datetime.now(UTC) - timedelta(seconds=ago_seconds)
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def order(number: int, *, at: str = "", status: str = "SHIPPED", **more: Any) -> dict[str, Any]:
    """A shipped order of one package, last updated `at` (now, when left out)."""
    package = {
        "carrier": "UPS",
        "tracking": f"1Z{number}",
        "shippedTs": "2026-01-02T03:04:05.000Z",
        "products": [{"SKU": "MUG-BLU", "quantity": 1}],
    }
    return {
        "orderNumber": number,
        "status": status,
        "lastUpdatedTs": at or stamp(),
        "products": [{"lineItemId": "1", "SKU": "MUG-BLU", "quantity": 1}],
        "packages": [package],
        **more,
    }
