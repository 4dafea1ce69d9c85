"""What an operator does to a subscription over HTTP: enable, disable, rotate, ping."""

from __future__ import annotations

from typing import Any

from bus.settings import KafkaSettings
from schemas.topics import DELIVERIES, SUBSCRIPTIONS
from testbed.receiver import Receiver
from tests.broker.asking import LOG, asking, client_of, created, posting, problem
from tests.broker.notifying import PATIENT, SECRET, accepted, emit, notifying
from tests.broker.reading import records, until


async def test_a_subscription_gets_its_events_disabled_none_and_enabled_all(
    topics: KafkaSettings, sealing: dict[str, Any]
) -> None:
    """Held meanwhile, delivered once it is enabled, each once, signed with what was shown."""
    async with asking(topics, **sealing) as client:
        await emit(topics, range(4), 1)
        channel = {"type": "webhook", "url": "http://127.0.0.1:9/", "secret": SECRET}
        wish = {**LOG, "channel": channel, "start_from": "earliest"}
        receiver = Receiver(SECRET)
        async with receiver.serve() as url:
            channel["url"] = url
            found = await created(client, wish)
            assert found["secret"] == SECRET
            path = f"/subscriptions/{found['id']}"
            await until(lambda: len(accepted(receiver)) == 4)

            off = await client.post(f"{path}/disable", json={"reason": "moving house"})
            assert (off.json()["enabled"], off.json()["disabled_reason"]) == (False, "moving house")
            await emit(topics, range(4), 2)
            held = (await client.get("/status")).json()["held"]
            assert held == {found["id"]: "moving house"}
            assert (await client.post(f"{path}/enable")).json()["enabled"] is True
            await until(lambda: len(accepted(receiver)) == 8)
            assert receiver.stats()["requests"] == 8


async def test_an_endpoint_that_was_gone_is_asked_again_once_it_is_enabled(
    topics: KafkaSettings, sealing: dict[str, Any]
) -> None:
    """410 holds everything; enabling forgets it, a rotated secret does not."""
    receiver = Receiver(SECRET)
    receiver.behavior.add([{"name": "status", "status": 410}])
    async with receiver.serve() as url, asking(topics, **sealing) as client:
        wish = posting(url, start_from="earliest")
        wish["channel"]["secret"] = SECRET
        path = f"/subscriptions/{(await created(client, wish))['id']}"
        await emit(topics, [0], 1)

        async def gone() -> bool:
            health = (await client.get(path)).json()["health"]
            return "410" in (health["disabled_reason"] or "")

        await until(gone)
        await client.post(f"{path}/rotate-secret", json={"secret": SECRET})
        assert await gone()
        assert not (await client.post(f"{path}/enable")).json()["health"]["disabled_reason"]
        await until(lambda: len(accepted(receiver)) == 1)


async def test_a_deleted_subscription_leaves_nothing_behind(
    topics: KafkaSettings, sealing: dict[str, Any]
) -> None:
    """Whichever copy is asked and whichever owns it: no delivery, no position, no more tries."""
    receiver = Receiver(SECRET)
    receiver.behavior.add([{"name": "status", "status": 500, "count": None}])
    await emit(topics, range(8), 1)
    async with (
        receiver.serve() as url,
        notifying(topics, **sealing, **PATIENT) as one,
        notifying(topics, **sealing, **PATIENT) as two,
        client_of(one) as here,
        client_of(two) as there,
    ):
        wish = posting(url, start_from="earliest")
        wish["channel"]["secret"] = SECRET
        path = f"/subscriptions/{(await created(here, wish))['id']}"
        await until(lambda: receiver.stats()["requests"] >= 8)
        assert (await there.delete(path)).status_code == 204

        async def empty() -> bool:
            found = {record.key: record.value for record in await records(topics, DELIVERIES)}
            return bool(found) and set(found.values()) == {None}

        await until(empty)


