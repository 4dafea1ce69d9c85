"""A subscription's signing secrets: made, and replaced with an overlap.  Pure but for chance."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from bus.errors import Misuse
from schemas.message import iso
from schemas.subscription import SigningSecret
from services.notifier.signing import SECRET_PREFIX

SECRET_BYTES = 32
LIVE_MAX = 3
OVERLAP_SECONDS = 24 * 3600
OVERLAP_SECONDS_MAX = 7 * 24 * 3600


def new_secret() -> str:
    """`whsec_` and 32 random bytes in base64, as Standard Webhooks asks."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def rotated(
    before: Sequence[SigningSecret], reference: str, now: datetime, overlap_seconds: int
) -> tuple[SigningSecret, ...]:
    """The new one first; those before it sign `overlap_seconds` more at most, or no more at once.

    Raises Misuse when more than `LIVE_MAX` would be in force.
    """
    limit = now + timedelta(seconds=overlap_seconds)
    ends = [limit if one.until is None else min(one.until, limit) for one in before]
    kept = [
        one.model_copy(update={"until": end})
        for one, end in zip(before, ends, strict=True)
        if end > now
    ]
    if len(kept) >= LIVE_MAX:
        first = min(end for end in ends if end > now)
        raise Misuse(
            f"{LIVE_MAX} secrets are in force already, the first of them until {iso(first)}: "
            "rotate after that, or with overlap_seconds 0, which ends all of them"
        )
    return (SigningSecret(reference=reference), *kept)
