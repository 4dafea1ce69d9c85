"""Group commit: what several tasks want to write under one id goes out in few transactions.

While one transaction is on its way the next one fills up, so that small writes share the cost of
a commit and a lone write never waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from bus.errors import RetryLater, TransactionLost
from bus.transaction import Transaction, Writer, refuse_too_large

RECORDS_MAX = 500  # in one transaction, unless a single caller brings more


class Committer:
    """Owns a started `Writer`.  The first failure breaks it for good; `on_broken` hears of it, and
    of every later try.

    Its callers wait for their own write, so the queue is bounded by their number.
    """

    def __init__(self, writer: Writer, on_broken: Callable[[RetryLater], None]) -> None:
        self._writer = writer
        self._on_broken = on_broken
        self._queue: deque[tuple[Transaction, asyncio.Future[None]]] = deque()
        self._filled = asyncio.Event()
        self._broken: RetryLater | None = None
        self._task = asyncio.create_task(self._run(), name=f"commit {writer.transactional_id}")

    async def commit(self, transaction: Transaction) -> None:
        """Returns when it is durable.  Raises SetAside (too large), Fenced or TransactionLost."""
        for record in transaction.records:
            refuse_too_large(record)
        if self._broken is not None:
            self._on_broken(self._broken)
            raise self._broken
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((transaction, done))
        self._filled.set()
        await asyncio.shield(done)

    async def close(self) -> None:
        """Finish what is queued within the transaction timeout, then let the writer go."""
        if self._broken is None:
            self._broken = TransactionLost(f"{self._writer.transactional_id}: closed")
        self._filled.set()
        await self._task
        await self._writer.close()

    async def _run(self) -> None:
        while True:
            if not self._queue:
                if self._broken is not None:
                    return
                self._filled.clear()
                await self._filled.wait()
                continue
            merged, waiters = self._next()
            try:
                await self._writer.commit(merged)
            except RetryLater as error:
                self._fail(error, waiters)
                return
            for waiter in waiters:
                _resolve(waiter, None)

    def _next(self) -> tuple[Transaction, list[asyncio.Future[None]]]:
        merged, waiter = self._queue.popleft()
        merged = Transaction(list(merged.records), dict(merged.offsets), merged.group)
        waiters = [waiter]
        while self._queue and (len(merged.records) + len(self._queue[0][0].records) <= RECORDS_MAX):
            more, waiter = self._queue.popleft()
            merged.add(more)
            waiters.append(waiter)
        return merged, waiters

    def _fail(self, error: RetryLater, waiters: list[asyncio.Future[None]]) -> None:
        self._broken = error
        for waiter in [*waiters, *(waiter for _, waiter in self._queue)]:
            _resolve(waiter, error)
        self._queue.clear()
        self._on_broken(error)


def _resolve(waiter: asyncio.Future[None], error: RetryLater | None) -> None:
    if waiter.done():
        return
    if error is None:
        waiter.set_result(None)
    else:
        waiter.set_exception(error)
        waiter.exception()  # a waiter that was canceled meanwhile must not warn
