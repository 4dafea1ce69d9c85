"""Our code for a carrier by whatever a source calls it."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from services.normalizer.carriers import ALIASES, code_of
from services.normalizer.mapper import carrier


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("UPS", "ups"),
        (" u.p.s. ", "ups"),
        ("UPSN", "ups"),
        ("FDEG", "fedex"),
        ("FedEx Home-Delivery", "fedex"),
        ("ＤＨＬ", "dhl"),  # noqa: RUF001 - as a Chinese keyboard writes it
        ("DHL_eCommerce", "dhl_ecommerce"),
        ("顺丰速运", "sf_express"),
        ("順豐速運", "sf_express"),
        ("极兔", "j_and_t"),
        ("ODFL", "old_dominion"),
        ("Ana's bicycle", None),
        ("1Z999AA10123456784", None),
        ("", None),
        (None, None),
    ],
)
def test_case_punctuation_width_and_language_say_nothing(
    name: str | None, code: str | None
) -> None:
    """A name nobody knows has no code; a tracking number is no name."""
    assert code_of(name) == code


def test_every_name_stands_for_one_carrier() -> None:
    """However it is spelled; codes are our own, in small letters."""
    names = Counter(code_of(name) for names in ALIASES.values() for name in names)
    assert names == Counter({code: len(names) for code, names in ALIASES.items()})
    assert all(re.fullmatch(r"[a-z0-9_]+", code) and code_of(code) == code for code in ALIASES)


def test_the_source_s_own_words_stay_beside_the_code() -> None:
    """The name decides; a code is asked where the name is not known; unknown stays null."""
    known, by_code, unknown = carrier("FedEx ", "42"), carrier("Fast!", "UPSN"), carrier("Fast!")
    assert known is not None
    assert by_code is not None
    assert unknown is not None
    assert (known.code, known.name_raw, known.code_raw) == ("fedex", "FedEx", "42")
    assert (by_code.code, by_code.name_raw, by_code.code_raw) == ("ups", "Fast!", "UPSN")
    assert (unknown.code, unknown.name_raw) == (None, "Fast!")
    assert carrier(" ", None) is None
