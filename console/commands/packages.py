"""`shipfeed packages`: every known package and its state."""

from __future__ import annotations

from typing import Any

from bus.settings import KafkaSettings
from console import reading
from console.commands.options import (
    ConfigOption,
    CountOption,
    JsonOption,
    KafkaOption,
    kafka_settings,
    show,
    wait_for,
)
from schemas.fulfillment import Fulfillment
from schemas.topics import FULFILLMENTS

NAME = "packages"
COLUMNS = ("source", "account", "orders", "package", "status", "carrier", "tracking", "shipped_at")


def run(
    config: ConfigOption = None,
    kafka: KafkaOption = "",
    count: CountOption = 50,
    json: JsonOption = False,
) -> None:
    """Show the packages of the fulfillments that changed last."""
    settings = kafka_settings(config, kafka)
    show("packages", COLUMNS, wait_for(_rows(settings))[-count:], as_json=json)


async def _rows(kafka: KafkaSettings) -> list[tuple[Any, ...]]:
    values = await reading.table(kafka, FULFILLMENTS)
    found = [Fulfillment.model_validate_json(value) for value in values.values()]
    return [
        (
            one.source,
            one.account,
            " ".join(order.number or order.id for order in one.orders),
            package.id,
            package.status,
            package.carrier.name_raw if package.carrier else None,
            " ".join(tracking.number or "" for tracking in package.trackings),
            package.shipped_at,
        )
        for one in sorted(found, key=lambda one: one.observed_at)
        for package in one.packages
    ]
