"""Resume cursors of streams: how far a subscriber has come, opaque to it and MACed.  Pure.

A cursor is the next offset of every partition of events.  It is bound to one subscription, so
that it opens no other, nor a later one of the same name.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from schemas.message import iso
from schemas.subscription import Subscription

VERSION = b"\x01"
MAC_BYTES = 16
CURSOR_LENGTH_MAX = 32 * 1024  # characters; 1,024 partitions take half of it

Offsets = Mapping[int, int]


class BadCursor(ValueError):
    """Not one of ours for this subscription."""


class Cursors:
    """Writes with the first key, reads with any: keys change while subscribers keep cursors.

    Each is derived from one of `masters` for this use and this topic prefix alone (HKDF, RFC
    5869): what else is done with a master key has nothing to do with it.
    """

    def __init__(self, masters: Sequence[bytes], prefix: str) -> None:
        info = f"shipfeed resume cursor {prefix}".encode()
        self._keys = [HKDF(SHA256(), 32, salt=None, info=info).derive(one) for one in masters]

    def write(self, subscription: Subscription, offsets: Offsets) -> str:
        """One line of URL-safe characters; `offsets` has every partition from 0 on."""
        numbers = ",".join(f"{offsets[number]:x}" for number in range(len(offsets))).encode()
        mac = _mac(self._keys[0], subscription, numbers)
        return base64.urlsafe_b64encode(VERSION + mac + numbers).rstrip(b"=").decode()

    def read(self, subscription: Subscription, cursor: str) -> dict[int, int]:
        """The offsets.  Raises BadCursor; its text does not repeat what was sent."""
        if len(cursor) > CURSOR_LENGTH_MAX:
            raise BadCursor(f"a cursor has at most {CURSOR_LENGTH_MAX} characters")
        try:
            whole = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadCursor("this is no cursor: copy the last one whole") from error
        mac, numbers = whole[1 : 1 + MAC_BYTES], whole[1 + MAC_BYTES :]
        if whole[:1] != VERSION or not any(
            hmac.compare_digest(mac, _mac(key, subscription, numbers)) for key in self._keys
        ):
            raise BadCursor(
                f"this cursor was not made for subscription {subscription.id} as it is now: use "
                "the last one that it gave, or none to begin anew"
            )
        return {number: int(text, 16) for number, text in enumerate(numbers.split(b","))}


def _mac(key: bytes, subscription: Subscription, numbers: bytes) -> bytes:
    bound = f"{subscription.id}\n{iso(subscription.created_at)}\n".encode()
    return hmac.digest(key, VERSION + bound + numbers, "sha256")[:MAC_BYTES]
