"""Kafka headers of the records that carry some, as JSON Schemas; a test holds them to the code."""

from __future__ import annotations

from typing import Any

from schemas.cloudevents import CONTENT_TYPE, INDEX_DIGITS, REVISION_DIGITS, SPEC_VERSION
from schemas.dead_letter import DeadLetter
from schemas.events import FulfillmentEvent
from schemas.message import SCHEMA_MAJOR
from schemas.raw import Provenance

Schema = dict[str, Any]


def _text(description: str, **more: Any) -> Schema:
    return {"type": "string", "description": description, **more}


TRACE = _text("W3C trace context of the poll that read it.")
OPTIONAL = {
    "traceparent",
    "shipfeed-connected-at",
    "shipfeed-options",
    "shipfeed-remap",
    "shipfeed-redrive",
    "shipfeed-dead-whole",
    "shipfeed-dead-stream",
    "shipfeed-subscription",
}

EVENT = {
    "ce_specversion": _text("CloudEvents version.", const=SPEC_VERSION.decode()),
    "ce_id": _text("Made from the fact itself: the idempotency key, the same on every try."),
    "ce_source": _text("`/source/account`."),
    "ce_type": _text("Event type, such as `package.shipped`."),
    "ce_subject": _text("Package id; fulfillment key where it is about no one package."),
    "ce_time": _text("When it was observed.", format="date-time"),
    "ce_dataschema": _text("`$id` of the schema of the value."),
    "ce_partitionkey": _text("Fulfillment key, the same as the record's key."),
    "ce_sequence": _text(
        "Revision and index, zero-padded: sorts as text within one fulfillment.",
        pattern=rf"^\d{{{REVISION_DIGITS}}}\.\d{{{INDEX_DIGITS}}}$",
    ),
    "content-type": _text("Media type of the value.", const=CONTENT_TYPE.decode()),
    "traceparent": TRACE,
}
RAW = {
    "shipfeed-schema": _text("Major version of these headers.", const=str(SCHEMA_MAJOR)),
    "shipfeed-source": _text("The system it was read from."),
    "shipfeed-account": _text("The account it was read with."),
    "shipfeed-resource": _text("What kind of record it is there."),
    "shipfeed-stream": _text("The stream that read it."),
    "shipfeed-upstream-id": _text("Its id there."),
    "shipfeed-observed-at": _text("When the request for it began.", format="date-time"),
    "shipfeed-backfill": _text(
        "Whether it was last changed before the account was connected.", enum=["true", "false"]
    ),
    "shipfeed-connected-at": _text(
        "When the account was connected, by the upstream's clock.", format="date-time"
    ),
    "shipfeed-options": _text("Settings of the account that its mapper needs, by comma."),
    "traceparent": TRACE,
    "shipfeed-remap": _text(
        "Of a copy to be mapped again: `topic/partition/offset` of the record."
    ),
    "shipfeed-redrive": _text("Of what was set aside: where the letter is, as above."),
}
DEAD_LETTER = {
    "shipfeed-dead-service": _text("The service that set it aside."),
    "shipfeed-dead-reason": _text("Why, a sentence."),
    "shipfeed-dead-path": _text("Where in the record the trouble is."),
    "shipfeed-dead-origin": _text(
        "The original: a URL without query, or `topic/partition/offset`."
    ),
    "shipfeed-dead-source": _text("The system it came from, empty when not known."),
    "shipfeed-dead-account": _text("The account it came from, empty when not known."),
    "shipfeed-dead-at": _text("When it was set aside.", format="date-time"),
    "shipfeed-dead-whole": _text(
        "There when the value is only head, digest and size of a record too large.", const="false"
    ),
    "shipfeed-dead-stream": _text(
        "There when an upstream refused what this stream asked for by its id."
    ),
    "shipfeed-subscription": _text("The subscription that an undelivered event was for."),
}
HEADERS: dict[type, dict[str, Schema]] = {
    FulfillmentEvent: EVENT,
    Provenance: RAW,
    DeadLetter: DEAD_LETTER,
}


def headers_of(kind: type) -> Schema | None:
    """The headers of a record of this class, None when it has none.  Others may stand beside."""
    for carrier, names in HEADERS.items():
        if issubclass(kind, carrier):
            required = [name for name in names if name not in OPTIONAL]
            return {"type": "object", "properties": names, "required": required}
    return None
