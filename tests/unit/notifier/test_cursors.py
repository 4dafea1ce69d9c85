"""Resume cursors: what is written is read again, and nothing else is."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.subscription import StreamChannel, Subscription
from services.notifier.cursors import CURSOR_LENGTH_MAX, BadCursor, Cursors

CREATED_AT = datetime(2026, 1, 1, tzinfo=UTC)
OLD, NEW = b"o" * 32, b"n" * 32
OFFSETS = {0: 7, 1: 0, 2: 2**40}


def stream(name: str = "erp", created_at: datetime = CREATED_AT) -> Subscription:
    return Subscription(
        id=name,
        types=("*",),
        channel=StreamChannel(),
        start_offsets={},
        created_at=created_at,
    )


@given(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=64))
def test_offsets_come_back_as_they_went(offsets: list[int]) -> None:
    """Of any number of partitions, in characters that a URL and a header take as they are."""
    cursors = Cursors([NEW], "shipfeed")

    cursor = cursors.write(stream(), dict(enumerate(offsets)))

    assert cursors.read(stream(), cursor) == dict(enumerate(offsets))
    assert cursor.replace("-", "").replace("_", "").isalnum()


def test_the_most_partitions_there_can_be_fit() -> None:
    """1,024 of them, each far into its life."""
    cursors, offsets = Cursors([NEW], "shipfeed"), dict.fromkeys(range(1024), 2**44)

    assert cursors.read(stream(), cursors.write(stream(), offsets)) == offsets


@pytest.mark.parametrize(
    "other",
    [stream("wms"), stream(created_at=CREATED_AT + timedelta(seconds=1))],
    ids=["of another", "of an earlier one of that name"],
)
def test_a_foreign_cursor_is_refused(other: Subscription) -> None:
    """It opens only the subscription it was made for."""
    cursors = Cursors([NEW], "shipfeed")
    cursor = cursors.write(other, OFFSETS)

    with pytest.raises(BadCursor, match="not made for subscription erp"):
        cursors.read(stream(), cursor)


def test_every_changed_bit_is_noticed() -> None:
    """In the version, the MAC and the offsets."""
    cursors = Cursors([NEW], "shipfeed")
    cursor = cursors.write(stream(), OFFSETS)
    whole = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))

    for bit in range(len(whole) * 8):
        forged = bytearray(whole)
        forged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BadCursor):
            cursors.read(stream(), base64.urlsafe_b64encode(forged).decode())


@pytest.mark.parametrize(
    "text",
    ["", "x", "é", "a b", "AQ", "AQ==\r\nid: 1", "0" * (CURSOR_LENGTH_MAX + 1)],
    ids=["empty", "cut", "letters", "a space", "the version alone", "two lines", "long"],
)
def test_what_is_no_cursor_is_refused(text: str) -> None:
    """Whatever a header or a query may bring."""
    with pytest.raises(BadCursor):
        Cursors([NEW], "shipfeed").read(stream(), text)


def test_a_new_master_key_keeps_the_old_cursors_good() -> None:
    """The newest writes, all read; once the old one is gone, its cursors are."""
    old = Cursors([OLD], "shipfeed").write(stream(), OFFSETS)
    both = Cursors([NEW, OLD], "shipfeed")

    assert both.read(stream(), old) == OFFSETS
    assert Cursors([NEW], "shipfeed").read(stream(), both.write(stream(), OFFSETS)) == OFFSETS
    with pytest.raises(BadCursor):
        Cursors([NEW], "shipfeed").read(stream(), old)


def test_feeds_under_one_master_key_know_nothing_of_each_other() -> None:
    """Test and production may share the key, not the cursors."""
    cursor = Cursors([NEW], "test").write(stream(), OFFSETS)

    with pytest.raises(BadCursor):
        Cursors([NEW], "shipfeed").read(stream(), cursor)
