"""Events about what was written back by Shipfeed, over real HTTP: told to whoever asks for them."""

from __future__ import annotations

from bus.settings import KafkaSettings
from tests.broker.asking import client_of
from tests.broker.notifying import emit, notifying
from tests.broker.reading import records, until
from tests.broker.streaming import pulled, served, stream
from tests.broker.test_topic_channel import arrived, target, to_topic


async def test_an_echo_is_told_to_who_asks_for_it_alone(topics: KafkaSettings) -> None:
    """In a stream and in a topic; of the others, whoever wonders can ask why not."""
    await emit(topics, range(3), 1, echo=True)
    await emit(topics, range(3), 2)
    entries = stream("plain"), stream("mirror", echo=True), to_topic(topics)
    async with notifying(topics, *entries) as copy, served(copy) as url, client_of(copy) as client:
        plain = (await pulled(url, "plain"))[1]["events"]
        mirror = (await pulled(url, "mirror"))[1]["events"]
        echo = next(one["id"] for one in mirror if one["subject"] == "pkg_0_1")
        story = (await client.get(f"/subscriptions/erp/deliveries/{echo}")).json()
        trial = await client.post("/test", json={"types": ["package.*"], "echo": True})
        await until(lambda: arrived(topics, 3))  # the echoes stand before these

    own = {f"pkg_{order}_2" for order in range(3)}
    assert {one["subject"] for one in plain} == own
    assert len(mirror) == 6
    assert {
        dict(one.headers)["ce_subject"].decode() for one in await records(topics, target())
    } == own
    assert (story["state"], story["event"]["echo"]) == ("not wanted", True)
    assert "(echo)" in story["why_not"][0]
    assert trial.json()["matching"] == 6
