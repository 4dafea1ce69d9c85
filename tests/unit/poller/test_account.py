"""What the streams of one account share: whether their requests may overlap."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from bus.clock import SystemClock
from bus.settings import KafkaSettings
from bus.table import Table
from bus.transaction import Transaction
from schemas.topics import CURSORS
from services.poller.account import Account, Surroundings
from services.poller.settings import PollerSettings
from services.poller.source import AccountSettings, Facts, Failure, Rate, Request
from testbed.http import Request as Asked
from testbed.http import Response as Answer
from testbed.http import serving

KAFKA = KafkaSettings(bootstrap_servers="nowhere:1", prefix="t")
STALL_SECONDS = 600.0


class NoSink:
    """Nothing is written here."""

    def submit(self, transaction: Transaction) -> Awaitable[None]:
        raise AssertionError(f"{transaction} was not to be written")


@pytest.mark.parametrize("in_turn", [False, True])
async def test_requests_go_out_one_after_another_where_the_upstream_asks_for_it(
    *, in_turn: bool
) -> None:
    """A second one is not sent while the first has no answer; the first is let go in the end."""
    asked: list[str] = []
    arrived = asyncio.Event()

    def answer(request: Asked) -> Answer:
        asked.append(request.path)
        arrived.set()
        return Answer(200, delay_seconds=STALL_SECONDS if request.path == "/first" else 0)

    async with serving(answer) as url:
        settings = AccountSettings(source="any", name="acme", base_url=url)
        table = Table(KAFKA, CURSORS, 0)
        around = Surroundings(KAFKA, PollerSettings(), SystemClock(), table, NoSink())
        account = Account(around, settings, Rate(per_second=1000, burst=10, in_turn=in_turn))
        facts = Facts("head", "orders", 8, 60, "")
        first = asyncio.create_task(account.ask(facts, Request(f"{url}/first")))
        await arrived.wait()
        second = asyncio.create_task(account.ask(facts, Request(f"{url}/second")))
        if not in_turn:
            await second
            assert asked == ["/first", "/second"]
        else:
            assert account._turn.locked()  # type: ignore[union-attr]
            assert asked == ["/first"]
        first.cancel()
        assert not isinstance(await second, Failure)
        assert asked == ["/first", "/second"]
        await account.close()
