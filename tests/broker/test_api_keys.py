"""Who the notifier's API lets in, over real HTTP."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest

from bus.clock import SystemClock
from bus.settings import KafkaSettings
from schemas.api_key import ApiKey, Scope
from schemas.topics import SUBSCRIPTIONS
from services.notifier.api_keys import minted_key
from services.notifier.subscriptions import SubscriptionStore
from tests.broker.asking import asking, client_of, problem, with_key
from tests.broker.notifying import notifying
from tests.broker.reading import records, until

WISH = {"name": "ops", "scope": "admin"}


async def a_key(
    kafka: KafkaSettings, scope: Scope = "admin", *, lives: timedelta | None = None
) -> tuple[ApiKey, str]:
    """Made beside the service, as the command line does."""
    now = SystemClock().now()
    expires_at = now + lives if lives is not None else None
    key, text = minted_key("ops", scope, created_at=now, expires_at=expires_at)
    await SubscriptionStore(kafka, SystemClock()).add_api_key(key)
    return key, text


async def test_this_machine_is_let_in_until_there_is_a_key(topics: KafkaSettings) -> None:
    """Then it needs one, too, over every copy, until the last is revoked by force."""
    async with (
        notifying(topics) as one,
        notifying(topics) as two,
        client_of(one) as here,
        client_of(two) as there,
    ):
        made = await here.post("/api-keys", json=WISH)
        key = made.json()
        assert made.status_code == 201

        for copy in (here, there):
            assert "an API key is needed" in problem(await copy.get("/api-keys"), 401)
            listed = await copy.get("/api-keys", headers=with_key(key["key"]))
            assert [entry["id"] for entry in listed.json()["api_keys"]] == [key["id"]]
            assert key["key"] not in listed.text

        path = f"/api-keys/{key['id']}"
        kept = await there.delete(path, headers=with_key(key["key"]))
        assert "?force=true" in problem(kept, 409)
        gone = await there.delete(f"{path}?force=true", headers=with_key(key["key"]))
        assert gone.status_code == 204
        assert (await there.get("/api-keys")).json() == {"api_keys": []}

        async def let_in() -> bool:
            return (await here.get("/api-keys")).status_code == 200

        await until(let_in)


async def test_a_key_that_was_revoked_opens_nothing_on_any_copy(topics: KafkaSettings) -> None:
    """Not even in the moment after."""
    _, kept = await a_key(topics)
    key, text = await a_key(topics)
    async with (
        notifying(topics) as one,
        notifying(topics) as two,
        client_of(one) as here,
        client_of(two) as there,
    ):
        assert (await there.get("/status", headers=with_key(text))).status_code == 200
        await here.delete(f"/api-keys/{key.id}", headers=with_key(kept))
        assert "revoked" in problem(await there.get("/status", headers=with_key(text)), 401)
        again = await there.delete(f"/api-keys/{key.id}", headers=with_key(kept))
        assert key.id in problem(again, 404)


async def test_an_expired_key_opens_nothing_and_keeps_the_door_shut(topics: KafkaSettings) -> None:
    """An installation does not become open because nobody renewed its key."""
    key, text = await a_key(topics, lives=timedelta(seconds=-1))
    async with asking(topics) as client:
        refused = await client.get("/status", headers=with_key(text))
        assert key.id in problem(refused, 401)
        assert refused.headers["www-authenticate"] == "Bearer"
        problem(await client.get("/status"), 401)


async def test_a_reading_key_reads_and_changes_nothing(topics: KafkaSettings) -> None:
    """GET alone, whatever the route."""
    _, text = await a_key(topics, "read")
    async with asking(topics) as client:
        headers = with_key(text)
        assert (await client.get("/status", headers=headers)).status_code == 200
        before = await records(topics, SUBSCRIPTIONS)
        for method, path in [
            ("POST", "/api-keys"),
            ("DELETE", "/api-keys/000000000000"),
            ("POST", "/subscriptions"),
            ("PATCH", "/subscriptions/erp"),
        ]:
            refused = await client.request(method, path, headers=headers, json=WISH)
            assert "may read only" in problem(refused, 403)
    assert await records(topics, SUBSCRIPTIONS) == before


@pytest.mark.parametrize("made_of", ["nothing", "cut", "other id", "other secret", "a book"])
async def test_what_is_no_key_opens_nothing(made_of: str, topics: KafkaSettings) -> None:
    """Not a part of one, nor one put together from two."""
    key, text = await a_key(topics)
    other, other_text = await a_key(topics)
    tokens = {
        "nothing": "-",
        "cut": text[:-1],
        "other id": text.replace(key.id, other.id),
        "other secret": f"sfk_{key.id}_{other_text.split('_', 2)[2]}",
        "a book": "x" * 5000,
    }
    async with asking(topics) as client:
        problem(await client.get("/status", headers=with_key(tokens[made_of])), 401)
        problem(await client.get("/nowhere", headers=with_key(tokens[made_of])), 401)
        problem(await client.get("/no%0Awhere", headers=with_key(tokens[made_of])), 401)
        problem(await client.get("/openapi.json", headers=with_key(tokens[made_of])), 401)


async def test_without_a_key_nobody_asks_through_this_machine(topics: KafkaSettings) -> None:
    """Over real HTTP: neither a page of another origin, nor a proxy, nor a tunnel's other port."""
    async with asking(topics) as client:
        port = client.base_url.port
        for headers in (
            {"sec-fetch-site": "cross-site"},
            {"via": "1.1 edge"},
            {"host": "localhost:1"},
        ):
            assert "api-keys create" in problem(await client.get("/status", headers=headers), 403)
        assert (await client.get("/status", headers={"host": f"localhost:{port}"})).is_success
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET /v1/status HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
    assert b" 403 " in answer.splitlines()[0]
    assert b"HTTP/1.0 is what proxies speak" in answer


