"""What a command means for one partition: positions that move, deliveries due or begun.  Pure.

What carries it out, in one transaction with the position that notes its number, is `obeying`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from schemas.command import Command, Recover, Retry, Target
from schemas.delivery import Delivery, Position, delivery_key, position_key
from services.notifier.events import Event
from services.notifier.fan_out import delivery_of
from services.notifier.match import Matcher

TARGETS_MAX = 1_000  # of one command: what it begins may be that many over the room there is
WAITING_MAX = 100  # commands of one subscription that not every partition has carried out


@dataclass(slots=True)
class CarriedOut:
    """To be written together.

    `position` has noted the number; `due` are unfinished deliveries whose tries begin anew, `begun`
    finished ones that are delivered again; `lost` targets are neither, their event is gone, nor are
    the `unwanted`, which the subscription does not want.
    """

    position: Position
    due: list[Delivery] = field(default_factory=list)
    begun: list[Delivery] = field(default_factory=list)
    lost: list[Target] = field(default_factory=list)
    unwanted: list[Target] = field(default_factory=list)


def targets_of(command: Command, partition: int) -> list[Target]:
    """The events that a command names in this partition.

    Whoever asks names them: one called as the position is would have it read as a delivery.
    """
    if isinstance(command, Recover):
        return []
    taken = position_key(command.subscription)
    return [
        target
        for target in command.targets
        if target.partition == partition and key_of(command.subscription, target) != taken
    ]


def everything_unfinished(command: Command) -> bool:
    """Whether it is about all there is, rather than about what it names."""
    return isinstance(command, Retry) and not command.targets


def recovered(command: Recover, partition: int, offset: int) -> Position:
    """Back to where the command says, never forward."""
    return Position(
        subscription=command.subscription,
        offset=min(offset, command.from_offsets.get(partition, offset)),
        command=command.number,
    )


def retried(
    command: Retry,
    partition: int,
    offset: int,
    *,
    unfinished: Iterable[Delivery],
    events: Mapping[str, Event],
    matcher: Matcher,
    now: datetime,
) -> CarriedOut:
    """`unfinished`: those that the command is about; `events`, by id: of targets that are not."""
    position = Position(subscription=command.subscription, offset=offset, command=command.number)
    done = CarriedOut(position)
    for delivery in unfinished:
        if delivery.attempts or delivery.due_at > now:
            done.due.append(renewed(delivery, now))
    pending = {delivery.event_id for delivery in unfinished}
    for target in targets_of(command, partition):
        if target.event_id in pending or target.event_offset >= offset:
            continue  # what the position has not reached comes by itself
        pending.add(target.event_id)
        if target.event_id not in events:
            done.lost.append(target)
            continue
        event = events[target.event_id]
        if not command.force and not matcher.takes(event):
            done.unwanted.append(target)
            continue
        delivery = delivery_of(command.subscription, event, now)
        done.begun.append(delivery.model_copy(update={"letter_offset": target.letter_offset}))
    return done


def renewed(delivery: Delivery, now: datetime) -> Delivery:
    """Due now, with all its tries."""
    update = {"attempts": 0, "free_attempts": 0, "due_at": now, "failing_since": None}
    return delivery.model_copy(update=update)


def key_of(subscription: str, target: Target) -> str:
    """Of the delivery that a target is about."""
    return delivery_key(subscription, target.event_id)
