"""Group commit: what several tasks want to write under one id goes out in few transactions.

While one transaction is on its way the next one fills up, so that small writes share the cost of
a commit and a lone write never waits, unless its caller is in no hurry: such a write gives others
a moment to join it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from bus.errors import RetryLater, TransactionLost
from bus.settings import PRODUCER_CLOSE_SECONDS_MAX
from bus.transaction import Transaction, Writer, refuse_any_too_large

LINGER_SECONDS = 0.005
RECORDS_MAX = 5000  # in one transaction, unless a single caller brings more (decision 0005)


class Committer:
    """Owns a started `Writer`.  The first failure breaks it for good; `on_broken` hears of it, and
    of every later try.

    The queue is bounded by its callers, who wait for what they have submitted.
    """

    def __init__(
        self,
        writer: Writer,
        on_broken: Callable[[RetryLater], None],
        *,
        linger_seconds: float = LINGER_SECONDS,
    ) -> None:
        self._writer = writer
        self._on_broken = on_broken
        self._queue: deque[tuple[Transaction, asyncio.Future[None]]] = deque()
        self._waiters: list[asyncio.Future[None]] = []  # of the transaction on its way
        self._filled = asyncio.Event()
        self._hurried = asyncio.Event()  # something that is queued, or closing, does not wait
        self._linger_seconds = linger_seconds
        self._broken: RetryLater | None = None
        self._lost = False  # something that was submitted is not, or may not be, written
        self._task = asyncio.create_task(self._run(), name=f"commit {writer.transactional_id}")

    async def commit(self, transaction: Transaction, *, hurried: bool = True) -> None:
        """Returns when it is durable.  Raises SetAside (too large), Fenced or TransactionLost."""
        await asyncio.shield(self.submit(transaction, hurried=hurried))

    def submit(self, transaction: Transaction, *, hurried: bool = True) -> asyncio.Future[None]:
        """Queue it; transactions become durable in the order they came, or none from the first
        that fails on.

        Raises SetAside (too large), Fenced or TransactionLost, at once or when awaited.
        """
        # Here, or it would be refused with all it was merged with.
        refuse_any_too_large(transaction.records)
        if self._broken is not None:
            self._on_broken(self._broken)
            raise self._broken
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((transaction, done))
        self._filled.set()
        if hurried:
            self._hurried.set()
        return done

    async def close(self) -> bool:
        """Finish what is queued within the transaction timeout, then let the writer go.

        Return whether all that was ever submitted is durable.
        """
        whole = self._broken is None
        if self._broken is None:
            self._broken = TransactionLost(f"{self._writer.transactional_id}: closed")
        self._filled.set()
        self._hurried.set()
        seconds = self._writer.commit_seconds_max + PRODUCER_CLOSE_SECONDS_MAX
        await asyncio.wait({self._task}, timeout=seconds)
        whole = whole and self._task.done() and not self._lost
        self._task.cancel()
        await self._writer.close()
        return whole

    async def _run(self) -> None:
        error: RetryLater = TransactionLost(f"{self._writer.transactional_id}: given up")
        try:
            while self._queue or self._broken is None:
                if self._queue:
                    await self._linger()
                    await self._writer.commit(self._next())
                    for waiter in self._waiters:
                        _resolve(waiter, None)
                    self._waiters.clear()
                else:
                    self._filled.clear()
                    await self._filled.wait()
        except RetryLater as failure:
            error = failure
        finally:
            # Whatever ended this task, nobody may be left waiting for it.
            self._end(error)

    async def _linger(self) -> None:
        if not self._hurried.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(self._linger_seconds):
                    await self._hurried.wait()

    def _next(self) -> Transaction:
        merged, waiter = self._queue.popleft()
        merged = Transaction(list(merged.records), dict(merged.offsets), merged.group)
        waiters = self._waiters = [waiter]
        while self._queue and (len(merged.records) + len(self._queue[0][0].records) <= RECORDS_MAX):
            more, waiter = self._queue.popleft()
            merged.add(more)
            waiters.append(waiter)
        if not self._queue and self._broken is None:
            self._hurried.clear()
        return merged

    def _end(self, error: RetryLater) -> None:
        closed, self._broken = self._broken is not None, self._broken or error
        self._lost = bool(self._waiters or self._queue)
        for waiter in [*self._waiters, *(waiter for _, waiter in self._queue)]:
            _resolve(waiter, error)
        self._queue.clear()
        if not closed:
            self._on_broken(error)


def _resolve(waiter: asyncio.Future[None], error: RetryLater | None) -> None:
    if waiter.done():
        return
    if error is None:
        waiter.set_result(None)
    else:
        waiter.set_exception(error)
        waiter.exception()  # a waiter that was canceled meanwhile must not warn
