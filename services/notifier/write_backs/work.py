"""Works on the orders of one partition: each strictly one step at a time, many orders at once.

What a step comes to is decided in `planning` and `steps`; this file only awaits.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine, Sequence
from itertools import islice

import structlog

from bus.clock import Clock
from bus.errors import RetryLater
from schemas.write_back import WriteBack
from services.notifier.endpoints import Endpoints
from services.notifier.waking import Waking
from services.notifier.write_backs.accounts import Accounts
from services.notifier.write_backs.agenda import Agenda
from services.notifier.write_backs.ledger import UNFINISHED, Ledger
from services.notifier.write_backs.standing import Standing, standing, stood
from services.notifier.write_backs.stepping import Stepping
from services.notifier.write_backs.steps import Read, Wait, next_of

ORDERS_MAX = 16  # of one target at work at once, in one partition
REVIEWED_MAX = 200  # orders in one transaction
REVIEW_SECONDS_MAX = 600.0  # until somebody says that a subscription changed
IDLE_SECONDS_MAX = 0.5  # how late a leap of the clock may be seen

log = structlog.get_logger(__name__)


class Work:
    """`broken` is told of what cannot be gone on from: the partition is then built anew."""

    def __init__(
        self,
        ledger: Ledger,
        accounts: Accounts,
        endpoints: Endpoints,
        clock: Clock,
        broken: Callable[[RetryLater], None],
    ) -> None:
        self._ledger = ledger
        self._accounts = accounts
        self._endpoints = endpoints
        self._clock = clock
        self._broken = broken
        self._agenda = Agenda()
        self._stepping = Stepping(ledger, accounts, endpoints, clock)
        self._waking = Waking()
        self._changed = Waking()
        self._tasks: set[asyncio.Task[None]] = set()  # those that go on until the end
        self._steps: set[asyncio.Task[None]] = set()
        self._ends: list[Callable[[], None]] = []

    def start(self) -> None:
        """Begin to look up and to call."""
        self._ends = [self._accounts.join(), self._endpoints.listen(self._changed.wake)]
        self._spawn(self._tasks, self._run())
        self._spawn(self._tasks, self._review())

    def look_at(self, folder: str) -> None:
        """Something of this order changed."""
        self._plan(folder)
        self._waking.wake()

    async def close(self, drain_seconds: float) -> None:
        """Begin nothing more, give steps on their way `drain_seconds`, then cancel them.

        Whoever is canceled while it waits for an answer leaves its call unknown.
        """
        self._stepping.closing = True
        await _canceled(self._tasks)
        if self._steps:
            await asyncio.wait(self._steps, timeout=drain_seconds)
        await _canceled(self._steps)
        for end in self._ends:
            end()
        self._ends = []

    async def _run(self) -> None:
        while True:
            self._waking.look_again()
            waits = [self._begin(target) for target in self._agenda.targets()]
            await self._waking.rest(min([IDLE_SECONDS_MAX, *waits]))

    def _begin(self, target: str) -> float:
        """Begin what is due at a target, as far as it may; returns when to look again."""
        account, at_work = self._accounts[target], self._agenda.at_work[target]
        while len(at_work) < ORDERS_MAX:
            now = self._clock.now()
            wait_seconds = max(
                self._agenda.wait_seconds(target, now.timestamp()), account.wait_seconds(now)
            )
            if wait_seconds > 0:
                return wait_seconds
            account.begin()
            self._spawn(self._steps, self._step(self._agenda.begin(target)))
        return math.inf  # whoever ends wakes us

    async def _step(self, folder: str) -> None:
        """One step of one order, and when it goes on."""
        try:
            step = self._next(folder)
            if isinstance(step, Read):
                await self._stepping.step(step.write_back)
        finally:
            self._agenda.end(folder)
        await self._stand_all([folder])
        self.look_at(folder)

    def _plan(self, folder: str) -> None:
        if self._agenda.is_at_work(folder):
            return  # whoever works on it looks at the end
        step = self._next(folder)
        if isinstance(step, Read):
            self._agenda.put(folder, step.write_back.due_at.timestamp())
        else:
            self._agenda.put(folder, step.until.timestamp() if step is not None else None)

    def _next(self, folder: str) -> Read | Wait | None:
        found = self._ledger.of_order(folder)
        return next_of([one for one in found if self._stands(one) is None], self._clock.now())

    async def _review(self) -> None:
        """What stands because of its subscription, whenever one changed; at first everything."""
        seen: object = None
        while True:
            self._changed.look_again()
            wishes = {
                one.id: (one.revision, self._endpoints.unreadable(one.id))
                for one in self._endpoints.all()
            }
            if wishes != seen:
                seen = wishes
                unfinished = iter(sorted(self._ledger.unfinished))
                while folders := list(islice(unfinished, REVIEWED_MAX)):
                    await self._stand_all(folders)
                    for folder in folders:
                        self.look_at(folder)
            await self._changed.rest(REVIEW_SECONDS_MAX)

    async def _stand_all(self, folders: Sequence[str]) -> None:
        """Write down what stands, and why, where that is not written yet.

        Whoever works on an order does that at its end.
        """
        wished_by = {
            one.wanted.subscription
            for folder in folders
            for one in self._ledger.of_order(folder)
            if one.state in UNFINISHED
        }
        if any(self._endpoints.get(name) is None for name in wished_by):
            await self._endpoints.current()  # a new one may be known to its own copy alone as yet
        # From here to the write nothing is awaited, so that nothing newer is written over.
        changed = [
            after
            for folder in folders
            if not self._agenda.is_at_work(folder)
            for one in self._ledger.of_order(folder)
            if (why := self._stands(one)) is not None
            and (after := stood(one, why, self._clock.now())) is not None
        ]
        if changed:
            await self._ledger.write(changed)

    def _stands(self, write_back: WriteBack) -> Standing | None:
        if write_back.state not in UNFINISHED:
            return None
        name = write_back.wanted.subscription
        unreadable = self._endpoints.unreadable(name)
        return standing(write_back, self._endpoints.get(name), self._accounts, unreadable)

    def _spawn(self, tasks: set[asyncio.Task[None]], work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work, name="notifier write back")
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """What a task of ours left half done is read anew."""
        if task.cancelled() or (error := task.exception()) is None:
            return
        if not isinstance(error, RetryLater):
            log.error("notifier.write_back_failed", error=repr(error), exc_info=error)
            error = RetryLater(f"write-backs: {error!r}")
        self._broken(error)


async def _canceled(tasks: set[asyncio.Task[None]]) -> None:
    """None of them goes on when it returns."""
    ending = list(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)
