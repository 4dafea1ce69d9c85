"""What is refused before a route, and what errors look like; without Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette

from bus.clock import SystemClock
from bus.errors import Fenced, Misuse
from bus.settings import KafkaSettings
from schemas.api_key import ApiKey
from schemas.subscription import StreamChannel, Subscription
from services.notifier.api.app import mounted
from services.notifier.api.auth import check_local
from services.notifier.api.changing import changed
from services.notifier.api.context import Context
from services.notifier.api.problems import Problem
from services.notifier.api.wishes import ChangedSubscription
from services.notifier.api_keys import minted_key
from services.notifier.app import surroundings_of
from services.notifier.endpoints import Endpoints
from services.notifier.settings import NotifierSettings
from services.notifier.subscriptions import SubscriptionStore
from tests.broker.asking import problem, with_key

CLOCK = SystemClock()
KAFKA = KafkaSettings(bootstrap_servers="127.0.0.1:1")
KEY, TEXT = minted_key("ops", "admin", created_at=CLOCK.now(), expires_at=None)
LATE, LATE_TEXT = minted_key("late", "admin", created_at=CLOCK.now(), expires_at=None)


class Here(Endpoints):
    """Knows `keys`, and `later` ones once Kafka was asked; `looks` counts how often it was."""

    def __init__(self, keys: Sequence[ApiKey] = (), later: Sequence[ApiKey] = ()) -> None:
        super().__init__(KAFKA, SubscriptionStore(KAFKA, CLOCK), CLOCK, lambda _: None)
        self.keys, self.later = list(keys), list(later)
        self.looks = self.at_once = self.at_once_max = 0
        self.fault: Exception | None = None

    async def current(self) -> None:
        """Ask Kafka."""
        self.looks += 1
        self.at_once += 1
        self.at_once_max = max(self.at_once_max, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        self.keys += [one for one in self.later if one not in self.keys]
        if self.fault is not None:
            raise self.fault

    def api_keys(self) -> list[ApiKey]:
        """As far as they are known."""
        return list(self.keys)


class Fought(SubscriptionStore):
    """Others write all the time."""

    async def create(self, _: Any) -> None:
        """Raises Fenced."""
        raise Fenced("a newer owner writes")

    async def update(self, *_: Any, **__: Any) -> Any:
        """Raises Fenced."""
        raise Fenced("a newer owner writes")


@asynccontextmanager
async def asking(
    endpoints: Here, http_host: str = "127.0.0.1", *, client: str = "127.0.0.1"
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of one copy that listens on port 8080."""
    settings = NotifierSettings(http_host=http_host)
    context = Context(
        kafka=KAFKA,
        settings=settings,
        store=Fought(KAFKA, CLOCK),
        endpoints=endpoints,
        surroundings=surroundings_of(KAFKA, settings, CLOCK),
        clock=CLOCK,
        owned=dict,
        held=dict,
        standing=dict,
        stopping=asyncio.Event(),
    )
    transport = httpx2.ASGITransport(Starlette(routes=[mounted(context)]), client=(client, 5))
    base = "http://127.0.0.1:8080/v1"
    async with httpx2.AsyncClient(transport=transport, base_url=base) as asked:
        yield asked


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"host": "shop.example:8080"}, "Host header must name this machine"),
        ({"host": "127.0.0.1.shop.example:8080"}, "Host header must name this machine"),
        ({"host": "[::1"}, "Host header must name this machine"),
        ({"host": ""}, "Host header must name this machine"),
        ({"host": "localhost:9000"}, "must name port 8080, where this copy listens, not 9000"),
        ({"host": "localhost"}, "must name port 8080, where this copy listens, not 80"),
        ({"origin": "https://shop.example"}, "another origin"),
        ({"origin": "null"}, "another origin"),
        ({"origin": "http://localhost:3000"}, "another origin"),
        ({"origin": "http://127.0.0.1"}, "another origin"),
        ({"origin": "https://127.0.0.1:8080"}, "another origin"),
        ({"sec-fetch-site": "cross-site"}, "Sec-Fetch-Site: cross-site"),
        ({"sec-fetch-site": "same-site"}, "Sec-Fetch-Site: same-site"),
        *(
            ({name: "127.0.0.1"}, name)
            for name in (
                "forwarded",
                "via",
                "x-forwarded-for",
                "x-forwarded-proto",
                "x-forwarded-prefix",
                "x-real-ip",
                "x-client-ip",
                "x-original-forwarded-for",
                "x-envoy-external-address",
                "true-client-ip",
                "cf-connecting-ip",
                "fly-client-ip",
                "x-amzn-trace-id",
            )
        ),
    ],
    ids=str,
)
async def test_without_a_key_only_what_began_on_this_machine_is_let_in(
    headers: dict[str, str], why: str
) -> None:
    """Not another site's page, not a local page of another port, not what was forwarded."""
    here = Here()
    async with asking(here) as client:
        refused = problem(await client.get("/status", headers=headers), 403)
        assert why in refused
        assert "api-keys create" in refused
        assert here.looks == 0


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"host": "localhost:8080"},
        {"host": "[::1]:8080"},
        {"origin": "http://127.0.0.1:8080", "sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
    ],
    ids=str,
)
async def test_without_a_key_this_machine_is_let_in(headers: dict[str, str]) -> None:
    """By any of its names, also from the address bar of a browser."""
    async with asking(Here()) as client:
        assert (await client.get("/api-keys", headers=headers)).status_code == 200


