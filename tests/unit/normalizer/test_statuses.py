"""The table of status words in other spellings."""

from __future__ import annotations

import pytest

from services.normalizer.mapper import Reading
from services.normalizer.statuses import Statuses

KNOWN = Statuses({"PARTIALLY_SHIPPED": "partly", "SHIPPED": "all"})


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        ("SHIPPED", "all"),
        ("Shipped", "all"),
        (" shipped ", "all"),
        ("partially_shipped", "partly"),
        ("Partially Shipped", "partly"),
        ("PARTIALLY-SHIPPED", "partly"),
        ("partiallyShipped", "partly"),
        ("ON_ITS_WAY", None),
        ("", None),
        (None, None),
    ],
)
def test_a_word_is_the_same_in_every_spelling(word: str | None, meaning: str | None) -> None:
    """Case, spaces, hyphens and underscores make no other word."""
    assert meaning == KNOWN.get(word)


def test_an_unknown_word_is_counted_by_its_name() -> None:
    """What looks like no word is counted without it, since it labels a metric."""
    read = Reading()

    for word in ("SHIPPED", "ON_ITS_WAY", "<script>", 7):
        read.status(word, KNOWN, "status")

    assert read.degraded == ("status.onitsway", "status.script", "status")
