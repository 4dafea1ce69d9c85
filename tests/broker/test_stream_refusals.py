"""Who may read a stream, from where, and how many at once; what ends one that was begun."""

from __future__ import annotations

import httpx2

from bus.clock import SystemClock
from bus.settings import KafkaSettings
from services.notifier.api_keys import minted_key
from services.notifier.subscriptions import SubscriptionStore
from tests.broker.notifying import by_order, emit, notifying
from tests.broker.reading import until
from tests.broker.streaming import (
    READ_SECONDS_MAX,
    expire,
    following,
    last,
    pulled,
    readers,
    served,
    stream,
)

ORDERS = 12


async def test_only_its_own_cursors_are_taken(topics: KafkaSettings) -> None:
    """Forged and foreign ones are refused alike, followed or pulled."""
    await emit(topics, range(ORDERS), 1)
    async with notifying(topics, stream(), stream("other")) as copy, served(copy) as url:
        _, page = await pulled(url, "other")
        good = (await pulled(url))[1]["cursor"]
        forged = good[:-1] + ("A" if good[-1] != "A" else "E")
        for cursor in (page["cursor"], forged, "x", "\u00e9"):
            status, problem = await pulled(url, cursor=cursor)
            assert (status, problem["title"]) == (400, "Bad cursor")
        assert await refused(url, "reader", page["cursor"]) == 400
        assert (await pulled(url, cursor=good))[0] == 200


async def refused(url: str, name: str, cursor: str | None = None) -> int:
    """The status a stream is refused with."""
    headers = {} if cursor is None else {"last-event-id": cursor}
    async with httpx2.AsyncClient(timeout=READ_SECONDS_MAX, trust_env=False) as client:
        answer = await client.get(f"{url}/subscriptions/{name}/stream", headers=headers)
        assert answer.headers["content-type"] == "application/problem+json"
        return answer.status_code


async def test_a_cursor_of_what_is_gone_is_told_the_oldest(topics: KafkaSettings) -> None:
    """410, and the cursor that goes on; who has none begins at the oldest by itself."""
    async with notifying(topics, stream()) as copy, served(copy) as url:
        _, nothing = await pulled(url)
        await emit(topics, range(ORDERS), 1)
        await expire(topics)
        await emit(topics, range(ORDERS), 2)
        assert await refused(url, "reader", nothing["cursor"]) == 410
        status, problem = await pulled(url, cursor=nothing["cursor"])
        _, on = await pulled(url, cursor=problem["oldest"])
        _, anew = await pulled(url)

    assert status == 410
    for page in (on, anew):
        found = by_order(event["subject"] for event in page["events"])
        assert found == {n: [2] for n in range(ORDERS)}


async def test_a_changed_subscription_ends_its_streams(topics: KafkaSettings) -> None:
    """Coming again, the reader hears what is so now."""
    async with notifying(topics, stream()) as copy, served(copy) as url:
        async with following(url) as shown:
            await anext(shown)
            await SubscriptionStore(topics, SystemClock()).sync([])
            end = await last(shown)
        status, problem = await pulled(url, cursor=end.id)

    assert end.comment == "end: the subscription was changed"
    assert (status, problem["title"]) == (409, "Disabled")


async def test_a_revoked_key_ends_its_streams(topics: KafkaSettings) -> None:
    """Soon after, not when the connection happens to end."""
    clock = SystemClock()
    store, now = SubscriptionStore(topics, clock), clock.now()
    for name in ("kept", "revoked"):
        key, text = minted_key(name, "read", created_at=now, expires_at=None)
        await store.add_api_key(key)
    async with (
        notifying(topics, stream()) as copy,
        served(copy) as url,
        following(url, key=text) as shown,
    ):
        await anext(shown)
        await store.revoke_api_key(key.id)
        end = await last(shown)

    assert end.comment == "end: the API key is no longer good"


async def test_what_is_no_stream_is_not_read(topics: KafkaSettings) -> None:
    """Unknown: 404.  Of another channel: 409."""
    async with notifying(topics, stream("a", channel={"type": "log"})) as copy, served(copy) as url:
        assert (await pulled(url, "b"))[0] == await refused(url, "b") == 404
        assert (await pulled(url, "a"))[0] == await refused(url, "a") == 409


async def test_readers_are_bounded(topics: KafkaSettings) -> None:
    """Whoever finds no place is asked to come again; a place left is a place free."""
    async with notifying(topics, stream(), streams_max=1) as copy, served(copy) as url:
        async with following(url) as shown:
            await anext(shown)
            status, problem = await pulled(url)
        await until(lambda: is_read_by(url, 0))
        again, _ = await pulled(url)

    assert (status, problem["title"], again) == (503, "Too many readers", 200)


async def is_read_by(url: str, count: int) -> bool:
    return await readers(url) == count