async def test_without_a_key_http_1_0_is_a_proxy() -> None:
    """nginx's plain proxy_pass adds no header, but this is what it spoke up to 1.29.6."""
    scope = {"type": "http", "http_version": "1.0", "client": ("127.0.0.1", 5), "headers": []}
    with pytest.raises(Problem, match=r"HTTP/1\.0 is what proxies speak"):
        check_local("127.0.0.1", scope)


async def test_kafka_is_not_asked_for_who_is_not_let_in() -> None:
    """What this copy knows suffices; whoever is let in is judged by the newest."""
    for here, host, headers in (
        (Here([KEY]), "0.0.0.0", {}),
        (Here([KEY]), "0.0.0.0", with_key(TEXT + "x")),
        (Here([KEY]), "0.0.0.0", with_key("nonsense")),
        (Here(), "0.0.0.0", {}),
    ):
        async with asking(here, host) as client:
            assert (await client.get("/status", headers=headers)).status_code in (401, 403)
        assert here.looks == 0
    known = Here([KEY])
    async with asking(known, "0.0.0.0") as client:
        assert (await client.get("/api-keys", headers=with_key(TEXT))).status_code == 200
    assert known.looks == 1


async def test_a_key_that_another_copy_made_opens_at_once() -> None:
    """An unknown key is worth a look at Kafka, but not many looks at once."""
    here = Here([KEY], later=[LATE])
    async with asking(here, "0.0.0.0") as client:
        assert (await client.get("/api-keys", headers=with_key(LATE_TEXT))).status_code == 200
        made_up = [f"sfk_{number:012x}_secret" for number in range(5)]
        answers = [client.get("/api-keys", headers=with_key(one)) for one in made_up]
        assert [one.status_code for one in await asyncio.gather(*answers)] == [401] * 5
    assert here.at_once_max == 1


async def test_every_wrong_method_is_told_the_right_ones() -> None:
    """Of its path, over all routes that have it."""
    async with asking(Here()) as client:
        paths = (await client.get("/openapi.json")).json()["paths"]
        for path, operations in paths.items():
            allowed = sorted(method.upper() for method in operations)
            refused = await client.request("TRACE", path.replace("{", "").replace("}", ""))
            assert refused.headers["allow"] == ", ".join(allowed), path
            assert refused.headers["allow"] in problem(refused, 405)


async def test_an_error_of_ours_is_a_problem_without_its_text() -> None:
    """Whatever it was, it stands in the log alone."""
    here = Here()
    here.fault = ZeroDivisionError("canary-value")
    async with asking(here) as client:
        answer = await client.get("/status")
    assert "notifier.api_failed" in problem(answer, 500)
    assert "canary-value" not in answer.text
    assert answer.headers["cache-control"] == "no-store"


async def test_a_write_that_others_overtook_may_be_tried_again() -> None:
    """503, when to try again, whether the request had a condition or none."""
    wish = {"types": ["package.*"], "channel": {"type": "log"}}
    async with asking(Here()) as client:
        for answer in (
            await client.post("/subscriptions/erp/enable"),
            await client.post("/subscriptions/erp/enable", headers={"if-match": '"3"'}),
            await client.patch("/subscriptions/erp", json=wish, headers={"if-match": '"3"'}),
        ):
            assert "a newer owner writes" in problem(answer, 503)
            assert answer.headers["retry-after"] == "1"


async def test_a_setting_that_would_do_nothing_is_refused_over_http() -> None:
    """When a subscription is made and when it is changed, with the channels that have it."""
    wish = {"types": ["package.*"], "channel": {"type": "stream"}, "rate_per_second": 5}
    async with asking(Here()) as client:
        told = problem(await client.post("/subscriptions", json=wish), 409)
    assert told.startswith("rate_per_second does nothing with a channel of type stream")
    assert told.endswith("log, webhook")

    stream = Subscription(
        id="sub-1",
        types=("package.*",),
        channel=StreamChannel(),
        start_offsets={},
        origin="api",
        created_at=CLOCK.now(),
    )
    revise = changed(ChangedSubscription(order="unordered"))
    with pytest.raises(Misuse, match="order does nothing with a channel of type stream"):
        revise(stream)
    assert changed(ChangedSubscription(echo=True))(stream).echo
