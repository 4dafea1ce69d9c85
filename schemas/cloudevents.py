"""How an event becomes a CloudEvent on Kafka: its id, its sequence, its headers (binary mode)."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

import msgspec

from schemas.keys import joined, minted
from schemas.message import iso

SPEC_VERSION = b"1.0"
CONTENT_TYPE = b"application/json"
REVISION_DIGITS = 10
INDEX_DIGITS = 4
_SEQUENCE = f"%0{REVISION_DIGITS}d.%0{INDEX_DIGITS}d"


class Shared(msgspec.Struct, frozen=True, gc=False):
    """What the envelopes of all events of one observation have in common."""

    source: bytes
    time: bytes
    key: bytes

    @classmethod
    def of(cls, key: str, source: str, account: str, time: datetime) -> Shared:
        """Of the events of the fulfillment `key`; `time` is when it was observed."""
        return cls(_source(source, account), iso(time).encode(), key.encode())

    def headers(
        self, kind: str, event_id: str, subject: str, sequence: str
    ) -> list[tuple[str, bytes]]:
        """Kafka headers of one of them: the context attributes, then the content type."""
        return [
            ("ce_specversion", SPEC_VERSION),
            ("ce_id", event_id.encode()),
            ("ce_source", self.source),
            ("ce_type", kind.encode()),
            ("ce_subject", subject.encode()),
            ("ce_time", self.time),
            ("ce_dataschema", dataschema(kind)),
            ("ce_partitionkey", self.key),
            ("ce_sequence", sequence.encode()),
            ("content-type", CONTENT_TYPE),
        ]


def dataschema(kind: str) -> bytes:
    """`$id` of the published schema of the value."""
    return f"urn:shipfeed:v1:{kind}".encode()


def event_id(key: str, package_id: str | None, kind: str, discriminator: str | int) -> str:
    """Return the id of a fact about a package, or the fulfillment `key` itself.

    `discriminator` is a constant for what happens once; for what may happen again it is made of
    the revision, the change and the source's version.
    """
    return minted("evt", [key, package_id, kind, discriminator])


@lru_cache(maxsize=10_000)
def sequence(revision: int, index: int) -> str:
    """Zero-padded fulfillment revision + index: "0000000003.0001" sorts as text."""
    return _SEQUENCE % (revision, index)


@lru_cache(maxsize=10_000)
def _source(source: str, account: str) -> bytes:
    return b"/" + joined(source, account).encode()
