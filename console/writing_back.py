"""`shipfeed write-backs`: what was written back or is to be, and what is held taken up again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from bus import reading
from bus.clock import SystemClock
from bus.errors import Misuse, RetryLater
from bus.partitioning import partition_of
from bus.settings import KafkaSettings
from bus.transaction import Record
from console.appending import appending
from console.unreadable import readable
from schemas.message import iso
from schemas.topics import WRITE_BACKS
from schemas.write_back import State, Wanted, WriteBack, is_wanted
from services.notifier.target import Unread, WriteTarget
from services.notifier.write_backs import settling

NOTHING = "nothing"

Stage = State | Literal["wanted"]
Found = WriteBack | Wanted


@dataclass(frozen=True, slots=True)
class Filter:
    """Which are meant; what is left out asks for nothing.  `reason`: some of its words."""

    state: str = ""
    target: str = ""
    reason: str = ""

    def takes(self, one: Found) -> bool:
        """Whether it is meant."""
        return (
            self.state in {"", stage_of(one)}
            and self.target in {"", wanted_of(one).target}
            and self.reason.casefold() in reason_of(one).casefold()
        )


@dataclass(frozen=True, slots=True)
class Retried:
    """What came of one: it was written to `to` again, or was `refused`."""

    key: str
    to: str = ""
    refused: str = ""


def wanted_of(one: Found) -> Wanted:
    """What was asked for."""
    return one if isinstance(one, Wanted) else one.wanted


def stage_of(one: Found) -> Stage:
    """Its state; `wanted`: no notifier has taken it in yet."""
    return "wanted" if isinstance(one, Wanted) else one.state


def reason_of(one: Found) -> str:
    """Why it is as it is, empty where there is nothing to say."""
    return (one.problem if isinstance(one, Wanted) else one.reason) or ""


def moved_at(one: Found) -> datetime:
    """When it last changed."""
    return one.event_at if isinstance(one, Wanted) else one.updated_at


def next_step(one: Found) -> str:
    """What somebody has to do, or that nobody has to.  Pure."""
    wanted, key = wanted_of(one), one.key
    match stage_of(one):
        case "wanted":
            return "nothing: a notifier with this [[targets]] table takes it in"
        case "waiting":
            due_at = iso(one.due_at) if isinstance(one, WriteBack) else ""
            return f"nothing: it is tried again by itself, not before {due_at}"
        case "sending" | "unknown":
            return "nothing: the target is read until it is known what came of the call"
        case "held":
            by_hand = f"shipfeed write-backs settle {key} --as FULFILLMENT, or --nothing"
            again = f"do what the reason says, then: shipfeed write-backs retry {key}"
            if wanted.order is None:
                again = (
                    f"have subscription {wanted.subscription} find the order, then: shipfeed "
                    f"write-backs send {wanted.subscription} --since {iso(wanted.event_at)}"
                )
            return f"{again}; dealt with by hand: {by_hand}"
    return "nothing: it is done"


async def everything(kafka: KafkaSettings, wanted: Filter) -> list[Found]:
    """All that are meant, the last changed at the end.  Raises KafkaError, TimeoutError."""
    values = await reading.table(kafka, WRITE_BACKS)
    found: list[Found] = []
    kinds: tuple[tuple[Callable[[bytes], Found], bool], ...] = (
        (Wanted.model_validate_json, True),
        (WriteBack.model_validate_json, False),
    )
    for read, of_kind in kinds:
        pairs = [(key, value) for key, value in values.items() if is_wanted(key) is of_kind]
        found += [one for _, one in readable(WRITE_BACKS, pairs, read)]
    return sorted(filter(wanted.takes, found), key=lambda one: (moved_at(one), one.key))


def named(found: Sequence[Found], name: str) -> list[Found]:
    """Those with this key, or of this event.  Raises Misuse when there is none."""
    meant = [one for one in found if name in {one.key, wanted_of(one).event_id}]
    if not meant:
        raise Misuse(
            f"nothing is written back for {name}: name a key or an event's id as "
            "`shipfeed write-backs list` shows them"
        )
    return meant


async def retry(kafka: KafkaSettings, names: Sequence[str], wanted: Filter) -> list[Retried]:
    """Have what is held taken up again: those that are named, else all that are meant.

    Each is wanted once more; its owner reads the target and decides anew.  Raises Misuse,
    RetryLater.
    """
    if names:
        known = await everything(kafka, Filter())
        by_key = {one.key: one for name in names for one in named(known, name)}
        found = list(by_key.values())
    else:
        found = await everything(kafka, wanted)
    came: list[Retried] = []
    async with appending(kafka, "write-back-retry", WRITE_BACKS) as topic:
        for one in found:
            if (why := _refused(one)) is not None:
                came.append(Retried(one.key, refused=why))
                continue
            record = again(kafka, wanted_of(one))
            await topic.add(record)
            came.append(Retried(one.key, to=f"{record.topic}/{record.partition}"))
    return came


async def settle(
    kafka: KafkaSettings,
    name: str,
    fulfillment_id: str | None,
    target_of: Callable[[str], WriteTarget],
) -> WriteBack:
    """Record that a held write-back became that fulfillment; None: that nothing is to be done.

    The fulfillment is looked up first at the target, which `target_of` opens by its name.  Raises
    Misuse, BadConfig, RetryLater.
    """
    one = _held(named(await everything(kafka, Filter()), name), name)
    if fulfillment_id is not None:
        target = target_of(one.wanted.target)
        try:
            await _check_fulfillment(target, one.wanted, fulfillment_id)
        except Unread as unread:
            raise RetryLater(
                f"{fulfillment_id} could not be looked up at {one.wanted.target}, so nothing was "
                f"settled: {unread}"
            ) from unread
        finally:
            await target.close()
    return await settling.settle(kafka, one, fulfillment_id, SystemClock().now())


def _held(found: Sequence[Found], name: str) -> WriteBack:
    """Return the only held one of these.  Raises Misuse."""
    held = [one for one in found if isinstance(one, WriteBack) and one.state == "held"]
    if len(held) > 1:
        keys = ", ".join(one.key for one in held)
        raise Misuse(f"{name} is held for several: name one of the keys {keys}")
    if not held:
        raise Misuse(f"{found[0].key} is {stage_of(found[0])}, not held; {next_step(found[0])}")
    return held[0]


async def _check_fulfillment(target: WriteTarget, wanted: Wanted, fulfillment_id: str) -> None:
    """Raises Misuse for a fulfillment that does not exist or is of another order; Unread."""
    order_id = await target.order_of(fulfillment_id)
    if order_id is None:
        raise Misuse(
            f"target {wanted.target} has no fulfillment {fulfillment_id!r}: pass the id that it "
            "shows, or pass --nothing if nothing is to be done"
        )
    if wanted.order is None:
        return
    orders = [one.id for one in await target.orders(wanted.order, wanted.way)]
    if orders and order_id not in orders:
        raise Misuse(
            f"{fulfillment_id} is of order {order_id}, not of {' or '.join(orders)}: pass a "
            f"fulfillment of order {wanted.order}"
        )


def again(kafka: KafkaSettings, wanted: Wanted) -> Record:
    """The wish once more, before the owner of its order."""
    number = partition_of(wanted.folder, kafka.partition_count(WRITE_BACKS))
    return Record(kafka.topic(WRITE_BACKS), number, wanted.key, wanted.to_json())


def _refused(one: Found) -> str | None:
    """Why it cannot be taken up again; None: it can."""
    if stage_of(one) == "held" and wanted_of(one).order is not None:
        return None
    return f"it is {stage_of(one)}; {next_step(one)}"
