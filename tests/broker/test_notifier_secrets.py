"""No secret of a subscription or of the API is ever shown: in logs, topics, metrics or answers."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import prometheus_client
import pytest

from bus.settings import KafkaSettings
from schemas.topics import TOPICS
from services.notifier.rotation import new_secret
from testbed.http import Request, Response, json_response, serving
from testbed.receiver import Receiver
from tests.broker.asking import asking, client_of, created, posting
from tests.broker.notifying import SECRET, accepted, attempts, emit, notifying, webhook
from tests.broker.reading import records, until
from tests.logged import logged

LIBRARIES = ("httpx2", "httpcore2", "asyncio")  # whose every word about requests is listened to


def shapes(secret: str) -> Iterator[str]:
    """The ways in which a secret could be shown."""
    bare = secret.removeprefix("whsec_")
    yield bare
    if secret.startswith("whsec_"):
        key = base64.b64decode(bare)
        yield from (key.hex(), repr(key)[2:-1], base64.urlsafe_b64encode(key).decode())


def mistakes(secret: str) -> list[dict[str, Any]]:
    """Requests to rotate that are refused, each with a secret in it."""
    return [
        {"secret": secret},  # to a subscription of the configuration
        {"secret": secret, "overlap_seconds": -1},
        {"secret": f"{secret}!"},
        {"secret": [secret]},
    ]


class Echo:
    """A receiver that answers with all that it was sent, with each status in its turn."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, request: Request) -> Response:
        self.count += 1
        statuses = (500, 302, 429, 400, 200)
        told = {"headers": request.headers, "body": request.body.decode()}
        return json_response(statuses[self.count % len(statuses)], told)


async def answers(client: httpx2.AsyncClient, names: list[str]) -> dict[str, str]:
    """Everything that may be read of these subscriptions."""
    paths = ["/status", "/api-keys", "/subscriptions", "/openapi.json"]
    for name in names:
        below = ("", "/deliveries", "/attempts", "/commands", "/dead-letters")
        paths += [f"/subscriptions/{name}{one}" for one in below]
    found = {path: await client.get(path) for path in paths}
    assert [path for path, answer in found.items() if answer.status_code != 200] == []
    return {path: f"{answer.headers} {answer.text}" for path, answer in found.items()}


async def topics_of(kafka: KafkaSettings) -> dict[str, str]:
    """Every key, value and header that was written."""
    return {
        topic.name: "".join(
            f"{record.key!r} {record.value!r} {record.headers!r}"
            for record in await records(kafka, topic)
        )
        for topic in TOPICS
    }


@pytest.fixture
def loud() -> Iterator[None]:
    """Libraries that say all they have to say."""
    loggers = [logging.getLogger(name) for name in LIBRARIES]
    before = [one.level for one in loggers]
    for one in loggers:
        one.setLevel(logging.DEBUG)
    yield
    for one, level in zip(loggers, before, strict=True):
        one.setLevel(level)


@pytest.mark.usefixtures("loud")
async def test_no_secret_is_ever_shown(
    topics: KafkaSettings, tmp_path: Path, sealing: dict[str, Any]
) -> None:
    """Signing secrets, an API key, the master key: by failing tries, by requests that are wrong."""
    given, echo = new_secret(), Echo()
    secrets = [(tmp_path / "master").read_text(), given]
    shown: dict[str, str] = {}
    with logged("notifier") as log:
        async with serving(echo) as url:
            entry = webhook("file", url, tmp_path)
            secrets.append((tmp_path / "secret").read_text())
            async with notifying(topics, entry, **sealing) as service, client_of(service) as client:
                wish = posting(url, start_from="earliest")
                made = await created(client, wish)
                wish["channel"]["secret"] = given
                names = ["file", made["id"], (await created(client, wish))["id"]]
                rotated = await client.post(f"/subscriptions/{made['id']}/rotate-secret", json={})
                secrets += [made["secret"], rotated.json()["secret"]]
                for number, bad in enumerate(mistakes(given)):
                    path = f"/subscriptions/{names[0]}/rotate-secret"
                    refused = await client.post(path, json=bad)
                    assert refused.is_client_error
                    shown[f"refused {number}"] = refused.text
                await client.post(f"/subscriptions/{made['id']}/ping")
                await emit(topics, range(3), 1)
                await until(lambda: logged_often(topics))
                key = await client.post("/api-keys", json={"name": "me", "scope": "admin"})
                secrets.append(key.json()["key"])
                client.headers["authorization"] = f"Bearer {secrets[-1]}"
                shown |= await answers(client, names)
                shown |= {"health": repr(service.health()), "settings": repr(service)}
    shown |= await topics_of(topics)
    shown |= {"log": log.getvalue(), "metrics": prometheus_client.generate_latest().decode()}

    assert "notifier.attempt_failed" in shown["log"]
    assert "send_request_headers" in shown["log"]
    assert "sealed:" in shown["subscriptions"]
    assert names[1] in shown["metrics"]
    for secret in secrets:
        assert len(secret) > 20
        for shape in shapes(secret):
            assert [name for name, text in shown.items() if shape in text] == []


async def logged_often(kafka: KafkaSettings) -> bool:
    """Whether each subscription was tried with each kind of answer."""
    outcomes = {(one.subscription, one.outcome) for one in await attempts(kafka)}
    return len(outcomes) >= 3 * len({"transient", "redirect", "busy", "rejected", "delivered"}) - 3


def taken(receiver: Receiver, count: int) -> Callable[[], bool]:
    return lambda: len(accepted(receiver)) == count


async def test_a_changed_master_key_seals_anew_and_the_old_one_may_go(
    topics: KafkaSettings, tmp_path: Path, sealing: dict[str, Any]
) -> None:
    """Three starts: the old key, both, the new one alone; the same secret signs all the time."""
    newer = tmp_path / "newer"
    newer.write_text(base64.b64encode(bytes([1]) * 32).decode())
    new, both = f"file:{newer}", [f"file:{newer}", sealing["master_key"]]
    receiver, wish = Receiver(SECRET), posting("", start_from="earliest")
    async with receiver.serve() as url:
        wish["channel"] |= {"url": url, "secret": SECRET}
        async with asking(topics, **sealing) as client:
            await created(client, wish)
            await emit(topics, [0], 1)
            await until(lambda: len(accepted(receiver)) == 1)
        for revision, master_key in ((2, both), (3, new)):
            async with notifying(topics, master_key=master_key):
                await emit(topics, [0], revision)
                await until(taken(receiver, revision))

    assert receiver.stats()["unverifiable"] == 0
    assert {one.outcome for one in await attempts(topics)} == {"delivered"}
