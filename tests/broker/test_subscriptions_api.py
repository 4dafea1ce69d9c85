"""Subscriptions over real HTTP: made, read, changed and removed, over whichever copy."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bus.settings import KafkaSettings
from schemas.topics import SUBSCRIPTIONS
from services.notifier.subscriptions import GONE_FROM_FILE
from tests.broker.asking import LOG, asking, client_of, created, posting, problem
from tests.broker.notifying import emit, notifying, webhook


async def test_what_is_created_over_one_copy_is_known_to_every_other(
    topics: KafkaSettings,
) -> None:
    """Read your own writes: at once, by id and in the list, and until it is deleted."""
    async with (
        notifying(topics) as one,
        notifying(topics) as two,
        client_of(one) as here,
        client_of(two) as there,
    ):
        for number in range(3):
            found = await created(here, {**LOG, "description": str(number)})
            path = f"/subscriptions/{found['id']}"
            got = await there.get(path)
            assert got.json() == {key: found[key] for key in found if key != "secret"}
            assert got.headers["etag"] == '"1"'

            changed = await there.patch(path, json={"backfill": True}, headers={"if-match": '"1"'})
            assert (await here.get(path)).json() == changed.json()
            assert changed.json()["revision"] == 2

            assert (await here.delete(path)).status_code == 204
            assert found["id"] in problem(await there.get(path), 404)
            assert (await there.get("/subscriptions")).json()["subscriptions"] == []


async def test_of_two_changes_over_two_copies_one_wins(topics: KafkaSettings) -> None:
    """Each time: one 200, one 412, and what stands there is what the winner was told."""
    async with (
        notifying(topics) as one,
        notifying(topics) as two,
        client_of(one) as here,
        client_of(two) as there,
    ):
        path = f"/subscriptions/{(await created(here, LOG))['id']}"
        for revision in range(1, 6):
            condition = {"if-match": f'"{revision}"'}
            mine, other = {"description": f"a {revision}"}, {"description": f"b {revision}"}
            answers = await asyncio.gather(
                here.patch(path, json=mine, headers=condition),
                there.put(path, json={**LOG, **other}, headers=condition),
            )
            assert sorted(answer.status_code for answer in answers) == [200, 412]
            (won,) = (answer for answer in answers if answer.status_code == 200)
            assert (await here.get(path)).json() == won.json()
            assert won.headers["etag"] == f'"{revision + 1}"'


async def test_a_change_needs_the_etag_of_what_it_changes(topics: KafkaSettings) -> None:
    """None: 428; an older one, or what is none: 412; any will do when it says so."""
    async with asking(topics) as client:
        path = f"/subscriptions/{(await created(client, LOG))['id']}"
        for method in ("PATCH", "PUT"):
            body = LOG if method == "PUT" else {}
            assert "If-Match" in problem(await client.request(method, path, json=body), 428)
            for wrong in ('"2"', 'W/"1"', "1", '"1", "2"'):
                condition = {"if-match": wrong}
                problem(await client.request(method, path, json=body, headers=condition), 412)
        problem(await client.delete(path, headers={"if-match": '"2"'}), 412)
        same = await client.put(path, json=LOG, headers={"if-match": "*"})
        assert (same.status_code, same.headers["etag"]) == (200, '"1"')


async def test_put_says_all_anew_and_patch_what_it_names(
    topics: KafkaSettings, sealing: dict[str, Any]
) -> None:
    """A webhook keeps its secrets through both; its channel keeps its type."""
    async with asking(topics, **sealing) as client:
        wish = posting("https://a.example/", description="a", rate_per_second=5, order="unordered")
        found = await created(client, wish)
        path, any_one = f"/subscriptions/{found['id']}", {"if-match": "*"}

        channel = {"type": "webhook", "url": "https://b.example/", "content": "plain"}
        patched = await client.patch(path, json={"channel": channel}, headers=any_one)
        assert patched.json()["channel"] == {**channel, "secrets": [{"until": None}]}
        assert patched.json()["description"] == "a"

        put = await client.put(path, json=posting("https://c.example/"), headers=any_one)
        assert put.json()["channel"]["secrets"] == [{"until": None}]
        left_out = ("description", "rate_per_second", "order")
        assert [put.json()[name] for name in left_out] == ["", None, "ordered"]
        assert put.json()["start_offsets"] == found["start_offsets"]

        log = await client.patch(path, json={"channel": {"type": "log"}}, headers=any_one)
        assert "create one of type log" in problem(log, 409)


async def test_a_list_comes_in_pages(topics: KafkaSettings) -> None:
    """Each subscription once, by id, whatever the size of a page."""
    async with asking(topics) as client:
        ids = sorted([(await created(client, LOG))["id"] for _ in range(5)])
        for limit in (1, 2, 5):
            found: list[str] = []
            after: dict[str, str] = {}
            while True:
                page = (await client.get("/subscriptions", params={"limit": limit, **after})).json()
                found += [one["id"] for one in page["subscriptions"]]
                if page["next"] is None:
                    break
                after = {"after": page["next"]}
            assert found == ids
        problem(await client.get("/subscriptions", params={"limit": 0}), 422)


async def test_now_earliest_and_an_instant_are_where_it_begins(topics: KafkaSettings) -> None:
    """Fixed as offsets by the copy that makes it."""
    await emit(topics, range(12), 1)
    async with asking(topics) as client:
        begins = {
            start: (await created(client, {**LOG, "start_from": start}))["start_offsets"]
            for start in ("now", "earliest", "1969-01-01T00:00:00Z", "2999-01-01T00:00:00Z")
        }
    numbers = {str(number) for number in range(topics.partition_count(SUBSCRIPTIONS))}
    assert all(numbers <= set(offsets) for offsets in begins.values())
    assert set(begins["earliest"].values()) == {0}
    assert begins["1969-01-01T00:00:00Z"] == begins["earliest"]
    assert sum(begins["now"].values()) >= 12
    assert begins["2999-01-01T00:00:00Z"] == begins["now"]


async def test_what_the_file_says_is_read_here_and_changed_there(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """409 says where; an operator may disable and enable it, and a restart changes neither."""
    entry = webhook("erp", "http://127.0.0.1:9/", tmp_path)
    path, condition = "/subscriptions/erp", {"if-match": "*"}
    async with asking(topics, entry) as client:
        shown = (await client.get(path)).json()
        assert (shown["origin"], shown["channel"]["secrets"]) == ("config", [{"until": None}])
        for refused in (
            await client.patch(path, json={"backfill": True}, headers=condition),
            await client.put(path, json=posting("http://127.0.0.1:9/"), headers=condition),
            await client.post(f"{path}/rotate-secret", json={}),
            await client.delete(path),
        ):
            assert "configuration" in problem(refused, 409)
        assert (await client.post(f"{path}/disable", json={})).status_code == 200
    async with asking(topics, entry) as client:
        assert (await client.get(path)).json()["enabled"] is False
        assert (await client.post(f"{path}/enable")).json()["enabled"] is True
    async with asking(topics) as client:
        assert GONE_FROM_FILE in problem(await client.post(f"{path}/enable"), 409)
        assert (await client.delete(path)).status_code == 204
        problem(await client.get(path), 404)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"types": ["package.shiped"]}, "body.types.0"),
        ({"types": []}, "body.types"),
        ({"channel": {"type": "mail"}}, "body.channel"),
        ({"channel": {"type": "log", "url": "x"}}, "body.channel.log.url"),
        ({"channel": {"type": "webhook", "url": "ftp://a.example/"}}, "body.channel.webhook.url"),
        ({"channel": {"type": "webhook", "url": "http://a:b@c.example/"}}, "channel.webhook.url"),
        ({"channel": {"type": "webhook", "url": "http://2130706433/"}}, "channel.webhook.url"),
        ({"channel": {"type": "write_back", "target": "x"}}, "made in the configuration alone"),
        ({"start_from": "yesterday"}, "body.start_from"),
        ({"concurrency": "5"}, "body.concurrency"),
        ({"rate_per_second": 0}, "body.rate_per_second"),
        ({"description": "a\nb"}, "body.description"),
        ({"id": "mine"}, "body.id"),
    ],
    ids=str,
)
async def test_a_wish_that_cannot_be_is_refused_by_its_path(
    change: dict[str, Any], path: str, topics: KafkaSettings
) -> None:
    """The answer names the member and what it may be, or where it belongs."""
    async with asking(topics) as client:
        refused = await client.post("/subscriptions", json={**LOG, **change})
        assert path in problem(refused, 422)
        assert refused.json()["errors"]


async def test_our_own_topics_are_no_place_for_a_subscriber(topics: KafkaSettings) -> None:
    """What subscribers are told would be taken for what we know."""
    async with asking(topics) as client:
        wish = {**LOG, "channel": {"type": "topic", "topic": topics.topic(SUBSCRIPTIONS)}}
        problem(await client.post("/subscriptions", json=wish), 409)
