"""A return label that a record lists as one more package: nothing left with it.  Pure.

No vendor documents such a field, so the usual spellings are read: a member of the package, or of
the record as a whole, that is named for its kind and says "return".  "inbound" says nothing, since
to a buyer every shipment is.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from services.normalizer.mapper import Snapshot

FLAGS = frozenset({"isreturn", "return", "returnlabel", "isreturnlabel"})
KINDS = frozenset(
    f"{of}{kind}"
    for of in ("", "label", "package", "shipment", "fulfillment", "parcel", "shipping")
    for kind in ("type", "kind", "direction")
)
WORDS = frozenset({"return", "returns", "returnlabel", "reverse", "rma"})
YES = frozenset({"true", "yes", "y"})
_NOT_LETTERS = re.compile(r"[^a-z]+")


def without_returns(snapshot: Snapshot, raw: bytes, packages: str) -> Snapshot:
    """Return the snapshot without packages that the record calls returns.

    `packages` names the array of the record in which they stand, in the same order.
    """
    if not snapshot.packages or not _may_hold_one(raw):
        return snapshot
    try:
        record = json.loads(raw)
    except (ValueError, RecursionError):  # as odd as it is, its mapper has read it
        return snapshot
    if not isinstance(record, dict):
        return snapshot
    count = len(snapshot.packages)
    if is_return(record) or is_return(record.get("remote_data")):
        gone = set(range(count))
    else:
        told = record.get(packages)
        listed = told[:count] if isinstance(told, list) else []
        gone = {index for index, one in enumerate(listed) if is_return(one)}
    if not gone:
        return snapshot
    left = tuple([one for index, one in enumerate(snapshot.packages) if index not in gone])
    items = snapshot.line_items
    if items == tuple([item for one in snapshot.packages for item in one.line_items or ()]):
        items = tuple([item for one in left for item in one.line_items or ()])
    return msgspec.structs.replace(snapshot, packages=left, line_items=items)


def is_return(told: Any) -> bool:
    """Return whether one of its own members says that it is a return."""
    if not isinstance(told, dict):
        return False
    for name, value in told.items():
        plain = _plain(name)
        if plain in FLAGS and (value is True or (isinstance(value, str) and _plain(value) in YES)):
            return True
        if plain in KINDS and isinstance(value, str) and _plain(value) in WORDS:
            return True
    return False


def _may_hold_one(raw: bytes) -> bool:
    lower = raw.lower()
    return any(word in lower for word in (b"return", b"reverse", b'"rma"'))


def _plain(text: str) -> str:
    return _NOT_LETTERS.sub("", text.lower())
