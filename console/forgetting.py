"""`shipfeed packages forget`: what would go with a fulfillment's state, and letting it go."""

from __future__ import annotations

from dataclasses import dataclass

from bus import reading
from bus.settings import KafkaSettings
from console.refreshing import parts_of
from schemas.fulfillment import Fulfillment
from schemas.topics import FULFILLMENTS
from services.normalizer.forgetting import forget
from services.poller.operating import forget_marks, slot_number

UNREADABLE = "unreadable"  # the status of a state that this build cannot read


@dataclass(frozen=True, slots=True)
class Forgettable:
    """What is known of a fulfillment; `announced` are the packages that package.shipped was for.

    `status` "": no state is stored, only marks may be.
    """

    key: str
    status: str = ""
    revision: int = 0
    packages: int = 0
    announced: tuple[str, ...] = ()


async def known(kafka: KafkaSettings, key: str) -> Forgettable:
    """Raises Misuse for what is no key, or of no system that there is."""
    source, account, *_ = parts_of(key)
    slot_number(kafka, source, account)
    value = await reading.value_of(kafka, FULFILLMENTS, key)
    if value is None:
        return Forgettable(key)
    try:
        state = Fulfillment.model_validate_json(value)
    except ValueError:
        return Forgettable(key, UNREADABLE)
    announced = tuple(one.id for one in state.packages if one.shipped_event_id is not None)
    return Forgettable(key, state.status, state.revision, len(state.packages), announced)


async def let_go(kafka: KafkaSettings, key: str) -> None:
    """Remove its state, then what the poller remembers of it.  Raises Misuse, RetryLater.

    In this order: a poll in between finds it unchanged and writes nothing, while the other way
    round it would write what the normalizer still knows, and stay silent from then on.
    """
    await forget(kafka, key)
    await forget_marks(kafka, *parts_of(key))