async def test_no_secret_comes_back_after_it_was_made(
    topics: KafkaSettings, sealing: dict[str, Any]
) -> None:
    """In no answer, no list, no error, and on no topic."""
    async with asking(topics, **sealing) as client:
        found = await created(client, posting("https://a.example/"))
        path = f"/subscriptions/{found['id']}"
        rotated = (await client.post(f"{path}/rotate-secret", json={})).json()
        secrets = [found["secret"], rotated["secret"]]
        assert all(one.startswith("whsec_") for one in secrets)
        assert secrets[0] != secrets[1]
        wrong = posting("https://a.example/", types=["none"])
        wrong["channel"]["secret"] = secrets[1]
        answers = [
            await client.get(path),
            await client.get("/subscriptions"),
            await client.patch(path, json={"description": "b"}, headers={"if-match": "*"}),
            await client.post(f"{path}/disable"),
            await client.post("/subscriptions", json=wrong),
            await client.put(path, json=wrong, headers={"if-match": "*"}),
        ]
    told = [answer.text.encode() for answer in answers]
    kept = [record.value for record in await records(topics, SUBSCRIPTIONS)]
    assert [secret for secret in secrets for text in told + kept if secret.encode() in text] == []
    assert not any(b"sealed:" in text for text in told)
    assert b"sealed:" in kept[-1]


async def test_a_rotated_secret_signs_beside_the_old_one_or_alone(
    topics: KafkaSettings, sealing: dict[str, Any]
) -> None:
    """At most three at once; an overlap of 0 ends all others."""
    async with asking(topics, **sealing) as client:
        path = f"/subscriptions/{(await created(client, posting('https://a.example/')))['id']}"
        for count, body in ((2, None), (3, {})):
            rotated = (await client.post(f"{path}/rotate-secret", json=body)).json()
            secrets = rotated["channel"]["secrets"]
            assert [one["until"] is None for one in secrets] == [True] + [False] * (count - 1)
        refused = await client.post(f"{path}/rotate-secret", json={"overlap_seconds": 60})
        assert "3 secrets are in force" in problem(refused, 409)
        alone = await client.post(f"{path}/rotate-secret", json={"overlap_seconds": 0})
        assert alone.json()["channel"]["secrets"] == [{"until": None}]


async def test_without_a_master_key_no_secret_is_taken(topics: KafkaSettings) -> None:
    """Nothing is written, and the answer says what to set."""
    async with asking(topics) as client:
        refused = await client.post("/subscriptions", json=posting("https://a.example/"))
        assert "master_key" in problem(refused, 409)
        assert (await client.get("/subscriptions")).json()["subscriptions"] == []


async def test_a_ping_is_signed_and_leaves_no_delivery(
    topics: KafkaSettings, sealing: dict[str, Any]
) -> None:
    """Once, with what came of it in the answer; where nothing can be sent it says so."""
    receiver = Receiver(SECRET)
    async with receiver.serve() as url, asking(topics, **sealing) as client:
        wish = posting(url)
        wish["channel"]["secret"] = SECRET
        path = f"/subscriptions/{(await created(client, wish))['id']}"
        pinged = (await client.post(f"{path}/ping")).json()
        assert (pinged["outcome"], pinged["status_code"]) == ("delivered", 200)
        (record,) = receiver.records
        assert record["event"]["type"] == "system.ping"
        assert record["event"]["data"] == {"subscription": path.rpartition("/")[2]}

        receiver.behavior.add([{"name": "status", "status": 500}])
        failed = (await client.post(f"{path}/ping")).json()
        assert (failed["outcome"], failed["status_code"]) == ("transient", 500)
        assert (await client.get("/status")).json()["pending"] == 0
        assert receiver.stats()["requests"] == 2

        topic = {**LOG, "channel": {"type": "topic", "topic": f"{topics.prefix}.for-erp"}}
        other = f"/subscriptions/{(await created(client, topic))['id']}"
        assert "not delivered" in problem(await client.post(f"{other}/ping"), 409)
        problem(await client.post("/subscriptions/none/ping"), 404)


async def test_a_ping_tells_nothing_of_an_address_that_is_refused(
    topics: KafkaSettings, sealing: dict[str, Any]
) -> None:
    """Not whether somebody listens there, nor how long it took to find out."""
    async with asking(topics, **sealing, allow_networks=["10.0.0.0/8"]) as client:
        refused = await client.post("/subscriptions", json=posting("http://169.254.169.254/x"))
        assert "no public address" in problem(refused, 409)
        wish = posting("http://localhost/latest/")
        path = f"/subscriptions/{(await created(client, wish))['id']}"
        pinged = (await client.post(f"{path}/ping")).json()
    assert (pinged["outcome"], pinged["status_code"]) == ("blocked", None)
    assert pinged["duration_ms"] is None
