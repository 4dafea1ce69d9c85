"""`shipfeed write-backs send --dry-run`: events, orders at the target, and what would come of them.

Events and the topic are read as they are now; the target is asked for orders and nothing else, at
the rate its table allows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime

from aiokafka import TopicPartition

from bus import reading
from bus.clock import Clock
from bus.errors import Misuse
from bus.settings import Config, KafkaSettings, secret
from console.rehearsing import Rehearsal, Rehearsed, told
from console.writing_back import Filter, everything
from schemas.subscription import Subscription, WriteBackChannel
from schemas.topics import EVENTS
from schemas.write_back import Wanted, WriteBack
from services.notifier.app import surroundings_of
from services.notifier.events import events_of
from services.notifier.match import matcher_of
from services.notifier.recovering import beginning
from services.notifier.settings import NotifierSettings, SubscriptionEntry, read_subscriptions
from services.notifier.target import Unread, WriteTarget
from services.notifier.targets import open_target
from services.notifier.write_backs.accounts import Account
from services.notifier.write_backs.files import item_costs, order_ids
from services.notifier.write_backs.settings import TargetEntry, WriteBackEntry, read_targets
from services.notifier.write_backs.wanting import TRACKING_CHANGED, wanted_of


@dataclass(slots=True)
class Matching:
    """The oldest events that match, as they are wanted; `count` of all there are."""

    wanted: list[Wanted] = field(default_factory=list)
    count: int = 0


def configured(config: Config, name: str) -> SubscriptionEntry:
    """The `[[subscriptions]]` table.  Raises Misuse when it is none that writes back, BadConfig."""
    entries = [one for one in read_subscriptions(config) if isinstance(one.channel, WriteBackEntry)]
    for entry in entries:
        if entry.name == name:
            return entry
    known = ", ".join(entry.name for entry in entries) or "none"
    raise Misuse(f"no subscription {name!r} in the configuration writes back; there are: {known}")


def open_configured(
    config: Config, kafka: KafkaSettings, name: str, clock: Clock
) -> tuple[TargetEntry, WriteTarget]:
    """Open the target of a `[[targets]]` table.  Raises Misuse when there is none, BadConfig."""
    tables = {one.name: one for one in read_targets(config)}
    if name not in tables:
        known = ", ".join(tables) or "none"
        raise Misuse(
            f"the configuration has no [[targets]] table named {name}; it has: {known}. Pass the "
            "notifiers' file with --config FILE"
        )
    table, settings = tables[name], config.section("notifier", NotifierSettings)
    key = secret(table.secret, f"[[targets]] {name} secret")
    return table, open_target(table, key, surroundings_of(kafka, settings, clock))


async def rehearse(
    config: Config,
    kafka: KafkaSettings,
    name: str,
    at: datetime | None,
    *,
    count: int,
    clock: Clock,
    tell: Callable[[Rehearsed], None],
) -> int:
    """Tell what would come of the oldest `count` events since then; `at` None: since the oldest.

    Returns how many match.  Raises Misuse, BadConfig, RetryLater, KafkaError, TimeoutError.
    """
    entry, now = configured(config, name), clock.now()
    channel = entry.channel.record()
    assert isinstance(channel, WriteBackChannel)
    wish = {**entry.wish(), "id": name, "start_offsets": {}, "created_at": now}
    subscription = Subscription.model_validate(wish)
    starts, _ = await beginning(kafka, at, now)
    found = await matching(kafka, subscription, channel, starts, count)
    costs = item_costs(channel.costs).value() if channel.costs is not None else {}
    table, target = open_configured(config, kafka, channel.target, clock)
    known = await everything(kafka, Filter(target=channel.target))
    done = [one for one in known if isinstance(one, WriteBack)]
    rehearsal, account = Rehearsal(channel, costs, target, done), Account(table, target, clock)
    try:
        for wanted in found.wanted:
            tell(await _rehearsed(rehearsal, account, wanted, clock))
    finally:
        await target.close()
    return found.count


async def matching(
    kafka: KafkaSettings,
    subscription: Subscription,
    channel: WriteBackChannel,
    starts: Mapping[int, int],
    count: int,
) -> Matching:
    """The oldest `count`, in the order that they would be worked on.  Raises KafkaError."""
    ids = order_ids(channel.order)
    known = ids.value() if ids is not None else None
    matcher, found = matcher_of(subscription), Matching()
    places = {TopicPartition(kafka.topic(EVENTS), number): at for number, at in starts.items()}
    async with aclosing(reading.scan(kafka, EVENTS, places)) as records:
        async for record in records:
            for event in matcher.wanted(events_of([record])[0], 0):
                try:
                    wanted = wanted_of(event.envelope, subscription.id, channel, known)
                except ValueError:
                    continue  # whoever fans out sets it aside
                if wanted is None:
                    continue
                found.count += 1
                found.wanted.append(wanted)
            if len(found.wanted) >= 2 * count:
                found.wanted = sorted(found.wanted, key=_turn)[:count]
    found.wanted = sorted(found.wanted, key=_turn)[:count]
    return found


async def _rehearsed(
    rehearsal: Rehearsal, account: Account, wanted: Wanted, clock: Clock
) -> Rehearsed:
    if (settled := rehearsal.settled(wanted)) is not None:
        return settled
    if wanted.order is not None and rehearsal.unseen(wanted):
        while (wait_seconds := account.wait_seconds(clock.now())) > 0:
            await clock.sleep(wait_seconds)
        account.begin()
        try:
            rehearsal.saw(wanted, await account.target.orders(wanted.order, wanted.way))
        except Unread as unread:
            return told(wanted, "unread", says=str(unread))
    return rehearsal.decided(wanted)


def _turn(wanted: Wanted) -> tuple[datetime, bool, str]:
    return wanted.event_at, wanted.event_type == TRACKING_CHANGED, wanted.event_id
