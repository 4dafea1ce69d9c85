"""The notifier on a real Kafka among receivers of every bad habit, over days: nothing is lost."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

from bus.settings import KafkaSettings
from schemas.dead_letter import DeadLetter
from schemas.topics import DEAD_LETTERS
from services.notifier.app import Notifier
from services.notifier.settings import RETRY_SCHEDULE_SECONDS
from services.notifier.settlement import SUBSCRIPTION_HEADER
from tests.broker import unruly
from tests.broker.leaping import LeapingClock, pass_time, unfinished
from tests.broker.notifying import by_order, emit, notifying, shipped, webhook
from tests.broker.reading import records, until
from tests.broker.unruly import HOUR, Unruly, answer
from tests.certificates import Authority

ORDERS, REVISIONS = range(4), (1, 2)
WISHED = {shipped(order, revision).id for order in ORDERS for revision in REVISIONS}
DEAD = 9 * HOUR
REBOUND = range(1, 5)  # hours
METADATA = "169.254.169.254"
# The real schedule of 75 h; what a single try may take goes by the machine's own time.
DAYS: dict[str, Any] = {
    "retry_schedule_seconds": RETRY_SCHEDULE_SECONDS,
    "total_timeout_seconds": 2.0,
    "probe_seconds_max": 0.05,
}

HABITS: dict[str, Callable[[timedelta, int], bytes]] = {
    "well": unruly.well,
    "slow-loris": unruly.slow_loris,
    "redirect-loop": unruly.redirect_loop,
    "gzip-bomb": unruly.gzip_bomb,
    "reset-after-commit": unruly.reset_after_commit,
    "huge-headers": unruly.huge_headers,
    "flapping": unruly.flapping,
    "refusing": unruly.refusing,
    "dns-flip": unruly.well,
    "tls-wrong-name": unruly.well,
    "dead-for-hours": unruly.well,
}
NEVER_ANSWERED = {"tls-wrong-name"}  # down for good: held, since no event is to blame
NEVER_DELIVERED = {"redirect-loop", "refusing"} | NEVER_ANSWERED


def names_of(clock: LeapingClock) -> Callable[..., list[Any]]:
    """A name server: every name is this machine, but `dns-flip` leads inside for some hours."""

    def look_up(host: str, port: int, *_: Any) -> list[Any]:
        flipped = host == "dns-flip.example" and int(clock.passed / HOUR) in REBOUND
        address = METADATA if flipped else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    return look_up


def first_receipt(receiver: Unruly, event_id: str) -> timedelta:
    return min(one.after for one in receiver.receipts if one.id == event_id)


async def set_aside(kafka: KafkaSettings) -> dict[str, dict[str, str]]:
    """Why, by subscription and id of its event."""
    found: dict[str, dict[str, str]] = {name: {} for name in HABITS}
    for record in await records(kafka, DEAD_LETTERS):
        headers = dict(record.headers)
        letter = DeadLetter.read(headers)
        subscription = headers[SUBSCRIPTION_HEADER].decode()
        found[subscription][headers["ce_id"].decode()] = letter.reason
    return found


async def test_over_days_each_event_is_delivered_or_set_aside_for_each_subscription(
    settings: KafkaSettings, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Lost: 0.  Order within each lane is kept, repeats have one id, nobody waits for another."""
    kafka = settings.model_copy(update={"partitions": 1})
    clock, authority = LeapingClock(), Authority.at(tmp_path)
    receivers = {name: Unruly(habit, clock) for name, habit in HABITS.items()}
    dead = receivers["dead-for-hours"]
    async with AsyncExitStack() as stack:
        entries = []
        closed = stack.enter_context(socket.socket())
        closed.bind(("127.0.0.1", 0))
        for name, receiver in receivers.items():
            tls = authority.server("other.example") if name == "tls-wrong-name" else None
            port = closed.getsockname()[1]
            if receiver is not dead:
                port = await stack.enter_async_context(receiver.serve(tls))
            url = f"http{'s' if tls else ''}://{name}.example:{port}/"
            entries.append(webhook(name, url, tmp_path))
        names, ca_file = names_of(clock), str(authority.ca_file)
        service = await stack.enter_async_context(
            notifying(kafka, *entries, clock=clock, look_up=names, ca_file=ca_file, **DAYS)
        )
        for revision in REVISIONS:
            await emit(kafka, ORDERS, revision)
        await until(lambda: all_begun(kafka))
        await pass_time(kafka, clock, until=DEAD)
        await stack.enter_async_context(dead.serve(held=closed))
        await pass_time(kafka, clock, standing=lambda: standing(service))
        stood = standing(service)
    letters, waiting = await set_aside(kafka), (await unfinished(kafka)).values()

    for name, receiver in receivers.items():
        delivered = {one.id for one in receiver.receipts if one.accepted}
        aside = set(letters[name])
        kept = {one.event_id for one in waiting if one.subscription == name and name in stood}
        lost = WISHED - delivered - aside - kept
        assert (name, lost) == (name, set())
        assert (name, bool(aside)) == (name, name in NEVER_DELIVERED - NEVER_ANSWERED)
        assert (name, bool(kept)) <= (name, name in NEVER_DELIVERED)
        assert all(revisions == [1, 2] for revisions in by_order(receiver.accepted()).values())
        assert len({one.id for one in receiver.receipts}) in (0, len(WISHED))
        title = "hostile receivers: 8 events each"
        for column, count in (
            ("delivered", len(delivered)),
            ("set aside", len(aside)),
            ("held", len(kept)),
            ("receipts", len(receiver.receipts)),
            ("lost", len(lost)),
        ):
            record_property("figures", [title, column, name, str(count)])
    firsts = {shipped(order, 1).id for order in ORDERS}
    assert max(first_receipt(receivers["well"], one) for one in firsts) < HOUR
    assert min(one.after for one in dead.receipts) > DEAD


