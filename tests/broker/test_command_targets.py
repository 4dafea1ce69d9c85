"""Commands that name what is not there."""

from __future__ import annotations

from pathlib import Path

from bus.errors import RetryLater
from bus.settings import KafkaSettings
from testbed.receiver import Receiver
from tests.broker.commanding import retry, targets
from tests.broker.notifying import SECRET, accepted, emit, notifying, owning, quick, webhook
from tests.broker.reading import until


async def test_an_event_that_there_cannot_be_holds_up_nobody(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """At the end of a partition, beyond all, or no event: noted, and the owner lives on."""
    receiver, failures = Receiver(SECRET), list[RetryLater]()
    await emit(topics, [0], 1)
    async with (
        receiver.serve() as url,
        notifying(topics, webhook("erp", url, tmp_path)),
    ):
        await until(lambda: len(accepted(receiver)) == 1)
        (target,) = await targets(topics, "pkg_0_1")
    nowhere = [
        target.model_copy(update={"event_id": f"evt_{offset}", "event_offset": offset})
        for offset in (target.event_offset + 1, target.event_offset + 2, 10**15)
    ]
    position = target.model_copy(update={"event_id": "position"})  # as the position's own key
    command = await retry(topics, *nowhere, position)
    async with owning(topics, quick(), target.partition, failures.append) as owner:
        await until(lambda: bool(failures) or owner.holdings.command("erp") == command.number)

    assert failures == []
