"""What deliveries are measured with: events worth delivering, endpoints that count."""

from __future__ import annotations

import asyncio

import httpx2

from benchmarks.inputs.endpoints import Endpoints
from benchmarks.inputs.events import events
from benchmarks.inputs.orders import VARIANTS
from benchmarks.peers.bare_posts import posted_per_second, posts
from bus.partitioning import partition_of
from bus.settings import KafkaSettings
from schemas.events import Envelope
from schemas.topics import EVENTS

KAFKA = KafkaSettings()


def test_the_events_are_as_many_facts() -> None:
    """Ids of their own, sequences that rise within an order, five types, about 1.2 kB."""
    found = list(events(KAFKA, 2 * VARIANTS))
    envelopes = [Envelope.read(dict(one.headers), one.value or b"") for one in found]

    assert len({envelope.id for envelope in envelopes}) == len(found)
    assert len({envelope.type for envelope in envelopes}) == 5
    assert 1100 < sum(len(envelope.data) for envelope in envelopes) / len(found) < 1300
    for key in {envelope.key for envelope in envelopes}:
        told = [envelope.attributes["sequence"] for envelope in envelopes if envelope.key == key]
        assert told == sorted(set(told))


def test_the_events_lie_where_the_normalizer_writes_them() -> None:
    """Each under its fulfillment's key, in that key's partition, its number in its data."""
    count = KAFKA.partition_count(EVENTS)
    for record in events(KAFKA, 2 * VARIANTS):
        envelope = Envelope.read(dict(record.headers), record.value or b"")
        assert (record.key, record.partition) == (envelope.key, partition_of(record.key, count))
        assert f'"key":"{record.key}"'.encode() in envelope.data


async def test_the_loop_posts_each_event_once_and_the_endpoints_count_it() -> None:
    """By two clients with two posts in flight each."""
    made, taking = posts(VARIANTS), Endpoints()
    async with taking.serve() as url, httpx2.AsyncClient(trust_env=False) as client:
        rate = await posted_per_second(f"{url}/erp", made, clients=2, each=2)
        count = (await client.get(f"{url}/count")).json()
        arrivals = (await client.get(f"{url}/arrivals")).json()
        await client.get(f"{url}/dies/erp/")
        post = asyncio.create_task(client.post(f"{url}/erp/"))
        await client.post(f"{url}/wms/")
        unanswered = not post.done()
        post.cancel()

    assert rate > 0
    assert (count, unanswered) == (len(made), True)
    assert {path for path, _, _ in arrivals} == {"/erp"}
    ids = [headers["webhook-id"] for headers, _ in made]
    assert sorted(ids) == sorted(name for _, name, _ in arrivals)
