"""One step of a write-back whose file of costs has vanished; in memory, without Kafka."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bus.settings import KafkaSettings
from schemas.subscription import Subscription, WriteBackChannel
from schemas.write_back import Call, CallItem, WriteBack
from services.notifier.endpoints import Endpoints
from services.notifier.subscriptions import SubscriptionStore
from services.notifier.write_backs.accounts import Accounts
from services.notifier.write_backs.ledger import Ledger
from services.notifier.write_backs.settings import TargetEntry
from services.notifier.write_backs.stepping import Stepping
from services.notifier.write_backs.wanting import ITEMS_CANCELED
from tests.broker.shop import Shop
from tests.unit.notifier.write_backs.made import items, wanted, written
from tests.unit.notifier.write_backs.test_accounts import NOW, StillClock

KAFKA = KafkaSettings(bootstrap_servers="127.0.0.1:1")
CALL = Call(
    kind="fulfill",
    order_id="1001",
    event_id="evt_1",
    items=(CallItem(line_id="1001-0", quantity=2),),
    shipment_id="P1",
)
CANCELED: dict[str, Any] = {"event_type": ITEMS_CANCELED, "canceled_in_all": items(mug=2)}


class Kept(Ledger):
    """What was written, the last of it as the only one of its order."""

    def __init__(self) -> None:
        super().__init__(KAFKA, 0)
        self.newest: WriteBack | None = None

    def of_order(self, folder: str) -> list[WriteBack]:
        """The newest."""
        return [self.newest] if self.newest is not None else []

    async def write(self, write_backs: Iterable[WriteBack], **_: object) -> None:
        """Keep it."""
        (self.newest,) = write_backs


class One(Endpoints):
    """One subscription, whose costs stand in a file that is not there."""

    def __init__(self, folder: Path, clock: StillClock) -> None:
        super().__init__(KAFKA, SubscriptionStore(KAFKA, clock), clock, lambda _: None)
        costs = f"file:{folder}/vanished.json"
        self._one = Subscription(
            id="river",
            types=("*",),
            channel=WriteBackChannel(target="river", costs=costs, currency="EUR"),
            start_offsets={},
            created_at=NOW,
        )

    def get(self, _: str) -> Subscription | None:
        """That one."""
        return self._one


def unknown(seconds: float, empty_reads: int = 0) -> WriteBack:
    """A package whose call was made so long ago, and nobody answered."""
    sent_at = NOW - timedelta(seconds=seconds)
    more: dict[str, Any] = {"call": CALL, "calls": 1, "sent_at": sent_at}
    return written(wanted(), "unknown", **more, empty_reads=empty_reads)


@pytest.mark.parametrize(
    ("before", "carried_out", "state", "calls"),
    [
        (written(wanted(**CANCELED)), False, "done", 1),
        (unknown(10), True, "done", 0),
        (written(wanted()), False, "waiting", 0),
        (unknown(1000, empty_reads=1), False, "unknown", 0),
    ],
    ids=["a cancellation", "an unknown that is there", "a package", "a package to be sent again"],
)
async def test_costs_that_cannot_be_read_put_off_only_what_carries_them(
    before: WriteBack, carried_out: bool, state: str, calls: int, tmp_path: Path
) -> None:
    """The call of a package; not a cancellation, nor what only has to be seen at the target."""
    clock, ledger = StillClock(), Kept()
    shop = Shop(clock)
    shop.sell("1001", mug=3)
    if carried_out:
        await shop.call(CALL)
    entry = TargetEntry(name="river", system="shop", secret="env:NONE")
    stepping = Stepping(ledger, Accounts([(entry, shop)], clock, 1), One(tmp_path, clock), clock)

    await stepping.step(before)

    assert ledger.newest is not None
    assert (ledger.newest.state, len(shop.calls) - carried_out) == (state, calls)
    put_off = state != "done"
    assert ("its costs" in (ledger.newest.reason or "")) is put_off
    assert (ledger.newest.due_at > NOW) is put_off
