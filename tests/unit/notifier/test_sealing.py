"""Secrets that may stand on Kafka."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.errors import BadConfig
from services.notifier.sealing import KEY_BYTES, Sealer, bound_to, is_sealed, master_key

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
SECRET = "whsec_" + base64.b64encode(bytes(range(64, 96))).decode()
ERP = bound_to("shipfeed", "erp")


@given(text=st.text(max_size=200), aad=st.text(max_size=50))
def test_what_is_sealed_opens_and_shows_nothing(text: str, aad: str) -> None:
    """Any text under any binding comes back, and the reference is plain ASCII."""
    sealer = Sealer([NEW])
    reference = sealer.seal(text, aad)

    assert sealer.open(reference, aad) == text
    assert is_sealed(reference)
    assert reference.isascii()
    assert reference.isprintable()


def test_a_secret_sealed_twice_looks_different() -> None:
    """A nonce of its own each time: equal secrets cannot be told."""
    sealer = Sealer([NEW])

    assert sealer.seal(SECRET, ERP) != sealer.seal(SECRET, ERP)
    assert SECRET not in sealer.seal(SECRET, ERP)


def test_a_reference_does_not_open_for_another_subscription() -> None:
    """Copied into another record, or onto another installation, it is worth nothing."""
    sealer = Sealer([NEW])
    reference = sealer.seal(SECRET, ERP)

    for other in (bound_to("shipfeed", "shop"), bound_to("stage", "erp"), ""):
        with pytest.raises(BadConfig, match="belongs to another subscription"):
            sealer.open(reference, other)


def test_bindings_of_different_owners_are_different() -> None:
    """The border between prefix and id is part of it."""
    assert bound_to("a", "b-c") != bound_to("a-b", "c")
    assert bound_to("a/b", "c") != bound_to("a", "b/c")


@pytest.mark.parametrize("place", range(12 + 16 + len(SECRET)))
def test_a_changed_byte_anywhere_is_noticed(place: int) -> None:
    """Nonce, text and tag are all authenticated."""
    sealer = Sealer([NEW])
    head, _, encoded = sealer.seal(SECRET, ERP).rpartition(":")
    raw = bytearray(base64.b64decode(encoded))
    raw[place] ^= 1

    with pytest.raises(BadConfig):
        sealer.open(f"{head}:{base64.b64encode(raw).decode()}", ERP)


def test_keys_are_rotated_the_first_seals_and_all_open() -> None:
    """What the old key sealed stays readable while that key is in the list, and is told apart."""
    before = Sealer([OLD]).seal(SECRET, ERP)
    rotating = Sealer([NEW, OLD])
    after = rotating.seal(SECRET, ERP)

    assert rotating.open(before, ERP) == rotating.open(after, ERP) == SECRET
    assert (rotating.is_current(before), rotating.is_current(after)) == (False, True)
    assert rotating.is_current("env:NAME")
    assert Sealer([NEW]).open(after, ERP) == SECRET
    with pytest.raises(BadConfig, match="add that key again"):
        Sealer([NEW]).open(before, ERP)


def test_without_a_master_key_nothing_is_sealed_or_opened() -> None:
    """The error says which setting is missing."""
    reference = Sealer([NEW]).seal(SECRET, ERP)

    with pytest.raises(BadConfig, match=r"\[notifier\] master_key"):
        Sealer().seal(SECRET, ERP)
    with pytest.raises(BadConfig, match=r"\[notifier\] master_key"):
        Sealer().open(reference, ERP)


@pytest.mark.parametrize(
    "reference",
    [
        *("", "sealed", "sealed:", "sealed::", "env:NAME"),
        *("sealed:{id}:", "sealed:{id}:!", "sealed:{id}:AAAA"),
    ],
)
def test_what_is_no_sealed_secret_is_an_error_of_the_configuration(reference: str) -> None:
    """Never another exception, whatever stands in the record."""
    sealer = Sealer([NEW])
    key_id = sealer.seal(SECRET, ERP).split(":")[1]

    with pytest.raises(BadConfig):
        sealer.open(reference.format(id=key_id), ERP)


def test_a_master_key_is_32_bytes_in_base64() -> None:
    """Anything else is refused, and not repeated."""
    assert master_key(base64.b64encode(NEW).decode()) == NEW
    for bad in ("not base64!", base64.b64encode(NEW[:-1]).decode(), "é", ""):
        with pytest.raises(ValueError, match="openssl rand") as caught:
            master_key(bad)
        assert not bad or bad not in str(caught.value)


def test_neither_sealer_nor_error_shows_a_key() -> None:
    """A key is named by a hash of it."""
    sealer = Sealer([NEW])
    with pytest.raises(BadConfig) as caught:
        sealer.open(Sealer([OLD]).seal(SECRET, ERP), ERP)

    for key in (OLD, NEW):
        for shape in (base64.b64encode(key).decode(), key.hex(), repr(key)):
            assert shape not in f"{sealer!r} {vars(sealer)!r} {caught.value}"
    assert len(NEW) == KEY_BYTES
