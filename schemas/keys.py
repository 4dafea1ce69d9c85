"""How records are keyed: `source/account/resource/upstream id`, parts percent-encoded."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from urllib.parse import quote as percent_encoded
from urllib.parse import unquote

import msgspec

ID_DIGITS = 32  # hexadecimal, 128 bits of a sha256


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
    """`prefix_` + the first 32 hexadecimal digits of a sha256: the same `identity`, the same id.

    Over the canonical JSON of the list (`message.canonical_json`), which msgspec spells the same.
    """
    return f"{prefix}_{sha256(_encode(identity)).hexdigest()[:ID_DIGITS]}"


_encode = msgspec.json.Encoder().encode
