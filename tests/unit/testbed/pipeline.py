"""A perfect pipeline in one page: from Zentail orders to events and stored fulfillments.

Pairs packages without ids: by number, then untracked with equal contents, then the one old and
the one new package of equal contents. What is listed twice in all, with an id of its own or more
than was ordered, is one. It knows nothing of the world's hidden identities.
"""

from __future__ import annotations

from collections import Counter
from itertools import count
from typing import Any

PROVING_STATUSES = {"PARTIALLY_SHIPPED", "SHIPPED", "RETURN_REQUESTED", "RETURNED", "REFUNDED"}


class Pipeline:
    """Feed it order objects with `observe`; read `received` and `fulfillments`."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self._stored: dict[int, list[dict[str, Any]]] = {}
        self._numbers = count(1)
        self._announced: Counter[str] = Counter()

    @property
    def fulfillments(self) -> list[dict[str, Any]]:
        return [
            {**_fulfillment(number), "packages": packages}
            for number, packages in self._stored.items()
        ]

    def observe(self, order: dict[str, Any]) -> None:
        """Take in one full snapshot of an order."""
        number = order["orderNumber"]
        old = self._stored.get(number, [])
        new = [_package(order, package) for package in _each_once(order)]
        for package, before in pair(old, new):
            package["id"] = before["id"] if before else f"pkg-{next(self._numbers)}"
            if package["status"] == "shipped" and not self._announced[package["id"]]:
                self._announced[package["id"]] += 1
                self.deliver(shipped_event(number, package))
        kept = {package["id"] for package in new}
        gone = [{**package, "status": "removed"} for package in old if package["id"] not in kept]
        self._stored[number] = new + gone

    def deliver(self, event: dict[str, Any]) -> None:
        """Record an event as the receiver would have."""
        record = {"webhook_id": event["id"], "status": 200, "event": event}
        self.received.append(record)


def shipped_event(number: int, package: dict[str, Any], *, suffix: str = "") -> dict[str, Any]:
    """The `package.shipped` of a package; a suffix makes another id of it."""
    return {
        "id": f"evt-{package['id']}{suffix}",
        "type": "package.shipped",
        "data": {"fulfillment": _fulfillment(number), "package": dict(package)},
    }


def pair(
    old: list[dict[str, Any]], new: list[dict[str, Any]]
) -> list[tuple[dict[str, Any], dict[str, Any] | None]]:
    """Each new package with the old one it continues, if there is one; the gone ones last."""
    left = sorted((p for p in old if p["status"] != "removed"), key=_goods)
    gone = [package for package in old if package["status"] == "removed"]
    pairs: list[tuple[dict[str, Any], dict[str, Any] | None]] = []
    rest = sorted(new, key=_goods)
    for rule in (_same_number, _same_goods_untracked, _same_goods):
        unpaired = []
        for package in rest:
            before = next((p for p in left if rule(p, package)), None)
            if before is None:
                unpaired.append(package)
            else:
                left.remove(before)
                pairs.append((package, before))
        rest = unpaired
    back = {package["id"]: package for package in gone}
    for package in rest:
        before = next((p for p in back.values() if _same_number(p, package)), None)
        pairs.append((package, back.pop(before["id"]) if before else None))
    return pairs


def _each_once(order: dict[str, Any]) -> list[dict[str, Any]]:
    """Its packages without doubles."""
    ordered = {line["SKU"] or line["requestedSku"]: line["quantity"] for line in order["products"]}
    packages: list[dict[str, Any]] = []
    for package in order["packages"]:
        too_many = any(2 * one["quantity"] > ordered[one["SKU"]] for one in package["products"])
        if package not in packages or not ("packageId" in package or too_many):
            packages.append(package)
    return packages


def _same_number(old: dict[str, Any], new: dict[str, Any]) -> bool:
    return bool(old["trackings"]) and old["trackings"] == new["trackings"]


def _same_goods_untracked(old: dict[str, Any], new: dict[str, Any]) -> bool:
    return not old["trackings"] and _same_goods(old, new)


def _same_goods(old: dict[str, Any], new: dict[str, Any]) -> bool:
    return _goods(old) == _goods(new)


def _goods(package: dict[str, Any]) -> list[tuple[str, str]]:
    return sorted((item["sku"], item["quantity"]) for item in package["line_items"])


def _package(order: dict[str, Any], package: dict[str, Any]) -> dict[str, Any]:
    proved = package["shippedTs"] or (package["tracking"] and order["status"] in PROVING_STATUSES)
    numbers = [package["tracking"]] if package["tracking"] else []
    return {
        "status": "shipped" if package["products"] and proved else "pending",
        "trackings": [{"number": number} for number in numbers],
        "line_items": [
            {"sku": product["SKU"], "quantity": str(product["quantity"])}
            for product in package["products"]
        ],
    }


def _fulfillment(number: int) -> dict[str, Any]:
    order_id = str(number)
    return {
        "key": f"zentail/acme/orders/{order_id}",
        "source": "zentail",
        "account": "acme",
        "orders": [{"id": order_id, "number": order_id}],
    }
