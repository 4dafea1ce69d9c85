"""Trying a wish on the newest events, over real HTTP."""

from __future__ import annotations

from bus.clock import SystemClock
from bus.settings import KafkaSettings
from bus.transaction import Reach, Writer
from schemas.topics import EVENTS
from services.notifier.newest import newest
from services.notifier.subscriptions import SubscriptionStore
from tests.broker.idle_copy import idle_copy
from tests.broker.notifying import emit
from tests.broker.test_topic_channel import to_topic

SUFFIX = {"suffix": {"subject": "_3"}}


async def test_a_wish_is_tried_on_the_newest_events(topics: KafkaSettings) -> None:
    """Each with whether it matches, and what speaks against it."""
    for revision in (1, 2, 3):
        await emit(topics, range(10), revision)
    await SubscriptionStore(topics, SystemClock()).sync([to_topic(topics, filters=[SUFFIX])])
    async with idle_copy(topics) as asking:
        own = await asking.post("/test?limit=15", status=200)
        wish = {"types": ["package.removed", "fulfillment.*"], "filters": [{"not": SUFFIX}]}
        other = await asking.post("/../../test", wish, status=200)

    assert (own["looked_at"], own["matching"], own["complete"]) == (15, 10, True)
    subjects = [one["subject"] for one in own["events"]]
    assert sorted(subjects[:10]) == [f"pkg_{order}_3" for order in range(10)]
    assert all(one["why_not"] == [] for one in own["events"][:10])
    assert own["events"][10]["why_not"] == [
        f"subject is '{subjects[10]}', and the filter asks that it ends with '_3'"
    ]
    assert (other["looked_at"], other["matching"]) == (30, 0)
    assert other["events"][0]["why_not"] == [
        "the type package.shipped is none of package.removed, fulfillment.*",
        "it may not be that subject ends with '_3'",
    ]
    assert other["events"][-1]["why_not"] == other["events"][0]["why_not"][:1]


async def test_a_wish_that_cannot_be_meant_is_refused(topics: KafkaSettings) -> None:
    """With where it is wrong; of a subscription that there is not, too."""
    async with idle_copy(topics) as asking:
        wish = {"types": ["package.*"], "filters": [{"exact": {"tpye": "a"}}]}
        refused = await asking.post("/../../test", wish, status=422)
        await asking.post("/test", status=404)

    assert "'tpye' leads nowhere" in refused["detail"]


async def test_offsets_without_events_hide_none(topics: KafkaSettings) -> None:
    """Transactions that came to nothing take offsets, too: it reads further back then."""
    await emit(topics, range(12), 1)
    everywhere = [(topics.topic(EVENTS), number) for number in range(6)]
    for _ in range(15):
        writer = Writer(topics, f"{topics.prefix}.test", Reach(outputs=tuple(everywhere)))
        await writer.start()
        await writer.close()

    found = await newest(topics, 12, SystemClock())

    subjects = [event.envelope.attributes["subject"] for _, event in found.events]
    assert sorted(subjects) == sorted(f"pkg_{order}_1" for order in range(12))
    assert found.complete
