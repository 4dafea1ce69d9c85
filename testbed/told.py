"""What a subscriber knows that keeps only what events say: by what was created and what changed.

Nothing is healed by a later event that carries the whole package: a change that was not told stays
unknown here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from testbed.claims import (
    GONE,
    SENT,
    OrderRef,
    Sighting,
    carrier_name,
    order_refs,
    package_sighting,
    tracking_numbers,
)

DATE_LENGTH = 10
# What must have been the last word about a fulfillment that is stored as this.
LAST_WORDS = {
    "shipped": {"fulfillment.shipped"},
    "partially_shipped": {"fulfillment.partially_shipped", "fulfillment.reopened"},
    "canceled": {"fulfillment.canceled"},
}

CHANGES = frozenset({"package.tracking_changed", "package.carrier_changed"})


@dataclass
class Known:
    """A package as its events told it; `shipped_id` is the package.shipped that holds."""

    package: dict[str, Any]
    refs: list[OrderRef]
    announced: str | None = None
    shipped_id: str | None = None

    @property
    def live(self) -> bool:
        """Whether it is still there."""
        return self.package["status"] not in GONE

    @property
    def sighting(self) -> Sighting:
        """What can be seen of it."""
        shipped = self.package["status"] in SENT
        return package_sighting(self.package)._replace(shipped=shipped)


@dataclass
class Told:
    """Everything a subscriber has been told, and what was wrong about it: (source, finding)."""

    packages: dict[str, Known] = field(default_factory=dict)
    words: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    findings: list[tuple[str, str]] = field(default_factory=list)

    def take(self, event: dict[str, Any]) -> None:
        """One event, in the order of the first receipt."""
        package, header = event["data"].get("package"), event["data"]["fulfillment"]
        if package is None:
            self.words[header["key"]].append(event["type"])
            return
        if event["type"] == "package.created":
            self.packages[package["id"]] = Known(dict(package), order_refs(header))
        if (known := self.packages.get(package["id"])) is None:
            self._wrong(header, event, "tells of a package that was never created")
            return
        for change in event["data"]["changes"]:
            name = change["field"]
            told = _compared(name, known.package.get(name))
            if told not in [_compared(name, change[side]) for side in ("before", "after")]:
                self._wrong(header, event, f"says another {name} before than was told")
            known.package[name] = change["after"]
        if event["type"] in CHANGES and all(map(_is_no_news, event["data"]["changes"])):
            self._wrong(header, event, "tells of a change that a person would not see")
        self._announcement(header, event, known)

    def _announcement(self, header: dict[str, Any], event: dict[str, Any], known: Known) -> None:
        match event["type"]:
            case "package.shipped":
                known.announced = known.shipped_id = event["id"]
            case "package.shipment_retracted":
                if event["data"]["retracts"] != known.shipped_id:
                    self._wrong(header, event, "retracts what does not hold")
                known.shipped_id = None
            case "package.restored":
                if event["data"]["reinstates"] != known.announced:
                    self._wrong(header, event, "reinstates what was never announced")
                known.shipped_id = known.announced

    def live(self) -> dict[OrderRef, list[Known]]:
        """What is still there, by order."""
        found: dict[OrderRef, list[Known]] = defaultdict(list)
        for known in self.packages.values():
            for ref in known.refs if known.live else ():
                found[ref].append(known)
        return found

    def leftovers(self) -> Iterator[tuple[str, str]]:
        """Announcements that hold though the package is gone, or the reverse."""
        for name, known in self.packages.items():
            if known.announced and known.live != (known.shipped_id is not None):
                state = "there" if known.live else "gone"
                yield known.refs[0].source, f"package {name} is {state}, its announcement is not"

    def last_words(self, fulfillments: Iterable[dict[str, Any]]) -> Iterator[tuple[str, str]]:
        """Fulfillments whose state was never told."""
        for one in fulfillments:
            words, due = self.words[one["key"]], LAST_WORDS.get(one["status"])
            told = [word for word in words if word != "fulfillment.items_canceled"]
            if due is not None and not due & set(told[-1:]):
                yield one["source"], f"{one['key']} is {one['status']}, last told was {told[-1:]}"
            if one["canceled_items"] and "fulfillment.items_canceled" not in words:
                yield one["source"], f"{one['key']} has canceled items that were never told"

    def deliveries(self, fulfillments: Iterable[dict[str, Any]]) -> Iterator[tuple[str, str]]:
        """Packages whose arrival was never told."""
        for one in fulfillments:
            for package in one["packages"]:
                known = self.packages.get(package["id"])
                if package["status"] == "delivered" and (
                    known is None or known.package["status"] != "delivered"
                ):
                    yield one["source"], f"package {package['id']} arrived, which was never told"

    def _wrong(self, header: dict[str, Any], event: dict[str, Any], what: str) -> None:
        self.findings.append((header["source"], f"{event['type']} {event['id']} {what}"))


def _compared(name: str, value: Any) -> Any:
    """What of a field is news: another spelling of a number or a carrier, or another URL, is not.

    These may change in between without a word.
    """
    match name:
        case "trackings":
            return tracking_numbers(value or ())
        case "carrier":
            return carrier_name(value)
        case _:
            return value


def _is_no_news(change: dict[str, Any]) -> bool:
    return bool(
        _compared(change["field"], change["before"]) == _compared(change["field"], change["after"])
    )


def differs(known: Known, state: dict[str, Any]) -> bool:
    """Whether carrier or time of leaving, where the source tells them, are another's."""
    carrier = carrier_name(known.package["carrier"])
    if carrier is not None and carrier != state["carrier"].strip().casefold():
        return True
    told, true = known.package["shipped_at"], state["shipped_at"]
    if told is None or true is None:
        return False
    if len(told) == DATE_LENGTH:
        return bool(true[:DATE_LENGTH] != told)
    return datetime.fromisoformat(told) != datetime.fromisoformat(true)
