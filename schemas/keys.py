"""How records are keyed: `source/account/resource/upstream id`, parts percent-encoded."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from json.encoder import encode_basestring as quote
from urllib.parse import quote as percent_encoded
from urllib.parse import unquote

# Every pair of base32 digits, in order: what ten bits stand for.
_PAIRS = tuple(map("".join, product("abcdefghijklmnopqrstuvwxyz234567", repeat=2)))
_PLACES = range(120, -1, -10)


def joined(*parts: str) -> str:
    """Parts percent-encoded and joined by "/"; `split` gives them back."""
    return "/".join([quoted(part) for part in parts])


def quoted(part: str) -> str:
    """One part of a key, percent-encoded; most need no encoding."""
    return part if part.isalnum() and part.isascii() else _quoted(part)


@lru_cache(maxsize=10_000)
def _quoted(part: str) -> str:
    """Parts repeat a lot, and quoting them was a tenth of a normalizer's work."""
    return percent_encoded(part, safe="")


def split(key: str) -> list[str]:
    """The parts of a key made by `joined`."""
    return [unquote(part) for part in key.split("/")]


def fulfillment_key(source: str, account: str, resource: str, upstream_id: str) -> str:
    """The key of one upstream record on every topic that speaks of it (design 2)."""
    return _folder(source, account, resource) + quoted(upstream_id)


@lru_cache(maxsize=10_000)
def _folder(source: str, account: str, resource: str) -> str:
    return joined(source, account, resource, "")


def slot_of(source: str, account: str, slots: int) -> int:
    """The slot, 0 <= n < slots, an account's streams run in: crc32, never Python's `hash`."""
    return zlib.crc32(f"{source}/{account}".encode()) % slots


def minted(prefix: str, identity: Sequence[str | int | None]) -> str:
    """`prefix_` + 26 base32 characters of a sha256: the same `identity`, the same id.

    Over the canonical JSON of the list (`message.canonical_json`), spelled and put into base32 by
    hand: there are some for each new package, and the library takes four times as long.
    """
    words = ",".join([quote(p) if isinstance(p, str) else _plain(p) for p in identity])
    n = int.from_bytes(hashlib.sha256(f"[{words}]".encode()).digest()[:17]) >> 6
    return f"{prefix}_" + "".join([_PAIRS[n >> place & 1023] for place in _PLACES])


def _plain(part: int | None) -> str:
    return "null" if part is None else str(int(part))
