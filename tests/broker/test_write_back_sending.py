"""`shipfeed write-backs send` and `settle`: looked at before, asked for again, said by hand."""

from __future__ import annotations

from pathlib import Path

from bus.clock import SystemClock
from bus.settings import KafkaSettings
from schemas.topics import WRITE_BACKS
from testbed.simulators.digital_river import TOKEN_DEFAULT, DigitalRiverSimulator
from tests.broker.command_line import command, objects
from tests.broker.reading import records
from tests.broker.shop import Shop
from tests.broker.writing_back import (
    back,
    become,
    emit,
    left,
    sold,
    target,
    writing_back,
    written_back,
)

CONFIG = """
[notifier]
allow_networks = ["127.0.0.0/8"]

[[targets]]
name = "shop"
system = "digital_river"
secret = "file:{secret}"
base_url = "{url}"

[[subscriptions]]
name = "back"
types = ["package.shipped"]
filters = [{{ not = {{ suffix = {{ subject = "_unwanted" }} }} }}]
channel = {{ type = "write_back", target = "shop" }}
"""


async def test_a_rehearsal_tells_what_would_be_sent_and_sends_nothing(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """Each event with its call, or why there would be none; no notifier has to run."""
    river = DigitalRiverSimulator(requests_per_second=10_000)
    for order, lines in {"1001": {"mug": 2, "pot": 1}, "1002": {"mug": 1}}.items():
        items = [{"id": f"{order}-{s}", "skuId": s, "quantity": n} for s, n in lines.items()]
        river.put_order({"id": f"o-{order}", "upstreamId": order, "items": items})
    twins = left("1001", "a", mug=2), left("1001", "b", mug=2)
    await emit(
        topics,
        *twins,
        left("1002", spoon=1),
        left("1003", mug=1),
        left("1002", "unwanted", mug=1),
    )
    secret = tmp_path / "key"
    secret.write_text(TOKEN_DEFAULT)
    async with river.serve() as url:
        shipfeed = command("write-backs", topics, tmp_path, CONFIG.format(url=url, secret=secret))
        arguments = ("send", "back", "--since", "earliest", "--dry-run")
        told = await shipfeed(*arguments, "--json")
        printed = await shipfeed(*arguments, "--count", "2")
        secret.write_text("another")
        unread = await shipfeed(*arguments)

    by_event = {one["event_id"]: one for one in objects(told)}
    assert (told.code, len(by_event)) == (0, 4), told.err
    first = min(one.id for one in twins)  # of one instant
    sent = by_event.pop(first)
    assert (sent["method"], sent["path"]) == ("POST", "/fulfillments")
    assert sent["body"]["items"] == [{"itemId": "1001-mug", "quantity": 2}]
    assert sent["body"]["metadata"] == {"shipfeed_event_id": first}
    assert {one["outcome"] for one in by_event.values()} == {"held"}
    says = " ".join(one["says"] for one in by_event.values())
    assert all(
        words in says for words in ("2 fulfilled", "SKU spoon is on none", "no order there has")
    )
    assert "4 match (the oldest 2; --count takes more)" in printed.out
    assert "nothing was sent or written" in printed.out
    assert unread.code == 1
    assert "could not be read" in unread.out
    assert "another" not in unread.out
    assert river.written()["fulfillments"] == []
    assert await records(topics, WRITE_BACKS) == []


async def test_what_left_before_is_written_back_once_it_is_asked_for(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """By the command line's own way, from an instant on; nobody else is asked."""
    shop = Shop(SystemClock())
    shop.sell("1001", mug=2)
    event = left("1001", mug=2)
    await emit(topics, event)
    shipfeed = command("write-backs", topics, tmp_path)
    before = await shipfeed("send", "back", "--since", "earliest")
    entry = back().model_copy(update={"start_from": "now"})
    async with writing_back(topics, entry, shops={"shop": shop}):
        asked = await shipfeed("send", "back", "--since", "2026-03-01T00:00:00Z")
        await become(topics, {event.id: "done"})

    assert before.code == 2
    assert "no notifier has run with the subscription 'back' yet" in before.err
    assert (asked.code, "asked by command" in asked.out) == (0, True)
    assert [one.event_id for one in shop.calls] == [event.id]


async def test_what_was_dealt_with_by_hand_is_settled_beside_its_owner(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """As what the target shows for the order, or by --nothing; any other id settles nothing."""
    river = DigitalRiverSimulator(requests_per_second=10_000)
    for number in ("1001", "1002"):
        river.put_order(sold(number, mug=3))
        parts = [{"itemId": f"{number}-mug", "skuId": "mug", "quantity": 1}]
        made = {"id": f"ful-{number}", "orderId": f"ord-{number}", "items": parts}
        river.put({**made, "createdTime": "2026-03-01T12:00:00Z"})
    secret = tmp_path / "key"
    secret.write_text(TOKEN_DEFAULT)
    odd, other, event = (
        left("1001", "a", spoon=1),
        left("1001", "b", fork=1),
        left("1001", "c", mug=2),
    )
    async with river.serve() as url:
        entry = target(system="digital_river", secret=f"file:{secret}", base_url=url)
        shipfeed = command("write-backs", topics, tmp_path, CONFIG.format(url=url, secret=secret))
        async with writing_back(topics, back(), targets=[entry]):
            await emit(topics, odd, other)
            await become(topics, {odd.id: "held", other.id: "held"})
            wrong = {
                name: await shipfeed("settle", odd.id, *arguments)
                for name, arguments in {
                    "word": ("--as", "nothing "),
                    "strange": ("--as", "ful-1002"),
                }.items()
            }
            untouched = await written_back(topics)
            became = await shipfeed("settle", odd.id, "--as", "ful-1001")
            nothing = await shipfeed("settle", other.id, "--nothing", "--json")
            await emit(topics, event)
            await become(topics, {odd.id: "done", other.id: "done", event.id: "done"})
            again = await shipfeed("settle", odd.id, "--as", "ful-1001")
    found = await written_back(topics)

    assert {ended.code for ended in wrong.values()} == {2}
    assert untouched[odd.id].state == "held"
    assert "target shop has no fulfillment 'nothing'" in wrong["word"].err
    assert "pass --nothing" in wrong["word"].err
    assert "ful-1002 is of order ord-1002, not of ord-1001" in wrong["strange"].err
    assert became.out == f"shop/1001/{odd.id}: done, as ful-1001\n"
    assert objects(nothing)[0]["fulfillment_id"] is None
    assert found[odd.id].fulfillment_id == "ful-1001"
    assert found[odd.id].reason == "settled by an operator"
    assert [one["orderId"] for one in river.captures] == ["ord-1001"]
    assert again.code == 2
    assert "is done, not held" in again.err
