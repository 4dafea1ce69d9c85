"""Keys name one thing, ids are minted from content."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schemas.cursor import cursor_key, mark_key
from schemas.delivery import delivery_key, position_key
from schemas.keys import fulfillment_key, joined, minted, slot_of, split
from schemas.message import digest


@given(st.lists(st.text(), min_size=1, max_size=5))
def test_a_key_gives_its_parts_back(parts: list[str]) -> None:
    """Whatever an upstream calls its records, slashes and percent signs included."""
    assert parts == split(joined(*parts))


def test_a_fulfillment_key_reads_as_a_path() -> None:
    """source/account/resource/upstream id, percent-encoded (design 2)."""
    assert "zentail/acme/orders/A%2F1" == fulfillment_key("zentail", "acme", "orders", "A/1")


def test_a_slot_does_not_depend_on_the_process() -> None:
    """crc32: a copy started tomorrow puts the account in the same slot."""
    assert 7 == slot_of("zentail", "acme", 8)
    assert {slot_of("zentail", f"a{n}", 8) for n in range(200)} == set(range(8))


def test_equal_content_mints_equal_ids() -> None:
    """A re-poll, a second poller or a replay gives the same id."""
    first = minted("evt", ["zentail/acme/orders/1", "pkg_a", "package.shipped", "once"])

    assert first == minted("evt", ["zentail/acme/orders/1", "pkg_a", "package.shipped", "once"])
    assert first != minted("evt", ["zentail/acme/orders/1", "pkg_b", "package.shipped", "once"])
    assert 36 == len(first)


@given(st.lists(st.text() | st.integers(0, 2**63) | st.none()))
def test_an_id_is_the_digest_of_the_canonical_json(identity: list[str | int | None]) -> None:
    """So that it can be computed by others; 32 hexadecimal digits of it."""
    assert f"evt_{digest(identity)[:32]}" == minted("evt", identity)


def test_records_of_one_topic_never_share_a_key() -> None:
    """Cursors and marks, deliveries and positions."""
    assert cursor_key("s", "a", "x") != mark_key("s", "a", "x", "")
    assert position_key("s") != delivery_key("s", "evt_1")
