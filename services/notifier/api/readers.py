"""Everyone who reads a stream from this copy: who may, from where on, and how many at once."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager

from starlette.types import Scope

from bus.telemetry import READERS
from schemas.subscription import Subscription
from services.notifier.api.auth import admitted
from services.notifier.api.context import Context
from services.notifier.api.problems import Problem
from services.notifier.cursors import BadCursor, Cursors, Offsets
from services.notifier.filters import Facts
from services.notifier.following import Following
from services.notifier.match import matcher_of
from services.notifier.serving import Reading, frames, page
from services.notifier.settings import master_keys
from services.notifier.subscriptions import Missing

READERS_OF_ONE_MAX = 10  # of one subscription on one copy, so that it cannot take every place
RETRY_AFTER = {"retry-after": "5"}  # seconds


class Readers:
    """One for all routes, so that all of them share the places."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._settings = context.settings
        self._masters = master_keys(context.settings)
        self._places: list[str] = []

    def subscription(self, name: str) -> Subscription:
        """Raises Missing, or Problem when it is no stream to be read."""
        found = self._context.endpoints.get(name)
        if found is None:
            raise Missing(f"there is no subscription {name}; GET /v1/subscriptions names all")
        if found.channel.type != "stream":
            raise Problem(
                409,
                "Not a stream",
                f"events of {name} go out by channel {found.channel.type}: read one whose "
                "channel is stream",
            )
        if not found.enabled:
            raise Problem(
                409,
                "Disabled",
                f"{name} is disabled ({found.disabled_reason}): enable it, then read on",
            )
        return found

    @asynccontextmanager
    async def reading(
        self, subscription: Subscription, cursor: str | None
    ) -> AsyncIterator[Reading]:
        """A place, and a reading that begins behind the cursor.  Raises Problem, RetryLater."""
        cursors = self._cursors()
        self._take_place(subscription.id)
        following = Following(self._context.kafka)
        try:
            given = None if cursor is None else cursors.read(subscription, cursor)
            await following.start()
            offsets = beginning(subscription, given, await following.oldest(), cursors)
            following.seek(offsets)
            matcher = matcher_of(subscription)
            yield Reading(
                following, lambda event: matcher.takes(event, Facts(event.envelope)), offsets
            )
        except BadCursor as error:
            raise Problem(400, "Bad cursor", str(error)) from error
        finally:
            await following.close()
            self._places.remove(subscription.id)
            READERS.set(len(self._places))

    def frames(
        self, subscription: Subscription, reading: Reading, scope: Scope
    ) -> AsyncGenerator[bytes]:
        """What a stream shows, until this copy stops, the subscription is another, or the key
        that the request of this `scope` came with is no longer good.
        """
        cursors = self._cursors()
        return frames(
            reading,
            lambda offsets: cursors.write(subscription, offsets),
            self._context.clock,
            heartbeat_seconds=self._settings.stream_heartbeat_seconds,
            over=lambda: self._over(subscription, scope),
        )

    async def page(
        self,
        subscription: Subscription,
        reading: Reading,
        scope: Scope,
        *,
        limit: int,
        wait_seconds: float,
    ) -> bytes:
        """The JSON of `Page`; events byte for byte as a webhook would carry them."""
        found = await page(
            reading,
            self._context.clock,
            limit=limit,
            wait_seconds=wait_seconds,
            over=lambda: self._over(subscription, scope),
        )
        events = b", ".join(envelope.structured() for envelope in found)
        cursor = self._cursors().write(subscription, reading.offsets).encode()
        return b'{"events": [%b], "cursor": "%b"}' % (events, cursor)

    def _cursors(self) -> Cursors:
        key = self._context.endpoints.cursor_key()
        if key is None:
            raise Problem(503, "Starting", "this copy has only begun", headers=RETRY_AFTER)
        # The stored key still reads what it wrote before a master key was set.
        keys = [*self._masters, bytes.fromhex(key.secret)]
        return Cursors(keys, self._context.kafka.prefix)

    def _take_place(self, subscription: str) -> None:
        if self._context.stopping.is_set():
            raise Problem(503, "Stopping", "this copy stops: ask another", headers=RETRY_AFTER)
        for taken, most, whose in (
            (len(self._places), self._settings.streams_max, "[notifier] streams_max"),
            (self._places.count(subscription), READERS_OF_ONE_MAX, "of one subscription"),
        ):
            if taken >= most:
                raise Problem(
                    503,
                    "Too many readers",
                    f"this copy serves {taken} at once, which is the most ({whose}): close one, "
                    "or ask another copy",
                    headers=RETRY_AFTER,
                )
        self._places.append(subscription)
        READERS.set(len(self._places))

    def _over(self, subscription: Subscription, scope: Scope) -> str | None:
        if self._context.stopping.is_set():
            return "this copy stops"
        found = self._context.endpoints.get(subscription.id)
        if found is not subscription and found != subscription:
            return "the subscription was changed"
        try:
            admitted(self._context, scope)
        except Problem:
            return "the API key is no longer good"
        return None


def beginning(
    subscription: Subscription, given: Offsets | None, oldest: Mapping[int, int], cursors: Cursors
) -> dict[int, int]:
    """Where a reading starts: at its cursor, else at the subscription's own beginning.  Pure.

    Who never had a cursor gets the oldest there is.  Raises BadCursor when it is of another number
    of partitions, Problem 410 when what follows a cursor is not kept any more.
    """
    if given is None:
        starts = subscription.start_offsets
        return {number: max(first, starts.get(number, 0)) for number, first in oldest.items()}
    if given.keys() != oldest.keys():
        raise BadCursor("this cursor is of another topic: begin anew without one")
    offsets = {number: max(first, given[number]) for number, first in oldest.items()}
    if offsets != given:
        raise Problem(
            410,
            "Too old",
            "events behind this cursor are not kept any more: take the current state of "
            "fulfillments from elsewhere, then go on with the cursor in `oldest`",
            members={"oldest": cursors.write(subscription, offsets)},
        )
    return offsets
