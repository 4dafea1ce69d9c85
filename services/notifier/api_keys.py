"""API keys: made once, kept as a hash, recognized in constant time."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from datetime import datetime

from schemas.api_key import ApiKey, Scope

TOKEN_PREFIX = "sfk"  # noqa: S105 - begins every key, so that one is known where it leaks
ID_BYTES = 6
SECRET_BYTES = 32
TOKEN_LENGTH_MAX = 200
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9 ._@-]{0,63}$"
DAYS_MAX = 3650
KEYS_MAX = 200
_ID = re.compile(rf"[0-9a-f]{{{2 * ID_BYTES}}}")


def minted_key(
    name: str, scope: Scope, *, created_at: datetime, expires_at: datetime | None
) -> tuple[ApiKey, str]:
    """A new key and its text, `sfk_<id>_<secret>`, which nobody can get back from the record."""
    key_id, secret = secrets.token_hex(ID_BYTES), secrets.token_urlsafe(SECRET_BYTES)
    key = ApiKey(
        id=key_id,
        name=name,
        scope=scope,
        sha256=_hash(secret),
        created_at=created_at,
        expires_at=expires_at,
    )
    return key, f"{TOKEN_PREFIX}_{key_id}_{secret}"


def recognized(token: str, known: Iterable[ApiKey]) -> ApiKey | None:
    """The key that this is the text of, expired or not.

    The id finds it, the secret is compared in constant time, also where there is no such id.
    """
    prefix, key_id, secret = _parts(token)
    found = next((key for key in known if key.id == key_id), None)
    expected = found.sha256 if found else _hash("")
    is_same = hmac.compare_digest(_hash(secret), expected)
    return found if is_same and prefix == TOKEN_PREFIX and secret else None


def has_unknown_id(token: str, known: Iterable[ApiKey]) -> bool:
    """Whether it looks like a key that is not among those known."""
    prefix, key_id, secret = _parts(token)
    looks_like_one = prefix == TOKEN_PREFIX and _ID.fullmatch(key_id) and secret
    return bool(looks_like_one) and all(key.id != key_id for key in known)


def loses_admin(revoked: ApiKey, known: Iterable[ApiKey], now: datetime) -> bool:
    """Whether without this key nobody may change anything, or this machine needs no key again."""
    left = [key for key in known if key.id != revoked.id]
    if any(key.scope == "admin" and not expired(key, now) for key in left):
        return False
    return not left or (revoked.scope == "admin" and not expired(revoked, now))


def expired(key: ApiKey, now: datetime) -> bool:
    """Whether its time is over."""
    return key.expires_at is not None and key.expires_at <= now


def _parts(token: str) -> tuple[str, str, str]:
    """Prefix, id and secret; what is missing is empty."""
    prefix, _, rest = token[:TOKEN_LENGTH_MAX].partition("_")
    key_id, _, secret = rest.partition("_")
    return prefix, key_id, secret


def _hash(secret: str) -> str:
    """Of 256 random bits: nothing slower is needed to keep them."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()
