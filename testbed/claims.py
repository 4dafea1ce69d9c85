"""What an announcement or a stored fulfillment claims, made comparable with the truth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, NamedTuple

# Packages with these statuses are kept for the record, but are no longer there.
GONE = frozenset({"removed", "canceled"})
SENT = frozenset({"shipped", "delivered"})


class OrderRef(NamedTuple):
    """One order of one account."""

    source: str
    account: str
    order_id: str

    def __str__(self) -> str:
        return f"order {self.source}/{self.account}/{self.order_id}"


class Sighting(NamedTuple):
    """What can be seen of a package; `shipped` stays False where it is not compared."""

    contents: tuple[tuple[str, Decimal], ...]
    trackings: tuple[str, ...]
    shipped: bool = False

    def __repr__(self) -> str:
        goods = " + ".join(f"{quantity} {sku}" for sku, quantity in self.contents) or "nothing"
        under = f" under {', '.join(self.trackings)}" if self.trackings else " without a number"
        return f"({goods}{under}{', shipped' if self.shipped else ''})"


def sighting_of_state(state: dict[str, Any]) -> Sighting:
    """From a state of the truth, shipped left out; `also` holds further numbers."""
    contents = sorted((sku, Decimal(quantity)) for sku, quantity in state["contents"].items())
    numbers = [state["tracking"]] if state["tracking"] else []
    return Sighting(tuple(contents), tuple(sorted([*numbers, *state.get("also", ())])))


def package_sighting(package: dict[str, Any]) -> Sighting:
    """From a package of an event or a fulfillment, shipped left out; lines add up per SKU."""
    contents: dict[str, Decimal] = defaultdict(Decimal)
    for item in package["line_items"] or ():
        contents[str(item["sku"])] += Decimal(item["quantity"])
    filled = sorted((sku, quantity) for sku, quantity in contents.items() if quantity)
    return Sighting(tuple(filled), tracking_numbers(package["trackings"]))


def tracking_numbers(trackings: Iterable[dict[str, Any]]) -> tuple[str, ...]:
    """The numbers as a person compares them: without case, spaces and hyphens."""
    found = ["".join((one["number"] or "").split()) for one in trackings]
    return tuple(sorted(number.replace("-", "").upper() for number in found))


def carrier_name(carrier: dict[str, Any] | None) -> str | None:
    """The name as a person compares it: without case and spaces around it."""
    name = (carrier or {}).get("name_raw")
    return name and name.strip().casefold()


def live_sightings(fulfillment: dict[str, Any]) -> list[Sighting]:
    """The packages a stored fulfillment still has, shipped included."""
    return [
        package_sighting(package)._replace(shipped=package["status"] in SENT)
        for package in fulfillment["packages"]
        if package["status"] not in GONE
    ]


def order_refs(fulfillment: dict[str, Any]) -> list[OrderRef]:
    """The orders a fulfillment belongs to."""
    source, account = fulfillment["source"], fulfillment["account"]
    return [OrderRef(source, account, order["id"]) for order in fulfillment["orders"]]
