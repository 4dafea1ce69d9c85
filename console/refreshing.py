"""`shipfeed packages refresh`: from a key to what its source can read."""

from __future__ import annotations

from bus import reading
from bus.clock import Clock
from bus.errors import Misuse
from bus.settings import Config, KafkaSettings
from console.cursors import cursors_of
from console.unreadable import reason_of
from schemas.fulfillment import Fulfillment
from schemas.keys import fulfillment_key, split
from schemas.topics import CURSORS, FULFILLMENTS
from services.poller.refreshing import Refreshed, Wanted, reader, refresh
from services.poller.settings import PollerSettings, account
from services.poller.steering import chosen


async def read_again(kafka: KafkaSettings, config: Config, key: str, clock: Clock) -> Refreshed:
    """Read one fulfillment again.  Raises Misuse, BadConfig, RetryLater, KafkaError."""
    source, name, resource, upstream_id = parts_of(key)
    settings = account(config, f"{source}/{name}")
    stream = reader(settings, resource)
    cursors = chosen(cursors_of(await reading.table(kafka, CURSORS)), settings.label)
    by_name = {cursor.stream: cursor for cursor in cursors}
    cursor = by_name.get(stream.facts.name, cursors[0])
    parent = await _parent(kafka, key) if stream.facts.parents else ""
    wanted = Wanted(settings, cursor, resource, upstream_id, parent)
    return await refresh(kafka, config.section("poller", PollerSettings), wanted, clock)


def parts_of(key: str) -> list[str]:
    """Source, account, resource and upstream id.  Raises Misuse for what is no key."""
    parts = split(key)
    if len(parts) != 4 or not all(parts) or fulfillment_key(*parts) != key:
        raise Misuse(f"{key!r} is no key; one is SOURCE/ACCOUNT/RESOURCE/ID, percent-encoded")
    return parts


async def _parent(kafka: KafkaSettings, key: str) -> str:
    """The order by which a fulfillment is read, from its stored state."""
    value = await reading.value_of(kafka, FULFILLMENTS, key)
    try:
        orders = Fulfillment.model_validate_json(value).orders if value else ()
    except ValueError as error:
        raise Misuse(
            f"{key}: its stored state cannot be read ({reason_of(error)}), so its order is not "
            "known; `shipfeed packages forget` removes the state"
        ) from error
    if not orders:
        raise Misuse(f"{key}: not known; it is read by its order, and no stored state names that")
    return orders[0].id
