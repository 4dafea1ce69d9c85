"""Signing secrets as they may stand on Kafka: `sealed:<key id>:<base64>`, AES-256-GCM.

What is sealed is bound to its subscription: copied to another record, it does not open.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bus.errors import BadConfig
from schemas.keys import joined

SCHEME = "sealed"
KEY_BYTES = 32
KEYS_MAX = 5
NONCE_BYTES = 12  # random: good for 2^32 secrets under one key
KEY_ID_LENGTH = 8  # hex characters
ADVICE = 'make one with `openssl rand -base64 32` and set [notifier] master_key = "env:NAME"'


class Sealer:
    """Seals under the first of `keys`, opens what any of them sealed; with none it does neither."""

    def __init__(self, keys: Sequence[bytes] = ()) -> None:
        self._newest = _key_id(keys[0]) if keys else ""
        self._ciphers = {_key_id(key): AESGCM(key) for key in keys}

    def seal(self, text: str, aad: str) -> str:
        """A reference to `text` that opens with the same `aad` alone.  Raises BadConfig."""
        cipher = self._ciphers.get(self._newest)
        if cipher is None:
            raise BadConfig(f"a secret cannot be kept without a master key: {ADVICE}")
        nonce = os.urandom(NONCE_BYTES)
        sealed = nonce + cipher.encrypt(nonce, text.encode(), aad.encode())
        return f"{SCHEME}:{self._newest}:{base64.b64encode(sealed).decode()}"

    def open(self, reference: str, aad: str) -> str:
        """What was sealed.  Raises BadConfig: no such key, or not sealed with this `aad`."""
        scheme, _, rest = reference.partition(":")
        key_id, _, encoded = rest.partition(":")
        cipher = self._ciphers.get(key_id)
        if scheme != SCHEME:
            raise BadConfig(f"{aad}: not a sealed secret; one begins with {SCHEME}:")
        if cipher is None:
            raise BadConfig(
                f"{aad}: its secret is sealed under the master key {key_id}, which is not among "
                f"[notifier] master_key ({', '.join(self._ciphers) or 'none'}): add that key again"
            )
        try:
            sealed = base64.b64decode(encoded, validate=True)
            text = cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], aad.encode())
        except (binascii.Error, ValueError, InvalidTag) as error:
            raise BadConfig(
                f"{aad}: its sealed secret was changed or belongs to another subscription: "
                "rotate the secret"
            ) from error
        return text.decode()

    def is_current(self, reference: str) -> bool:
        """Whether it is not sealed at all, or under the newest key."""
        return not is_sealed(reference) or reference.startswith(f"{SCHEME}:{self._newest}:")


def is_sealed(reference: str) -> bool:
    """Whether a reference holds its secret, instead of saying where it is."""
    return reference.startswith(f"{SCHEME}:")


def bound_to(prefix: str, subscription: str) -> str:
    """The `aad` of a subscription's secrets: whose they are, on which installation."""
    return joined(prefix, subscription)


def master_key(text: str) -> bytes:
    """The key in base64.  Raises ValueError, without the text."""
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"the master key is not base64: {ADVICE}") from error
    if len(key) != KEY_BYTES:
        raise ValueError(f"the master key has {len(key)} bytes, not {KEY_BYTES}: {ADVICE}")
    return key


def _key_id(key: bytes) -> str:
    """Names a key without telling anything of it."""
    return hashlib.sha256(b"shipfeed master key" + key).hexdigest()[:KEY_ID_LENGTH]
