"""Standard Webhooks signatures, scheme v1: HMAC-SHA256 over `id.timestamp.body`.

While a secret is being replaced, each message is signed with the old one, too: a receiver needs one
signature that it can verify.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable

SECRET_PREFIX = "whsec_"  # noqa: S105 - the scheme's name, not a secret
KEY_BYTES_MIN = 24
KEY_BYTES_MAX = 64


def signing_key(secret: str) -> bytes:
    """The key in `whsec_<base64>`, padding optional.  Raises ValueError."""
    encoded = secret.removeprefix(SECRET_PREFIX).rstrip("=")
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("the secret is not whsec_ and base64") from error
    if not KEY_BYTES_MIN <= len(key) <= KEY_BYTES_MAX:
        raise ValueError(
            f"the secret has {len(key)} bytes, between {KEY_BYTES_MIN} and {KEY_BYTES_MAX} are "
            "needed: make one of 32 random bytes"
        )
    return key


def signed_headers(
    keys: Iterable[bytes], event_id: str, timestamp: int, body: bytes
) -> dict[str, str]:
    """The three headers for exactly these bytes; `timestamp` in seconds since 1970.

    One signature for each key, in their order.
    """
    signed = f"{event_id}.{timestamp}.".encode() + body
    digests = (hmac.digest(key, signed, hashlib.sha256) for key in keys)
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{base64.b64encode(one).decode()}" for one in digests),
    }
