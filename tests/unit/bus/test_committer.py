"""What is queued behind a transaction that fails is never written."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from bus.committer import Committer
from bus.errors import RetryLater, TransactionLost
from bus.transaction import Record, Transaction, Writer


class Failing:
    """A writer that loses its transaction number `lost`, and takes whatever else comes."""

    transactional_id = "t.poll.0"
    commit_seconds_max = 1.0

    def __init__(self, lost: int) -> None:
        self.keys: list[list[str]] = []
        self._lost = lost

    async def commit(self, transaction: Transaction) -> None:
        await asyncio.sleep(0)
        if len(self.keys) == self._lost:
            raise TransactionLost("gone")
        self.keys.append([record.key for record in transaction.records])

    async def close(self) -> None:
        """Nothing is held."""


def page(key: str) -> Transaction:
    return Transaction([Record("t.raw", 0, key, b"{}")])


async def test_pages_ahead_of_a_lost_one_are_lost_with_it() -> None:
    """A cursor must not pass what stands in the transaction before its own."""
    writer, broken = Failing(lost=1), list[RetryLater]()
    committer = Committer(cast("Writer", writer), broken.append)
    first = committer.submit(page("1"))
    await asyncio.sleep(0)  # it is on its way; what comes now waits for the next transaction
    ahead = [committer.submit(page(key)) for key in "23"]
    await first
    ended = await asyncio.gather(*ahead, return_exceptions=True)
    assert [type(one) for one in ended] == [TransactionLost, TransactionLost]
    assert writer.keys == [["1"]]
    with pytest.raises(TransactionLost):
        committer.submit(page("4"))
    assert [type(one) for one in broken] == [TransactionLost, TransactionLost]
    await committer.close()


async def test_what_was_submitted_first_is_written_first() -> None:
    """Many share a transaction, in the order they came."""
    writer = Failing(lost=-1)
    committer = Committer(cast("Writer", writer), lambda _: None)
    await asyncio.gather(*(committer.submit(page(key)) for key in "1234"))
    assert [key for keys in writer.keys for key in keys] == ["1", "2", "3", "4"]
    await committer.close()


async def test_what_is_in_no_hurry_goes_out_with_what_is() -> None:
    """However long it would wait for company, and ahead of it."""
    writer = Failing(lost=-1)
    committer = Committer(cast("Writer", writer), lambda _: None, linger_seconds=3600)
    patient = [committer.submit(page(key), hurried=False) for key in "12"]
    for _ in range(3):
        await asyncio.sleep(0)
    assert writer.keys == []
    await asyncio.gather(*patient, committer.submit(page("3")))
    assert writer.keys == [["1", "2", "3"]]
    last = committer.submit(page("4"), hurried=False)
    await committer.close()
    await last
    assert writer.keys == [["1", "2", "3"], ["4"]]


async def test_what_is_in_no_hurry_goes_out_alone_at_last() -> None:
    """When nobody joins it."""
    writer = Failing(lost=-1)
    committer = Committer(cast("Writer", writer), lambda _: None, linger_seconds=0.001)
    await committer.submit(page("1"), hurried=False)
    assert writer.keys == [["1"]]
    await committer.close()
