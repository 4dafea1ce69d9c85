"""What was true: per package every state it ever had, as the JSON the audit judges by."""

from __future__ import annotations

from typing import Any

from testbed.orders import Order, is_provable, is_shipped


class History:
    """The states of one world's packages, in the order they came about."""

    def __init__(self, source: str, account: str) -> None:
        self._source = source
        self._account = account
        self._orders: dict[int, Order] = {}
        self._states: dict[int, dict[str, list[dict[str, Any]]]] = {}

    def record(self, order: Order) -> None:
        """Note the state of an order and its packages; equal states of a package are noted once."""
        self._orders[order.number] = order
        packages = self._states.setdefault(order.number, {})
        for package in order.packages:
            state = {
                "tracking": package.tracking,
                "contents": dict(package.contents),
                "shipped": is_shipped(order, package),
                "provable": is_provable(self._source, order, package),
                "carrier": package.carrier,
                "shipped_at": package.shipped_at.isoformat() if package.shipped_at else None,
            }
            states = packages.setdefault(package.truth_id, [])
            if not states or states[-1] != state:
                states.append(state)

    def as_truth(self) -> dict[str, Any]:
        """`{"orders": [{source, account, id, status, packages: [{truth_id, live, states}]}]}`.

        A state is `{tracking, contents: {sku: quantity}, shipped, provable, carrier, shipped_at}`,
        oldest first; `live` says that the last one is still so. What is shipped but not provable
        can only be told by who saw an earlier state. Truths of several worlds join by joining their
        orders.
        """
        return {"orders": [self._order(order) for order in self._orders.values()]}

    def _order(self, order: Order) -> dict[str, Any]:
        live = {package.truth_id for package in order.packages}
        return {
            "source": self._source,
            "account": self._account,
            "id": str(order.number),
            "status": order.status,
            "packages": [
                {"truth_id": truth_id, "live": truth_id in live, "states": states}
                for truth_id, states in self._states[order.number].items()
            ],
        }
