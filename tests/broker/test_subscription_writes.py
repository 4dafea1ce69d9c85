"""Writing subscriptions on a real Kafka: who wins, who reads again, and who knows of it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import partial

import pytest

from bus.clock import SystemClock
from bus.errors import Fenced, TransactionLost
from bus.settings import KafkaSettings
from bus.transaction import Record, Transaction, Writer
from schemas.command import Command, Retry
from schemas.subscription import EndpointHealth, LogChannel, Subscription, TopicChannel
from schemas.topics import SUBSCRIPTIONS
from services.notifier.endpoints import Endpoints
from services.notifier.known import Known
from services.notifier.subscriptions import Missing, Stale, SubscriptionStore
from services.notifier.writing import WRITES_MAX, Writing
from tests.broker.reading import records

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LOG = Subscription(
    id="erp", types=("*",), channel=LogChannel(), start_offsets={}, origin="api", created_at=NOW
)


def rename(word: str, before: Subscription) -> Subscription:
    """The same with another list of types."""
    return before.model_copy(update={"types": (*before.types, word)})


async def subscription(kafka: KafkaSettings) -> Subscription:
    """`erp`, as it stands."""
    return Subscription.model_validate_json((await records(kafka, SUBSCRIPTIONS))[-1].value)


async def test_of_two_changes_to_one_revision_exactly_one_wins(topics: KafkaSettings) -> None:
    """Two copies at once: the other is told, and nothing of its change is there."""
    stores = [SubscriptionStore(topics, SystemClock()) for _ in range(2)]
    await stores[0].create(LOG)

    outcomes = await asyncio.gather(
        *(
            store.update("erp", partial(rename, word), revision=1)
            for store, word in zip(stores, "ab", strict=True)
        ),
        return_exceptions=True,
    )

    (won,) = (one for one in outcomes if isinstance(one, Subscription))
    (lost,) = (one for one in outcomes if not isinstance(one, Subscription))
    assert isinstance(lost, Stale)
    assert won.revision == 2
    assert await subscription(topics) == won


async def test_a_fenced_change_is_made_anew_to_what_stands_there_now(
    topics: KafkaSettings,
) -> None:
    """Another copy writes between the read and the write: both changes are in the end there."""
    one, other = (SubscriptionStore(topics, SystemClock()) for _ in range(2))
    await one.create(LOG)
    seen: list[tuple[str, ...]] = []

    async def decide(known: Known) -> list[Record]:
        before = known.subscriptions["erp"]
        seen.append(before.types)
        if len(seen) == 1:
            await other.update("erp", partial(rename, "other"))
        value = rename("one", before).to_json()
        return [Record(topics.topic(SUBSCRIPTIONS), 0, "erp", value)]

    await Writing(topics, SystemClock()).write(decide)

    assert seen == [("*",), ("*", "other")]
    assert (await subscription(topics)).types == ("*", "other", "one")


async def test_who_is_fenced_every_time_gives_up(topics: KafkaSettings) -> None:
    """A bound: the caller hears that others write all the time."""
    other, tries = SubscriptionStore(topics, SystemClock()), 0
    await other.create(LOG)

    async def decide(_: Known) -> list[Record]:
        nonlocal tries
        tries += 1
        await other.update("erp", partial(rename, str(tries)))
        return [Record(topics.topic(SUBSCRIPTIONS), 0, "mine", None)]

    with pytest.raises(Fenced):
        await Writing(topics, SystemClock()).write(decide)

    assert tries == WRITES_MAX


async def test_a_commit_whose_answer_was_lost_is_not_made_twice(topics: KafkaSettings) -> None:
    """The records are found in place: the change is made, and nobody else is blamed for it."""

    class Torn(Writer):
        async def commit(self, transaction: Transaction) -> None:
            await super().commit(transaction)
            raise TransactionLost("the answer did not come")

    asked: list[Known] = []

    async def decide(known: Known) -> list[Record]:
        asked.append(known)
        return [Record(topics.topic(SUBSCRIPTIONS), 0, "erp", LOG.to_json())]

    await Writing(topics, SystemClock(), Torn).write(decide)

    assert len(asked) == 1
    assert len(await records(topics, SUBSCRIPTIONS)) == 1


async def test_numbers_of_commands_never_go_back(topics: KafkaSettings) -> None:
    """Also when the older ones are forgotten: positions remember the number they carried out."""

    def retry(number: int) -> Command:
        return Retry(subscription="erp", number=number, created_at=NOW)

    store = SubscriptionStore(topics, SystemClock())
    await store.create(LOG)
    first = await store.append("erp", retry)
    await store.forget([first])
    second = await store.append("erp", retry)
    await store.delete("erp", lambda _: None)
    await store.create(LOG)
    third = await store.append("erp", retry)

    assert 0 < first.number < second.number < third.number
    with pytest.raises(Missing, match="crm"):
        await store.append("crm", retry)


async def test_every_copy_knows_what_any_copy_wrote_before(topics: KafkaSettings) -> None:
    """Read your own writes: create, change, command, delete, each seen by the other copy."""
    clock, fatal = SystemClock(), list[BaseException]()
    store = SubscriptionStore(topics, clock)
    endpoints = Endpoints(topics, SubscriptionStore(topics, clock), clock, fatal.append)
    await endpoints.start()
    try:
        await store.create(LOG)
        await endpoints.current()
        assert endpoints.get("erp") == LOG

        for revision in range(2, 7):
            await store.update("erp", partial(rename, str(revision)))
            await endpoints.current()
            assert [one.revision for one in endpoints.all()] == [revision]

        command = await store.append(
            "erp", lambda n: Retry(subscription="erp", number=n, created_at=NOW)
        )
        await endpoints.current()
        assert endpoints.commands("erp") == [command]

        await store.delete("erp", lambda _: None)
        await endpoints.current()
        assert endpoints.get("erp") is None
        assert endpoints.commands("erp") == []
    finally:
        await endpoints.stop()
    assert fatal == []


@pytest.mark.parametrize("way", ["enabled", "another channel"])
async def test_an_endpoint_is_well_again_when_an_operator_says_so(
    way: str, topics: KafkaSettings
) -> None:
    """What was found is forgotten in every copy, the one that found it too."""
    clock, fatal = SystemClock(), list[BaseException]()
    store = SubscriptionStore(topics, clock)
    await store.create(LOG)
    found = EndpointHealth(subscription="erp", disabled_reason="410", updated_at=NOW)
    endpoints = Endpoints(topics, store, clock, fatal.append)
    await endpoints.start()
    try:
        await store.report(found)
        await endpoints.current()
        assert endpoints.held() == {"erp": "410"}

        if way == "enabled":
            await store.update("erp", lambda before: before, well_again=True)
        else:
            channel = TopicChannel(topic="mine")
            await store.update("erp", lambda one: one.model_copy(update={"channel": channel}))
        await endpoints.current()
        assert endpoints.held() == {}
    finally:
        await endpoints.stop()
    assert fatal == []