async def test_a_copy_bound_elsewhere_refuses_all_until_there_is_a_key(
    topics: KafkaSettings,
) -> None:
    """Also what comes from this machine: a proxy may stand there."""
    async with asking(topics, http_host="0.0.0.0") as client:
        assert "listens on 0.0.0.0" in problem(await client.get("/status"), 403)
        _, text = await a_key(topics)
        assert (await client.get("/status", headers=with_key(text))).status_code == 200


async def test_a_secret_is_nowhere_but_in_the_answer_that_made_it(topics: KafkaSettings) -> None:
    """The topic has its hash."""
    async with asking(topics) as client:
        key = (await client.post("/api-keys", json={**WISH, "expires_in_days": 1})).json()
    (record,) = [
        one for one in await records(topics, SUBSCRIPTIONS) if one.key.startswith(b"api-key/")
    ]
    secret = key["key"].split("_", 2)[2]

    assert secret.encode() not in record.value
    assert json.loads(record.value)["expires_at"] == key["expires_at"]


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (b"[" * 40_000, 400, "nests at most"),
        (b'{"name": "' + b"x" * 70_000 + b'"}', 413, "at most 65536 bytes"),
        (b"{", 422, "JSON"),
        (b'{"name": "ops", "scope": "canary-value"}', 422, "scope"),
        (b'{"name": "\\ud800", "scope": "admin"}', 422, "name"),
    ],
    ids=["deep", "large", "cut", "wrong", "surrogate"],
)
async def test_a_body_that_cannot_be_taken_is_refused_without_being_told(
    body: bytes, status: int, detail: str, topics: KafkaSettings
) -> None:
    """What was sent may be secret: the answer names the place alone."""
    async with asking(topics) as client:
        headers = {"content-type": "application/json"}
        refused = await client.post("/api-keys", content=body, headers=headers)
        assert detail in problem(refused, status)
        assert "canary-value" not in refused.text