def standing(service: Notifier) -> dict[str, str]:
    """Subscriptions that the notifier left alone after five days, and says so."""
    found = service.health()["held"]
    assert isinstance(found, dict)
    return found


async def all_begun(kafka: KafkaSettings) -> bool:
    """Whether every event is fanned out to those who take nothing."""
    found = [delivery.subscription for delivery in (await unfinished(kafka)).values()]
    return all(found.count(name) == len(WISHED) for name in NEVER_DELIVERED)


async def test_retry_after_is_obeyed_for_a_day(settings: KafkaSettings, tmp_path: Path) -> None:
    """One 429 that asks for 30 h: nothing at all for 24 h, then everything, and no try is spent."""
    kafka, clock = settings.model_copy(update={"partitions": 1}), LeapingClock()
    busy = answer(429, "retry-after: 108000")

    def once(after: timedelta, _: int) -> bytes:
        return busy if after < 23 * HOUR else unruly.OK

    receiver = Unruly(once, clock)
    async with receiver.serve() as port:
        entry = webhook("busy", f"http://127.0.0.1:{port}/", tmp_path)
        patient = {**DAYS, "total_timeout_seconds": 60.0}
        async with notifying(kafka, entry, clock=clock, **patient) as service:
            await emit(kafka, [0], 1)
            await until(lambda: service.health()["held_events"] == {"busy": {"paused": 1}})
            await emit(kafka, range(1, 5), 1)
            await until(lambda: service.health()["held_events"] == {"busy": {"paused": 5}})
            (first,) = receiver.receipts
            clock.leap_to(clock.now() + 23 * HOUR)
            await asyncio.sleep(1)  # long enough for a look at what is due
            clock.leap_to(clock.now() + HOUR)
            await until(lambda: len(receiver.accepted()) == 5)

    assert all(one.after - first.after >= 24 * HOUR for one in receiver.receipts[1:])
    assert len(receiver.receipts) == 6
