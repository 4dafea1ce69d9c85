"""One step of one WriteBack: what the target has is read, and only then, maybe, it is called.

A call is made once its intent is known to stand on Kafka, and within seconds of that: whoever was
held up longer, or has lost the partition meanwhile, makes none.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import structlog

from bus.clock import Clock
from bus.crash import crash_point
from bus.errors import SetAside
from bus.telemetry import WRITE_BACK_CALLS
from schemas.subscription import Subscription, WriteBackChannel
from schemas.write_back import Call, Wanted, WriteBack
from services.notifier.endpoints import Endpoints
from services.notifier.target import Answer, Outcome, TargetOrder, Unread
from services.notifier.write_backs.accounts import Account, Accounts
from services.notifier.write_backs.files import BadFile, Costs, Watched, item_costs
from services.notifier.write_backs.ledger import Ledger
from services.notifier.write_backs.planning import plan
from services.notifier.write_backs.standing import channel_of, standing, stood, too_large
from services.notifier.write_backs.steps import (
    INTENT_SECONDS_MAX,
    after_answer,
    after_read,
    after_unread,
)
from services.notifier.write_backs.wanting import SHIPPED

RECHECK_SECONDS = 60.0  # after what somebody has to change

log = structlog.get_logger(__name__)


class Stepping:
    """`closing`: nothing is sent any more that was not begun."""

    def __init__(
        self, ledger: Ledger, accounts: Accounts, endpoints: Endpoints, clock: Clock
    ) -> None:
        self.closing = False
        self._ledger = ledger
        self._accounts = accounts
        self._endpoints = endpoints
        self._clock = clock
        self._costs: dict[str, Watched[Costs]] = {}

    async def step(self, write_back: WriteBack) -> None:
        """Read, decide, and call if that is what follows.  Raises RetryLater, Stop."""
        wanted, account = write_back.wanted, self._accounts[write_back.wanted.target]
        try:
            orders = await self._orders(account, wanted)
        except Unread as unread:
            now = self._clock.now()
            after = after_unread(write_back, unread, now, self._clock.chance())
            self._heed(account, unread.outcome, after)
            await self._write(write_back, after)
            return
        crash_point("write_back.read")
        costs = self._costs_of(write_back)
        after = self._decided(write_back, orders, {} if isinstance(costs, BadFile) else costs)
        if after.state != "sending":
            await self._write(write_back, after)
        elif isinstance(costs, BadFile):
            await self._postpone(write_back, f"its costs: {costs}")
        elif not self.closing:
            await self._send(account, write_back, after)

    async def _orders(self, account: Account, wanted: Wanted) -> Sequence[TargetOrder]:
        """Raises Unread."""
        if wanted.order is None:
            return ()
        try:
            return await account.target.orders(wanted.order, wanted.way)
        except Unread:
            raise
        except Exception as error:
            # Whatever a target manages to break concerns its own orders, never the others.
            log.error("notifier.target_failed", target=wanted.target, exc_info=error)
            raise Unread(repr(error)) from error

    def _decided(
        self, write_back: WriteBack, orders: Sequence[TargetOrder], costs: Costs
    ) -> WriteBack:
        wanted, now = write_back.wanted, self._clock.now()
        known = [one for one in self._ledger.of_order(wanted.folder) if one.key != write_back.key]
        made = plan(wanted, orders, self._channel(write_back), costs, known)
        wait_seconds = self._accounts[wanted.target].entry.unknown_wait_seconds
        return after_read(write_back, made, now, wait_seconds)

    async def _send(self, account: Account, before: WriteBack, sending: WriteBack) -> None:
        """The intent, the call, and what came of it; none of that for who must not send now."""
        unsent = sending.model_copy(
            update={"state": "waiting", "call": None, "calls": before.calls, "sent_at": None}
        )
        why = standing(unsent, self._subscription(before), self._accounts)
        if why is not None:
            await self._write(before, stood(unsent, why, self._clock.now()) or unsent)
            return
        call, intended_at = sending.call, self._clock.monotonic()
        assert call is not None, "what is sending has a call"
        crash_point("write_back.intending")
        if (await self._write(before, sending)).state != "sending":
            return
        crash_point("write_back.intended")
        answer = await self._called(account, call, sending, intended_at)
        crash_point("write_back.answered")
        now = self._clock.now()
        after = after_answer(sending, answer, now, self._clock.chance())
        self._heed(account, answer.outcome, after)
        await self._write(sending, after)
        crash_point("write_back.settled")

    async def _called(
        self, account: Account, call: Call, sending: WriteBack, intended_at: float
    ) -> Answer:
        """Not made at all when we were held up: another may own the partition, and read by now.

        Both clocks are asked, since one of them stands still while the machine sleeps.
        """
        assert sending.sent_at is not None, "what is sending says since when"
        late_seconds = max(
            self._clock.monotonic() - intended_at,
            (self._clock.now() - sending.sent_at).total_seconds(),
        )
        if self.closing or late_seconds > INTENT_SECONDS_MAX:
            return Answer("unsent", detail=f"not called {late_seconds:.1f} s after it was decided")
        try:
            answer = await account.target.call(call)
        except Exception as error:
            # It may have been sent before this: unknown, like any call without an answer.
            log.error("notifier.target_failed", target=account.entry.name, exc_info=error)
            answer = Answer("unknown", detail=repr(error))
        WRITE_BACK_CALLS.labels(account.entry.name, answer.outcome).inc()
        return answer

    def _heed(self, account: Account, outcome: Outcome, after: WriteBack) -> None:
        """What concerns the account as a whole: it is busy, or does not let us in."""
        if outcome in ("busy", "unauthorized"):
            account.pause(after.due_at)

    async def _postpone(self, write_back: WriteBack, reason: str) -> None:
        now = self._clock.now()
        due_at = now + timedelta(seconds=RECHECK_SECONDS)
        update = {"reason": reason, "due_at": due_at, "updated_at": now}
        await self._write(write_back, write_back.model_copy(update=update))

    async def _write(self, before: WriteBack, after: WriteBack) -> WriteBack:
        """Returns what was written: held, where the one that was meant is too large for Kafka."""
        try:
            await self._ledger.write([after])
        except SetAside as error:
            after = too_large(before, str(error), self._clock.now())
            await self._ledger.write([after])
        if (after.state, after.reason) != (before.state, before.reason):
            tell = log.warning if after.state in ("held", "unknown") else log.info
            tell(
                f"notifier.write_back_{after.state}",
                target=after.wanted.target,
                order=after.wanted.order,
                id=after.wanted.event_id,
                calls=after.calls,
                fulfillment=after.fulfillment_id,
                reason=after.reason,
            )
        return after

    def _subscription(self, write_back: WriteBack) -> Subscription | None:
        return self._endpoints.get(write_back.wanted.subscription)

    def _channel(self, write_back: WriteBack) -> WriteBackChannel:
        """A bare one where the subscription is gone: enough to look up what is unknown."""
        found = channel_of(write_back, self._subscription(write_back))
        return found or WriteBackChannel(target=write_back.wanted.target)

    def _costs_of(self, write_back: WriteBack) -> Costs | BadFile:
        """Return what goes along with a package, or why it cannot be read; else nothing goes."""
        path = self._channel(write_back).costs
        if path is None or write_back.wanted.event_type != SHIPPED:
            return {}
        try:
            return self._costs.setdefault(path, item_costs(path)).value()
        except BadFile as error:
            return error
