"""The judge of what was written back: what events asked for against what the target has.

Pure.  A package.shipped and a cancellation of items ask for one fulfillment each, with the
quantities they tell, and for its payment captured or released once; a later tracking number asks
for that number on it.  What the target has no fulfillment for may be held, if more would have been
fulfilled than was ordered: nothing else excuses it in a world where every order is there.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

SHIPPED = "package.shipped"
TRACKING_CHANGED = "package.tracking_changed"
ITEMS_CANCELED = "fulfillment.items_canceled"
EVENT_ID = "shipfeed_event_id"  # what a written fulfillment's metadata name the event's id
COUNTS = ("quantity", "cancelQuantity")

Json = Mapping[str, Any]
# Pieces by SKU and whether they are sent or canceled, as COUNTS names it.
Pieces = Counter[tuple[str, str]]
Bad = Literal["missing", "duplicate", "wrong"]


@dataclass(frozen=True)
class Wish:
    """What one event asks for; `number` is the last tracking number told of its package."""

    event_id: str
    order: str
    pieces: Pieces
    number: str | None


@dataclass
class Verdict:
    """How many wishes were met, how many are held for a good reason, and what is not right."""

    written: int = 0
    held: int = 0
    findings: list[tuple[Bad, str]] = field(default_factory=list)


def judge(
    target: str,
    written: Json,
    events: Sequence[Json],
    stored: Iterable[Json],
    write_backs: Iterable[Json],
) -> Verdict:
    """Judge what was written to `target`.

    `written` is the target's own account of it (testbed/river_orders.py), `events` what the
    subscriber accepted, oldest first, `stored` the newest record of each of the target's
    fulfillments, `write_backs` that of each event that was to be written back.
    """
    return _Judge(target, written, write_backs).judge(events, stored)


class _Judge:
    def __init__(self, target: str, written: Json, write_backs: Iterable[Json]) -> None:
        self._target = target
        self._written = written
        self._orders = {order["upstreamId"]: order for order in written["orders"]}
        self._made: dict[str, Json] = {one["id"]: one for one in written["fulfillments"]}
        self._reasons = {
            one["wanted"]["event_id"]: one["reason"]
            for one in write_backs
            if one["state"] == "held"
        }
        self._verdict = Verdict()

    def judge(self, events: Sequence[Json], stored: Iterable[Json]) -> Verdict:
        wishes = {wish.event_id: wish for wish in _wishes(events, self._written["shipped_by"])}
        by_event = defaultdict(list)
        for one in self._made.values():
            event_id = one.get("metadata", {}).get(EVENT_ID)
            by_event[event_id].append(one)
            if event_id not in wishes:
                self._found("wrong", f"{one['id']} was written for {event_id}, which asked nothing")
        for wish in wishes.values():
            self._check(wish, by_event[wish.event_id])
        self._check_orders()
        self._check_payments()
        self._check_echo(events, stored)
        return self._verdict

    def _check(self, wish: Wish, found: list[Json]) -> None:
        of = f"{wish.event_id} of order {wish.order}"
        if not found:
            self._check_held(wish, of)
            return
        self._verdict.written += 1
        if len(found) > 1:
            self._found("duplicate", f"{of} was written as {', '.join(one['id'] for one in found)}")
        for one in found:
            order = self._orders.get(wish.order, {})
            if one["orderId"] != order.get("id"):
                self._found("wrong", f"{of} was written to order {one['orderId']}")
            if (pieces := _pieces([one])) != wish.pieces:
                self._found("wrong", f"{of} asked for {dict(wish.pieces)}, not {dict(pieces)}")
            if one.get("trackingNumber") != wish.number:
                text = f"{of} has left as {wish.number}, not as {one.get('trackingNumber')}"
                self._found("wrong", text)

    def _check_held(self, wish: Wish, of: str) -> None:
        """Held is right when less was left of a product than was wanted."""
        reason = self._reasons.get(wish.event_id)
        if reason is None:
            self._found("missing", f"{of} was never written")
            return
        left = self._left(wish.order)
        if any(count > left[sku] for (sku, _), count in wish.pieces.items()):
            self._verdict.held += 1
        else:
            self._found("missing", f"{of} is held without need: {reason}")

    def _left(self, number: str) -> Counter[str]:
        """By SKU, what was ordered and is neither fulfilled nor canceled."""
        order = self._orders.get(number, {"id": None, "items": []})
        left = Counter[str]()
        for item in order["items"]:
            left[item["skuId"]] += item["quantity"]
        for (sku, _), count in _pieces(self._of(order["id"])).items():
            left[sku] -= count
        return left

    def _of(self, order_id: str | None) -> list[Json]:
        return [one for one in self._made.values() if one["orderId"] == order_id]

    def _check_orders(self) -> None:
        for number in self._orders:
            for sku, count in self._left(number).items():
                if count < 0:
                    text = f"{-count} {sku} of order {number} were written too many"
                    self._found("wrong", text)

    def _check_payments(self) -> None:
        """One capture of all that is sent, one release of all that is canceled, no others."""
        told = Counter(
            (one["kind"], one["fulfillmentId"], _counted(one["items"], "quantity"))
            for one in self._written["captures"]
        )
        due = Counter(
            (kind, one["id"], counted)
            for one in self._made.values()
            for kind, name in zip(("capture", "release"), COUNTS, strict=True)
            if (counted := _counted(one["items"], name))
        )
        for kind, fulfillment_id, counted in sorted(due.keys() | told.keys()):
            times = told[kind, fulfillment_id, counted]
            if times != due[kind, fulfillment_id, counted]:
                text = f"{kind} of {fulfillment_id} ({dict(counted)}) was made {times} times"
                self._found("duplicate" if times > 1 else "wrong", text)

    def _check_echo(self, events: Iterable[Json], stored: Iterable[Json]) -> None:
        """What was written came back, and nobody was told."""
        for event in events:
            header = event["data"]["fulfillment"]
            if header["source"] == self._target and header["upstream_id"] in self._made:
                text = f"{event['type']} {event['id']} tells of {header['upstream_id']}, an echo"
                self._found("wrong", text)
        echoes = {one["upstream_id"]: one["echo"] for one in stored}
        for fulfillment_id in self._made:
            if not echoes.get(fulfillment_id):
                word = "is not stored" if fulfillment_id not in echoes else "is stored as no echo"
                self._found("wrong", f"{fulfillment_id} was written and {word}")

    def _found(self, bad: Bad, text: str) -> None:
        self._verdict.findings.append((bad, text))


def echoed(written: Mapping[str, Json]) -> set[tuple[str, str]]:
    """Source and id of every fulfillment that was written to some target."""
    return {(target, one["id"]) for target, told in written.items() for one in told["fulfillments"]}


def _wishes(events: Iterable[Json], source: str) -> Iterator[Wish]:
    """Each event that asks for a fulfillment; numbers told later are in it."""
    numbers: dict[str, str | None] = {}
    asking = []
    for event in events:
        package = event["data"].get("package")
        if event["data"]["fulfillment"]["source"] != source:
            continue
        if event["type"] in (SHIPPED, TRACKING_CHANGED):
            numbers[package["id"]] = _number(package) or numbers.get(package["id"])
        if event["type"] in (SHIPPED, ITEMS_CANCELED):
            asking.append(event)
    for event in asking:
        (order,) = event["data"]["fulfillment"]["orders"]
        package = event["data"].get("package")
        number = numbers[package["id"]] if package else None
        yield Wish(event["id"], order["number"], _wanted(event), number)


def _wanted(event: Json) -> Pieces:
    if event["type"] == SHIPPED:
        return _told(event["data"]["package"]["line_items"], "quantity")
    wanted = Pieces()
    for change in event["data"]["changes"]:
        if change["field"] == "canceled_items":
            wanted += _told(change["after"], "cancelQuantity")
            wanted -= _told(change["before"], "cancelQuantity")
    return wanted


def _told(items: Iterable[Json] | None, name: str) -> Pieces:
    pieces = Pieces()
    for item in items or ():
        pieces[item["sku"], name] += int(item["quantity"])
    return +pieces


def _pieces(fulfillments: Collection[Json]) -> Pieces:
    pieces = Pieces()
    for one in fulfillments:
        for item in one["items"]:
            for name in COUNTS:
                pieces[item["skuId"], name] += item[name]
    return +pieces


def _counted(items: Iterable[Json], name: str) -> tuple[tuple[str, int], ...]:
    return tuple(sorted((item["itemId"], item[name]) for item in items if item[name]))


def _number(package: Json) -> str | None:
    return next((one["number"] for one in package["trackings"] if one["number"]), None)
