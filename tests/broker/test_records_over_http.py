"""The documents in tests/records over HTTP, through poller, normalizer and notifier at once.

One start of the three services, one account for each case: a scripted upstream shows the case's
records one after the other, the next one as soon as the one before is on raw.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from bus.admin import ensure_topics
from bus.clock import SystemClock
from bus.settings import KafkaSettings
from schemas.message import iso
from schemas.topics import DEAD_LETTERS, EVENTS, FULFILLMENTS, RAW
from services.poller.app import Poller
from services.poller.settings import PollerSettings
from services.poller.source import AccountSettings
from testbed.http import Request, Response, serving
from testbed.receiver import Receiver
from tests.broker.normalizing import normalizing, settled
from tests.broker.notifying import SECRET, notifying, webhook
from tests.broker.polling import account
from tests.broker.reading import records, until
from tests.corpus import Case, cases, difference, text_of

DAY = timedelta(days=1)
SHOWN_SECONDS_MAX = 100.0
DURATION_SECONDS_MAX = 3_600  # what takes longer needs a clock of its own, as in the unit test
KEYS: dict[str, dict[str, object]] = {
    "shoplazza": {"shop": "acme"},
    "tradecloud": {"username": "u", "role": "buyer", "streams": ["shipments"]},
}


class Script:
    """The upstream of one case: it shows the record that `place` stands at."""

    def __init__(self, case: Case, number: int) -> None:
        self.case = case
        self.name = f"case-{number}"
        self.place = 0

    def answer(self, path: str) -> Response:
        """Return a list of the one record, as the case's system spells it."""
        text = text_of(self.case.observations[self.place])
        if path.endswith("/authentication/login"):
            return Response(200, b"", {"Set-Authorization": "Bearer t", "Set-Refresh-Token": "r"})
        return Response(200, LISTS[self.case.source](self, path, text).encode())

    def settings(self, origin: str, start_from: datetime) -> AccountSettings:
        """Return the account that polls it."""
        return account(
            self.case.source,
            f"{origin}/{self.name}",
            name=self.name,
            **({} if self.case.source == "panora" else {"start_from": iso(start_from)}),
            poll_interval_seconds=0.2,
            poll_interval_seconds_max=0.2,
            **KEYS.get(self.case.source, {}),
        )


def _zentail(_script: Script, _path: str, text: str) -> str:
    return f'{{"results":[{text}],"pagination":{{"hasNext":false,"nextToken":null}}}}'


def _tradecloud(_script: Script, _path: str, text: str) -> str:
    return f'{{"data":[{text}],"total":1}}'


def _shoplazza(script: Script, path: str, text: str) -> str:
    """A touched order for each record that is to be read, and what was shipped of it."""
    if path.endswith("/fulfillments"):
        return f'{{"fulfillments":[{text}]}}'
    now = datetime.now(UTC)
    order = {"id": "o-1", "updated_at": iso(now), "touched": script.place}
    return json.dumps({"orders": [order]})


def _digital_river(_script: Script, _path: str, text: str) -> str:
    return f'{{"hasMore":false,"data":[{text}]}}'


def _panora(_script: Script, _path: str, text: str) -> str:
    return f'{{"data":[{text}],"next_cursor":null,"prev_cursor":null}}'


LISTS: dict[str, Callable[[Script, str, str], str]] = {
    "zentail": _zentail,
    "tradecloud": _tradecloud,
    "shoplazza": _shoplazza,
    "digital_river": _digital_river,
    "panora": _panora,
}


def scripts(now: datetime) -> list[Script]:
    """Return the upstream of every case that runs in real time, its first day being yesterday."""
    day = (now - DAY).date()
    played = [one.on(day) for one in cases() if one.lasts_seconds <= DURATION_SECONDS_MAX]
    return [Script(case, number) for number, case in enumerate(played)]


