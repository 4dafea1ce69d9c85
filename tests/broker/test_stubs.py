"""Closed fulfillments shrink beside the work of a normalizer, on a real Kafka."""

from __future__ import annotations

from bus import reading
from bus.admin import ensure_topics
from bus.clock import SystemClock
from bus.settings import KafkaSettings
from schemas.fulfillment import Fulfillment
from schemas.topics import EVENTS, FULFILLMENTS
from tests.broker.normalizing import event_ids, normalizing, produce, raw, settled
from tests.broker.reading import records

DAYS = 400
LATE = (DAYS + 1) * 86_400  # versions: one each second


async def test_what_was_closed_long_ago_shrinks_with_the_next_observations(
    settings: KafkaSettings,
) -> None:
    """Seen late it stays silent, by the next owner too; a neighbor that is young stays whole."""
    kafka = settings.model_copy(update={"partitions": 1})
    await ensure_topics(kafka, SystemClock())

    async def stubs() -> dict[str, bool]:
        values = await reading.table(kafka, FULFILLMENTS)
        return {key: Fulfillment.model_validate_json(value).stub for key, value in values.items()}

    (old, _, _), (young, _, _) = raw(1), raw(2)
    async with normalizing(kafka, closed_retention_days=DAYS):
        await produce(kafka, [raw(1), raw(2)])
        await settled(kafka)
        before = await stubs()
        await produce(kafka, [raw(2, LATE // 2)])
        await settled(kafka)
        await produce(kafka, [raw(3, LATE)])
        await settled(kafka)
        after = await stubs()
    told = event_ids(await records(kafka, EVENTS))
    async with normalizing(kafka, closed_retention_days=DAYS):
        await produce(kafka, [raw(1, LATE + 1)])
        await settled(kafka)

    assert before == {old: False, young: False}
    assert after == {old: True, young: False, raw(3)[0]: False}
    assert event_ids(await records(kafka, EVENTS)) == told
    assert (await stubs())[old]
