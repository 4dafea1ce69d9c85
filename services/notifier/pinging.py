"""`system.ping`: a signed message that says nothing happened, sent once and not kept."""

from __future__ import annotations

import secrets
from datetime import datetime

from schemas.cloudevents import SPEC_VERSION
from schemas.events import Envelope
from schemas.message import canonical_json, iso
from schemas.subscription import Subscription
from services.notifier.channel import Result, Surroundings, open_channel

PING_TYPE = "system.ping"
ID_BYTES = 13


async def ping(subscription: Subscription, surroundings: Surroundings) -> Result:
    """What came of it.  Raises BadConfig when nothing can be sent over its channel."""
    channel = open_channel(subscription, surroundings)
    try:
        return await channel.send(pinged(subscription, surroundings.clock.now()), 1)
    finally:
        await channel.close()


def pinged(subscription: Subscription, now: datetime) -> Envelope:
    """The event, of an id that no event has."""
    attributes = {
        "specversion": SPEC_VERSION.decode(),
        "id": f"ping_{secrets.token_hex(ID_BYTES)}",
        "source": "/shipfeed",
        "type": PING_TYPE,
        "subject": subscription.id,
        "time": iso(now),
    }
    data = canonical_json({"subscription": subscription.id})
    return Envelope(attributes=attributes, data=data)
