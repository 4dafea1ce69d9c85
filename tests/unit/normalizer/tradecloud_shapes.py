"""Tradecloud shipments and orders for the tests of this folder, and what they are mapped to."""

from __future__ import annotations

import json
from typing import Any

from schemas.raw import Provenance
from services.normalizer.mapper import Snapshot
from services.normalizer.mappers.tradecloud import map as map_record
from tests.unit.normalizer.feed import NOON, at

BUYER = frozenset({"role:buyer"})


def provenance(resource: str, options: frozenset[str] = BUYER) -> Provenance:
    return Provenance(
        source="tradecloud",
        account="acme",
        resource=resource,
        stream=resource,
        upstream_id="one",
        observed_at=NOON,
        options=options,
    )


def mapped(resource: str, record: Any, *options: str) -> Snapshot:
    raw = record if isinstance(record, bytes) else json.dumps(record).encode()
    return map_record(raw, provenance(resource, BUYER | frozenset(options)))


def line(number: int = 1, count: Any = 1, **more: Any) -> dict[str, Any]:
    return {
        "purchaseOrderNumber": "PO-1",
        "purchaseOrderLinePosition": f"{number:02d}0",
        "item": {"buyerItemNumber": f"B-{number}", "supplierItemNumber": f"S-{number}"},
        "supplierLine": {
            "despatchAdviceNumber": "DA-1",
            "despatchAdviceLinePosition": f"{number:02d}",
            "despatchQuantity": count,
        },
        **more,
    }


def box(*lines: Any, sscc: Any = "387123450000000017", **more: Any) -> dict[str, Any]:
    return {"packageSSCC": sscc, "lines": list(lines), **more}


def shipment(
    *boxes: Any, loose: Any = (), departed: Any = "2026-03-01", **more: Any
) -> dict[str, Any]:
    return {
        "id": "one",
        "identifiers": {"trackingNumber": "T 1"},
        "loadCarriers": list(boxes),
        "lines": list(loose),
        "locations": {"departure": {"atdDate": departed}},
        "status": {"processStatus": "Issued"},
        "meta": {"lastUpdatedAt": at(0)},
        **more,
    }


def order_line(
    number: int = 1, logistics: str = "Open", *parts: tuple[float, str], **status: Any
) -> dict[str, Any]:
    schedule = [{"quantity": count, "status": word} for count, word in parts or [(5, logistics)]]
    return {
        "id": f"line-{number}",
        "buyerLine": {"position": f"{number:02d}0", "item": {"number": f"B-{number}"}},
        "deliverySchedule": schedule,
        "status": {"processStatus": "Confirmed", "logisticsStatus": logistics, **status},
        "lastUpdatedAt": at(number),
    }


def order(*lines: Any, process: str = "Confirmed", **more: Any) -> dict[str, Any]:
    return {
        "id": "one",
        "buyerOrder": {"purchaseOrderNumber": "PO-1"},
        "lines": list(lines),
        "status": {"processStatus": process, "logisticsStatus": "Open"},
        "lastUpdatedAt": at(0),
        **more,
    }
