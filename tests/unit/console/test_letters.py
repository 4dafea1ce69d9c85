"""Which dead letters are meant, and which records can go their way again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiokafka import ConsumerRecord

from bus.dead_letters import set_aside
from bus.errors import Misuse
from bus.settings import KafkaSettings
from console.letters import Filter, Letter, again, place_of
from schemas.dead_letter import DeadLetter
from schemas.raw import Provenance
from schemas.topics import RECORD_BYTES_MAX

KAFKA = KafkaSettings(prefix="t")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = "zentail/acme/orders/7"
OWN = Provenance(
    source="zentail",
    account="acme",
    resource="orders",
    stream="head",
    upstream_id="7",
    observed_at=NOON,
).headers()


def letter(
    *,
    service: str = "normalizer",
    key: str = KEY,
    value: bytes = b"{}",
    headers: Any = OWN,
    **why: Any,
) -> Letter:
    """As it is read from partition 3, offset 17."""
    told = DeadLetter(service=service, source="zentail", at=NOON, **{"reason": "no", **why})
    record = set_aside(KAFKA, told, key, value, partition=3, headers=headers)
    return Letter.of(
        ConsumerRecord(
            topic=record.topic,
            partition=record.partition,
            offset=17,
            timestamp=0,
            timestamp_type=0,
            key=record.key.encode(),
            value=record.value,
            checksum=None,
            serialized_key_size=0,
            serialized_value_size=0,
            headers=tuple(record.headers),
        )
    )


@pytest.mark.parametrize("service", ["normalizer", "poller"])
def test_a_record_goes_back_as_it_was_into_the_partition_it_came_from(service: str) -> None:
    """Key, value and headers; one more header says from which letter."""
    record = again(KAFKA, letter(service=service, value=b'{"a": 1.0}'))

    assert (record.topic, record.partition, record.key) == ("t.raw", 3, KEY)
    assert record.value == b'{"a": 1.0}'
    assert record.headers == [*OWN, ("shipfeed-redrive", b"t.dead-letters/3/17")]


def test_a_record_that_failed_again_names_its_last_letter_only() -> None:
    """The letter before it named the one before that."""
    headers = [*OWN, ("shipfeed-redrive", b"t.dead-letters/3/9"), ("shipfeed-remap", b"t.raw/3/1")]
    record = again(KAFKA, letter(headers=headers))

    assert record.headers == [*OWN, ("shipfeed-redrive", b"t.dead-letters/3/17")]


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        ({"service": "notifier"}, "dead-letters show 3/17"),
        ({"value": b"a" * RECORD_BYTES_MAX}, f"packages refresh {KEY}"),
        ({"service": "poller", "headers": ()}, f"packages refresh {KEY}"),
        ({"service": "poller", "headers": (), "key": "zentail/acme/orders/"}, "no id"),
    ],
)
def test_what_cannot_go_back_is_refused_with_what_to_do(shown: Any, words: str) -> None:
    """No event, a head without its body, an answer in place of a record, a record without an id."""
    with pytest.raises(Misuse, match=words):
        again(KAFKA, letter(**shown))


def test_letters_are_chosen_by_reason_source_service_and_time() -> None:
    """All that is asked for must hold; a span of time includes its beginning only."""
    why = letter(reason="Object missing field `tracking`").why
    later = NOON + timedelta(seconds=1)
    takes = [
        Filter(),
        Filter(reason="MISSING", source="zentail", service="normalizer", since=NOON, until=later),
    ]
    leaves = [
        Filter(reason="wrong"),
        Filter(source="panora"),
        Filter(service="poller"),
        Filter(since=later),
        Filter(until=NOON),
        Filter(reason="missing", source="panora"),
    ]

    assert all(one.takes(why) for one in takes)
    assert not any(one.takes(why) for one in leaves)


@pytest.mark.parametrize("text", ["3", "3/", "/17", "t/3/17", "-1/2", "3/x"])
def test_a_place_is_partition_and_offset(text: str) -> None:
    """Anything else is refused with an example."""
    assert place_of("3/17") == (3, 17)
    with pytest.raises(Misuse, match="PARTITION/OFFSET"):
        place_of(text)
