"""A raw record's provenance: the `shipfeed-*` headers beside the upstream's verbatim bytes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from schemas.keys import fulfillment_key
from schemas.message import Headers, iso, parse_instant

NO_OPTIONS: frozenset[str] = frozenset()


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


class Provenance(NamedTuple):
    """Who read the record, where, and when.

    `observed_at` orders observations of sources that have no version of their own: the instant
    the request that brought it started.  `backfill` is used at first sight only.  `options` are
    settings of the account that its mapper has to know, by name: with the record, so that mapping
    it again gives the same.
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

    @property
    def key(self) -> str:
        """The fulfillment key: the raw record's key."""
        return fulfillment_key(self.source, self.account, self.resource, self.upstream_id)

    @property
    def heading(self) -> Heading:
        """What it shares with records that differ from it in id and trace only."""
        options = ",".join(sorted(self.options)).encode()
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
            (("shipfeed-options", options),) if options else (),
        )

    def headers(self) -> list[tuple[str, bytes]]:
        """Kafka headers; `read` is the inverse."""
        return self.heading.headers(self.upstream_id, self.traceparent)

    @classmethod
    def read(cls, headers: Headers) -> Provenance:
        """Raises ValueError naming the header that is missing or wrong."""
        schema = headers.get("shipfeed-schema", b"")
        if schema != b"1":
            raise ValueError(f"header shipfeed-schema is {schema.decode()!r}, not '1'")
        try:
            return cls(
                headers["shipfeed-source"].decode(),
                headers["shipfeed-account"].decode(),
                headers["shipfeed-resource"].decode(),
                headers["shipfeed-stream"].decode(),
                headers["shipfeed-upstream-id"].decode(),
                parse_instant(headers["shipfeed-observed-at"].decode()),
                headers["shipfeed-backfill"] == b"true",
                headers.get("traceparent", b"").decode(),
                _options(headers.get("shipfeed-options", b"")),
            )
        except KeyError as missing:
            raise ValueError(f"a raw record without the header {missing.args[0]}") from missing


def _options(header: bytes) -> frozenset[str]:
    return frozenset(filter(None, header.decode().split(","))) if header else NO_OPTIONS
