"""What was written back or would be, in words for people.  Pure."""

from __future__ import annotations

import json
from typing import Any

from console.rehearsing import Outcome, Rehearsed
from console.writing_back import (
    NOTHING,
    Found,
    moved_at,
    next_step,
    reason_of,
    stage_of,
    wanted_of,
)
from schemas.message import iso
from schemas.write_back import WantedItem, WriteBack

WORDS: dict[Outcome, str] = {
    "send": "would be sent",
    "there": "there already",
    "held": "would be held",
    "done": "done",
    "waiting": "waiting",
    "sending": "being sent",
    "unknown": "unknown",
    "unread": "could not be read",
}


def row(one: Found) -> dict[str, Any]:
    """A row of a list."""
    wanted = wanted_of(one)
    return {
        "key": one.key,
        "changed_at": moved_at(one),
        "state": stage_of(one),
        "target": wanted.target,
        "order": wanted.order,
        "event_type": wanted.event_type,
        "event_id": wanted.event_id,
        "says": says(one),
    }


def says(one: Found) -> str:
    """What it became, else why it is as it is."""
    if not isinstance(one, WriteBack) or one.state != "done":
        return reason_of(one)
    how = reason_of(one) or ("found there" if one.found else "")
    return f"{one.fulfillment_id or NOTHING}{how and ', '}{how}"


def scene(one: Rehearsed) -> str:
    """The event, and below it what would come of it."""
    head = f"{iso(one.event_at)} {one.event_type} {one.event_id} order {one.order or 'not known'}"
    if one.outcome == "send":
        return f"{head}\n  {one.method} {one.path} {json.dumps(one.body, default=str)}"
    between = f" [{', '.join(one.candidates)}]" if one.candidates else ""
    return f"{head}\n  {WORDS[one.outcome]}{one.says and ': '}{one.says}{between}"


def story(one: Found) -> str:
    """A line for each thing that is known."""
    wanted = wanted_of(one)
    told: dict[str, object] = {
        "key": one.key,
        "state": stage_of(one),
        "says": says(one),
        "candidates": ", ".join(one.candidates),
        "next": next_step(one),
        "order": f"{wanted.order or 'not known'}, by {wanted.way} at {wanted.target}",
        "event": f"{wanted.event_type} {wanted.event_id} of {iso(wanted.event_at)}",
        "subscription": wanted.subscription,
        "fulfillment": wanted.fulfillment,
        "package": wanted.package_id,
        "items": _items(wanted.items),
        "canceled in all": wanted.canceled_in_all and _items(wanted.canceled_in_all),
        "tracking": _words(wanted.tracking_company, wanted.tracking_number, wanted.tracking_url),
        "shipment": wanted.shipment_id,
    }
    if isinstance(one, WriteBack):
        told |= {
            "calls": one.calls
            and f"{one.calls}, the last at {iso(one.sent_at) if one.sent_at else '?'}",
            "empty reads": one.empty_reads,
            "call": one.call
            and json.dumps(one.call.model_dump(mode="json", exclude_defaults=True)),
            "changed at": iso(one.updated_at),
        }
    return "\n".join(f"{name}: {value}" for name, value in told.items() if value) + "\n"


def _items(items: tuple[WantedItem, ...] | None) -> str:
    if items is None:
        return "its source does not say"
    return ", ".join(
        _words(item.quantity, item.unit, "x", item.sku or "without a SKU") for item in items
    )


def _words(*parts: str | None) -> str:
    return " ".join(part for part in parts if part)