async def test_each_case_leads_to_its_events_over_http(
    settings: KafkaSettings, tmp_path: Path
) -> None:
    """State, events and deliveries of every case are those of its document."""
    now = datetime.now(UTC)
    played = {one.name: one for one in scripts(now)}
    await ensure_topics(settings, SystemClock())
    receiver = Receiver(SECRET)

    def answer(request: Request) -> Response:
        name = request.path.split("/")[1]
        return played[name].answer(request.path)

    async with serving(answer) as origin, receiver.serve() as url:
        everything = webhook("all", url, tmp_path, types=["*"], backfill=True)
        accounts = [one.settings(origin, now - 2 * DAY) for one in played.values()]
        fatal: list[BaseException] = []
        poller = Poller(settings, PollerSettings(), accounts, SystemClock(), fatal.append)
        async with normalizing(settings), notifying(settings, everything):
            await poller.start()
            await shown(settings, played)
            await poller.stop()
            await settled(settings)
            told = {ids(record)[1] for record in await records(settings, EVENTS)}
            with suppress(TimeoutError):  # what was not delivered is named below
                await until(lambda: told <= {one["webhook_id"] for one in receiver.records})
    assert fatal == []
    assert await faults(settings, played, receiver) == []


async def shown(settings: KafkaSettings, played: dict[str, Script]) -> None:
    """Move each case on when its record is on raw, until all are at their end."""
    counts: dict[str, int] = defaultdict(int)
    places = [
        TopicPartition(settings.topic(topic), number)
        for topic in (RAW, DEAD_LETTERS)
        for number in range(settings.partitions)
    ]
    consumer = AIOKafkaConsumer(
        **settings.client_args(), isolation_level="read_committed", auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        consumer.assign(places)

        async def moved() -> bool:
            for batch in (await consumer.getmany(timeout_ms=20)).values():
                for record in batch:
                    if record.topic == settings.topic(RAW):
                        counts[account_of(record)] += 1
            for name, script in played.items():
                script.place = min(counts[name], len(script.case.observations) - 1)
            return all(complete(script, counts[name]) for name, script in played.items())

        try:
            await until(moved, seconds=SHOWN_SECONDS_MAX)
        except TimeoutError:
            left = [one.case.id for name, one in played.items() if not complete(one, counts[name])]
            raise AssertionError(f"never on raw: {left}") from None
    finally:
        await consumer.stop()


def account_of(record: ConsumerRecord) -> str:
    """Return the account of a record's fulfillment key."""
    return str((record.key or b"").decode().split("/")[1])


def ids(record: ConsumerRecord) -> tuple[str, str]:
    """Return type and id of an event."""
    headers = dict(record.headers)
    return headers["ce_type"].decode(), headers["ce_id"].decode()


def complete(script: Script, count: int) -> bool:
    """Return whether so many records on raw are all of the case."""
    return count >= len(script.case.observations)


async def faults(
    settings: KafkaSettings, played: dict[str, Script], receiver: Receiver
) -> list[str]:
    """Return what is not as the documents say."""
    told: dict[str, list[str]] = defaultdict(list)
    undelivered: dict[str, list[str]] = defaultdict(list)
    delivered = {one["webhook_id"] for one in receiver.records}
    for record in await records(settings, EVENTS):
        name = account_of(record)
        kind, event_id = ids(record)
        told[name].append(kind)
        undelivered[name] += [] if event_id in delivered else [kind]
    states = {
        account_of(record): json.loads(record.value or b"null")
        for record in await records(settings, FULFILLMENTS)
    }
    found = []
    for name, script in played.items():
        case, last = script.case, script.case.observations[-1]
        if told[name] != case.events:
            found.append(f"{case.id}: expected {case.events}, found {told[name]}")
        found += [
            f"{case.id}: {one}" for one in difference(last.get("shows", {}), states.get(name))
        ]
        found += [f"{case.id}: {one} was not delivered" for one in undelivered[name]]
    return found
