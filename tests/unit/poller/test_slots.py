"""What a poller keeps of the slots that it was given."""

from __future__ import annotations

import gc
import weakref

from bus.clock import SystemClock
from bus.settings import KafkaSettings
from services.poller.app import Poller
from services.poller.settings import PollerSettings

KAFKA = KafkaSettings(bootstrap_servers="nowhere:1", prefix="t")


def test_a_slot_that_was_given_away_is_not_kept() -> None:
    """Its marks can be hundreds of megabytes; the consumer alone holds what is owned."""
    poller = Poller(KAFKA, PollerSettings(), [], SystemClock(), lambda _: None)
    slot = poller._slot(3, lambda _: None)
    kept = weakref.ref(slot)
    del slot
    gc.collect()
    assert kept() is None
    assert poller.health()["streams"] == []
