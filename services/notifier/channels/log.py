"""Channel `log`: one structured line for each event; nothing leaves the machine."""

from __future__ import annotations

import structlog

from schemas.events import Envelope
from schemas.subscription import Subscription
from services.notifier.channel import DELIVERY_SETTINGS, Channel, Result, Surroundings, Way

WAY: Way = "delivered"
SETTINGS = frozenset(DELIVERY_SETTINGS) - {"lane_deadline_seconds"}  # no line ever fails

log = structlog.get_logger(__name__)


class LogLines:
    """Never fails, so it never retries."""

    def __init__(self, subscription: str) -> None:
        self._subscription = subscription

    async def send(self, envelope: Envelope, attempt: int) -> Result:
        """One line, `notifier.event_logged`."""
        log.info(
            "notifier.event_logged",
            subscription=self._subscription,
            attempt=attempt,
            id=envelope.id,
            type=envelope.type,
            key=envelope.key,
            subject=envelope.attributes.get("subject"),
            time=envelope.attributes["time"],
        )
        return Result("delivered")

    async def close(self) -> None:
        """Nothing is held."""


def open_channel(subscription: Subscription, surroundings: Surroundings) -> Channel:
    """For any subscription; `surroundings` are not needed."""
    return LogLines(subscription.id)
