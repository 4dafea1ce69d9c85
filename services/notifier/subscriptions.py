"""What is written to the subscriptions topic: wishes, findings about endpoints, commands, API keys.

`writing.py` holds the topic meanwhile; following it is `endpoints.py`'s business.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

import structlog

from bus.clock import Clock
from bus.errors import Misuse
from bus.settings import KafkaSettings
from bus.transaction import Record
from schemas.api_key import ApiKey
from schemas.command import Command, command_key
from schemas.keys import joined
from schemas.subscription import CursorKey, EndpointHealth, Subscription
from schemas.topics import SUBSCRIPTIONS
from services.notifier.api_keys import KEYS_MAX, loses_admin
from services.notifier.channel import refuse_other_way
from services.notifier.known import API_KEYS, Known, health_key, merged
from services.notifier.settings import SubscriptionEntry
from services.notifier.starting import start_offsets
from services.notifier.writing import Writing

GONE_FROM_FILE = "gone from the configuration"
CURSOR_KEY_BYTES = 32
START_ADVICE = (
    "start_from holds when a subscription is new: put the old value back, and have older events "
    "delivered with POST /v1/subscriptions/ID/recover, or make a subscription of another name"
)
# At start, when all copies of a feed may come up together; a request gives up sooner.
SYNC_TRIES_MAX = 20
SUBSCRIPTIONS_MAX = 2_000  # each copy looks at all of them for each batch of events

log = structlog.get_logger(__name__)


def reconciled(
    entries: Sequence[SubscriptionEntry],
    known: Mapping[str, Subscription],
    start_offsets: Mapping[str, Mapping[int, int]],
    now: datetime,
) -> list[Subscription]:
    """Records that bring the topic to what the file says.  Pure.

    New ones begin at `start_offsets`; known ones keep theirs, whatever happens to them; what is
    gone from the file is disabled, and comes back enabled.  Those of the API are not touched, and
    what an operator disabled stays so.
    """
    changed: list[Subscription] = []
    for entry in entries:
        wish = entry.wish()
        before = known.get(entry.name)
        if before is not None and before.disabled_reason == GONE_FROM_FILE:
            wish["disabled_reason"] = None  # what an operator disabled stays so
        if before is None:
            changed.append(
                Subscription.model_validate(
                    {
                        **wish,
                        "id": entry.name,
                        "start_from": entry.start_from,
                        "start_offsets": start_offsets[entry.name],
                        "created_at": now,
                    }
                )
            )
        elif any(getattr(before, name) != value for name, value in wish.items()):
            after = before.model_copy(update={**wish, "revision": before.revision + 1})
            refuse_other_way(before, after)
            changed.append(after)
    named = {entry.name for entry in entries}
    for before in known.values():
        if before.id not in named and before.origin == "config" and before.enabled:
            update = {"disabled_reason": GONE_FROM_FILE, "revision": before.revision + 1}
            changed.append(before.model_copy(update=update))
    return changed


def moved_starts(
    entries: Sequence[SubscriptionEntry], known: Mapping[str, Subscription]
) -> list[str]:
    """Return the names of known subscriptions whose start was edited, which does nothing.  Pure."""
    return [
        one.name
        for one in entries
        if one.name in known and known[one.name].start_from != one.start_from
    ]


class Missing(Misuse):
    """There is no such subscription, or no such key."""


class Stale(Misuse):
    """The subscription is not of the revision that the change was made for."""


class SubscriptionStore:
    """The writing side.

    Its methods raise RetryLater when Kafka does not answer or others write all the time (Fenced);
    what they raise besides was decided over the newest records, and nothing was written.
    """

    def __init__(self, kafka: KafkaSettings, clock: Clock) -> None:
        self._kafka = kafka
        self._clock = clock
        self._writing = Writing(kafka, clock)

    async def sync(self, entries: Sequence[SubscriptionEntry]) -> None:
        """Bring the topic to what the file says."""

        async def decide(known: Known) -> list[Record]:
            # What cannot be read is neither changed nor made anew: it may be what counts.
            stored = known.subscriptions
            before = {name: one for name, one in stored.items() if not known.held(name)}
            readable = [one for one in entries if not known.held(one.name)]
            new = {one.name: one.start_from for one in readable if one.name not in before}
            offsets = await start_offsets(self._kafka, new)
            changed = reconciled(readable, before, offsets, self._clock.now())
            for name in moved_starts(readable, before):
                log.warning("notifier.start_from_ignored", subscription=name, advice=START_ADVICE)
            has_key = known.cursor_key or CursorKey.KEY in known.unreadable
            records = [] if has_key else [self._cursor_key()]
            for subscription in changed:
                records.append(self._subscription(subscription))
                if subscription.enabled and subscription.id in known.health:
                    # Somebody changed it or brought it back: the old endpoint's 410 is history.
                    records.append(self._record(health_key(subscription.id), None))
            return records

        await self._writing.write(decide, SYNC_TRIES_MAX)

    async def report(self, found: EndpointHealth) -> None:
        """Add a finding about an endpoint."""

        async def decide(known: Known) -> list[Record]:
            if found.subscription not in known.subscriptions or known.held(found.subscription):
                return []
            health = merged(known.health.get(found.subscription), found)
            return [self._record(health_key(found.subscription), health.to_json())]

        await self._writing.write(decide)

    async def create(self, subscription: Subscription) -> None:
        """Add one with an id that was never used before.  Raises Misuse."""

        async def decide(known: Known) -> list[Record]:
            if subscription.id in known.subscriptions or known.held(subscription.id):
                raise Misuse(f"subscription {subscription.id} exists already: take another id")
            if len(known.subscriptions) >= SUBSCRIPTIONS_MAX:
                raise Misuse(f"there are {SUBSCRIPTIONS_MAX} subscriptions: delete some first")
            return [self._subscription(subscription)]

        await self._writing.write(decide)

    async def update(
        self,
        name: str,
        revise: Callable[[Subscription], Subscription],
        *,
        revision: int | None = None,
        well_again: bool = False,
    ) -> Subscription:
        """Make `revise` of it, one revision on; unchanged, nothing is written.

        `revision`: raise Stale if it is not the present one.  `well_again`: forget what was found
        about its endpoint; a channel that leads elsewhere does that, too.  Raises Missing, Stale
        and what `revise` raises.
        """
        written: list[Subscription] = []

        async def decide(known: Known) -> list[Record]:
            before = _present(known, name, revision)
            after = revise(before)
            changed = after != before
            if changed:
                after = after.model_copy(update={"revision": before.revision + 1})
            written[:] = [after]
            records = [self._subscription(after)] if changed else []
            has_health = name in known.health or health_key(name) in known.unreadable
            if has_health and (well_again or _leads_to(after) != _leads_to(before)):
                records.append(self._record(health_key(name), None))
            return records

        await self._writing.write(decide)
        return written[0]

    async def delete(
        self,
        name: str,
        may: Callable[[Subscription], None],
        *,
        revision: int | None = None,
    ) -> None:
        """Remove all the topic has of it; owners of partitions drop the rest.

        Raises Missing, Stale and what `may` raises.
        """

        async def decide(known: Known) -> list[Record]:
            may(_present(known, name, revision))
            log.info("notifier.subscription_deleted", subscription=name)
            commands = [command_key(name, number) for number in known.commands.get(name, ())]
            keys = [name, *([health_key(name)] if name in known.health else []), *commands]
            return [self._record(key, None) for key in keys]

        await self._writing.write(decide)

    async def append(self, name: str, command: Callable[[int], Command]) -> Command:
        """Add the command that `command` makes of its number, which is above all earlier ones.

        It is the topic's end, so it does not go back when older commands are gone.  Raises Missing.
        """
        written: list[Command] = []

        async def decide(known: Known) -> list[Record]:
            _present(known, name, None)
            written[:] = [command(known.end)]
            return [self._record(command_key(name, known.end), written[0].to_json())]

        await self._writing.write(decide)
        return written[0]

    async def forget(self, commands: Iterable[Command]) -> None:
        """Remove commands that every partition has carried out."""
        keys = [command_key(one.subscription, one.number) for one in commands]

        async def decide(_: Known) -> list[Record]:
            return [self._record(key, None) for key in keys]

        await self._writing.write(decide)

    async def add_api_key(self, api_key: ApiKey) -> None:
        """Let it in; once there is a key, nobody gets in without one.  Raises Misuse."""

        async def decide(known: Known) -> list[Record]:
            if len(known.api_keys) >= KEYS_MAX:
                raise Misuse(f"there are {KEYS_MAX} API keys: revoke what is not used first")
            return [self._record(api_key.key, api_key.to_json())]

        await self._writing.write(decide)

    async def revoke_api_key(self, name: str, *, force: bool = False) -> None:
        """Let it in no more.  Raises Missing; Misuse for the last admin key, but by `force`."""

        async def decide(known: Known) -> list[Record]:
            key = joined(API_KEYS, name)
            if name not in known.api_keys and key not in known.unreadable:
                raise Missing(f"there is no API key {name}; `shipfeed api-keys list` names all")
            keys = known.api_keys
            if (
                name in keys
                and not force
                and loses_admin(keys[name], keys.values(), self._clock.now())
            ):
                raise Misuse(
                    f"{name} is the last API key that may change anything, and once no key is left "
                    "this machine is let in without one: make another admin key first, or revoke "
                    "it all the same with --force (over HTTP: ?force=true)"
                )
            return [self._record(key, None)]

        await self._writing.write(decide)

    def _subscription(self, subscription: Subscription) -> Record:
        log.info(
            "notifier.subscription_written",
            subscription=subscription.id,
            revision=subscription.revision,
            disabled_reason=subscription.disabled_reason,
        )
        return self._record(subscription.id, subscription.to_json())

    def _cursor_key(self) -> Record:
        secret = secrets.token_hex(CURSOR_KEY_BYTES)
        made = CursorKey(secret=secret, created_at=self._clock.now())
        return self._record(CursorKey.KEY, made.to_json())

    def _record(self, key: str, value: bytes | None) -> Record:
        return Record(self._kafka.topic(SUBSCRIPTIONS), 0, key, value)


def _present(known: Known, name: str, revision: int | None) -> Subscription:
    found = known.subscriptions.get(name)
    if found is None and name in known.unreadable:
        raise Misuse(
            f"subscription {name} cannot be read by this build ({known.unreadable[name]}): its "
            "events are held; start the build that wrote it, or write a record that can be read"
        )
    if found is None:
        raise Missing(f"there is no subscription {name}; GET /v1/subscriptions names all")
    if revision is not None and revision != found.revision:
        raise Stale(
            f"subscription {name} is of revision {found.revision}, not {revision}: read it again "
            "and make the change to that"
        )
    return found


def _leads_to(subscription: Subscription) -> dict[str, object]:
    return subscription.channel.model_dump(exclude={"secrets"})
