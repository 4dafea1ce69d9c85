"""A record set aside: whole with its own headers, or its head and digest where that is too much."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime

from bus.dead_letters import set_aside
from bus.settings import KafkaSettings
from schemas.dead_letter import DeadLetter, originals
from schemas.topics import RECORD_BYTES_MAX

KAFKA = KafkaSettings(prefix="t")
LETTER = DeadLetter(service="normalizer", reason="no", at=datetime(2026, 3, 1, tzinfo=UTC))


def test_a_letter_holds_the_record_and_its_headers_untouched() -> None:
    """What it says itself stands beside them and reads back as it was."""
    own = [("shipfeed-source", b"zentail"), ("x", b"\xff"), ("x", b"2")]
    record = set_aside(KAFKA, LETTER, "k", b"\x00{", partition=3, headers=own)

    assert (record.value, record.partition) == (b"\x00{", 3)
    assert originals(record.headers) == own
    assert DeadLetter.read(dict(record.headers)) == LETTER
    assert LETTER.whole


def test_an_older_letters_words_do_not_pass_for_its_own() -> None:
    """A record from elsewhere may carry headers named like a letter's."""
    record = set_aside(KAFKA, LETTER, "k", b"{}", headers=[("shipfeed-dead-reason", b"lie")])

    assert DeadLetter.read(dict(record.headers)).reason == "no"


def test_what_is_too_large_leaves_its_head_and_says_so() -> None:
    """The headers stay, unless they are what is too large."""
    value, own = b"a" * RECORD_BYTES_MAX, [("shipfeed-source", b"zentail")]
    record = set_aside(KAFKA, LETTER, "k", value, headers=own)
    pointer = json.loads(record.value or b"")

    assert record.bytes_on_wire <= RECORD_BYTES_MAX
    assert pointer["sha256"] == hashlib.sha256(value).hexdigest()
    assert pointer["size_bytes"] == len(value)
    assert not DeadLetter.read(dict(record.headers)).whole
    assert originals(record.headers) == own

    huge = set_aside(KAFKA, LETTER, "k", b"{}", headers=[("x", value)])
    assert huge.bytes_on_wire <= RECORD_BYTES_MAX
    assert originals(huge.headers) == []
    assert not DeadLetter.read(dict(huge.headers)).whole
