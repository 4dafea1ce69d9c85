"""Status words as vendors write them: the documented ones in a table, whatever their spelling.

`SHIPPED`, `Shipped` and `shipped ` are one word, and so are `PARTIALLY_SHIPPED` and
`Partially Shipped`.  `tests/unit/normalizer/test_statuses.py` is the table of it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Generic, TypeVar

WORDS_CACHED_MAX = 1_000

S = TypeVar("S")

_NOT_IN_WORDS = re.compile(r"[\W_]+")


class Statuses(Generic[S]):
    """A vendor's documented status words, each with what it means."""

    def __init__(self, documented: Mapping[str, S]) -> None:
        self._meanings = {plain(word): meaning for word, meaning in documented.items()}

    def get(self, word: str | None) -> S | None:
        """Return what a word means; None for one that is not documented, or for none."""
        return self._meanings.get(plain(word)) if word else None

    def __contains__(self, word: object) -> bool:
        return isinstance(word, str) and plain(word) in self._meanings


@lru_cache(maxsize=WORDS_CACHED_MAX)
def plain(word: str) -> str:
    """Return the word for comparing: no case, no width, no spaces, hyphens or underscores."""
    return _NOT_IN_WORDS.sub("", unicodedata.normalize("NFKC", word)).casefold()
