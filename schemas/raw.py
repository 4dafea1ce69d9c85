"""A raw record's provenance: the `shipfeed-*` headers beside the upstream's verbatim bytes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import msgspec

from schemas.keys import fulfillment_key
from schemas.message import Headers, iso, parse_instant

NO_OPTIONS: frozenset[str] = frozenset()

# What an operator has put on raw again says where it was taken from: `topic/partition/offset`.
REMAP_HEADER = "shipfeed-remap"
REDRIVE_HEADER = "shipfeed-redrive"


@dataclass(frozen=True, slots=True)
class Heading:
    """What the headers of many records have in common: all but id and trace."""

    before: tuple[tuple[str, bytes], ...]
    between: tuple[tuple[str, bytes], ...]
    after: tuple[tuple[str, bytes], ...]

    def headers(self, upstream_id: str, traceparent: str) -> list[tuple[str, bytes]]:
        """Kafka headers of one of them; `Provenance.read` is the inverse."""
        return [
            *self.before,
            ("shipfeed-upstream-id", upstream_id.encode()),
            *self.between,
            ("traceparent", traceparent.encode()),
            *self.after,
        ]


class Provenance(msgspec.Struct, frozen=True, gc=False):
    """Who read the record, where, and when.

    `observed_at` orders observations of sources that have no version of their own: the instant
    the request that brought it started.  `backfill` is used at first sight only.  `connected_at` is
    when the account was connected, by the upstream's clock; None: not known.  `options` are
    settings of the account that its mapper has to know, by name: with the record, so that mapping
    it again gives the same.  `remap_of` is the place of the record it is a copy of, made to map it
    again; `redriven`: it comes from a dead letter.
    """

    source: str
    account: str
    resource: str
    stream: str
    upstream_id: str
    observed_at: datetime
    backfill: bool = False
    traceparent: str = ""
    options: frozenset[str] = NO_OPTIONS
    remap_of: str = ""
    redriven: bool = False
    connected_at: datetime | None = None

    @property
    def key(self) -> str:
        """The fulfillment key: the raw record's key."""
        return fulfillment_key(self.source, self.account, self.resource, self.upstream_id)

    @property
    def heading(self) -> Heading:
        """What it shares with records that differ from it in id and trace only."""
        options = ",".join(sorted(self.options)).encode()
        connected_at = iso(self.connected_at).encode() if self.connected_at else b""
        return Heading(
            (
                ("shipfeed-schema", b"1"),
                ("shipfeed-source", self.source.encode()),
                ("shipfeed-account", self.account.encode()),
                ("shipfeed-resource", self.resource.encode()),
                ("shipfeed-stream", self.stream.encode()),
            ),
            (
                ("shipfeed-observed-at", iso(self.observed_at).encode()),
                ("shipfeed-backfill", b"true" if self.backfill else b"false"),
            ),
            (
                *((("shipfeed-connected-at", connected_at),) if connected_at else ()),
                *((("shipfeed-options", options),) if options else ()),
            ),
        )

    def headers(self) -> list[tuple[str, bytes]]:
        """Kafka headers of what a poller reads; `read` is the inverse."""
        return self.heading.headers(self.upstream_id, self.traceparent)

    @classmethod
    def read(cls, headers: Headers) -> Provenance:
        """Raises ValueError naming the header that is missing or wrong."""
        schema = headers.get("shipfeed-schema") or b""
        if schema != b"1":
            raise ValueError(f"header shipfeed-schema is {schema.decode()!r}, not '1'")

        def needed(name: str) -> bytes:
            if (value := headers.get(name)) is None:  # Kafka allows null
                raise ValueError(f"a raw record without the header {name}")
            return value

        connected_at = headers.get("shipfeed-connected-at")
        return cls(
            needed("shipfeed-source").decode(),
            needed("shipfeed-account").decode(),
            needed("shipfeed-resource").decode(),
            needed("shipfeed-stream").decode(),
            needed("shipfeed-upstream-id").decode(),
            _instant(needed("shipfeed-observed-at")),
            needed("shipfeed-backfill") == b"true",
            (headers.get("traceparent") or b"").decode(),
            _options(headers.get("shipfeed-options") or b""),
            (headers.get(REMAP_HEADER) or b"").decode(),
            REDRIVE_HEADER in headers,
            _instant(connected_at) if connected_at else None,
        )


@lru_cache(maxsize=1_000)
def _instant(header: bytes) -> datetime:
    """The records of a page were read at the same one."""
    return parse_instant(header.decode())


def _options(header: bytes) -> frozenset[str]:
    return frozenset(filter(None, header.decode().split(","))) if header else NO_OPTIONS
