"""The envelopes of a snapshot's events as blocks of Kafka headers.

What they hold is said by `Event.headers`, and a test compares the two.  Here, what all events
share, or those of a type, or those of a snapshot, is encoded once: an event has eleven headers.
"""

from __future__ import annotations

from functools import lru_cache

from bus.record_batch import LENGTHS, header, header_name
from schemas.cloudevents import CONTENT_TYPE, SPEC_VERSION, Shared, dataschema
from services.normalizer.model import Event

TYPES_CACHED_MAX = 10_000  # for each account
COUNT = 10  # of headers, without the trace


class Envelopes:
    """Of the events of one snapshot, whose raw record has the trace `traceparent`, or none."""

    def __init__(self, shared: Shared, traceparent: bytes) -> None:
        self._source = shared.source
        self._begin = _BEGIN_TRACED if traceparent else _BEGIN
        self._time = header("ce_time", shared.time)
        self._key = header("ce_partitionkey", shared.key) + _SEQUENCE
        self._end = _END + header("traceparent", traceparent) if traceparent else _END

    def block(self, event: Event) -> bytes:
        """The headers of one of them."""
        of_type, schema = _of_type(self._source, event.type)
        event_id, subject = event.id.encode(), event.subject.encode()
        sequence = event.sequence.encode()
        return b"".join(
            (
                self._begin,
                LENGTHS[len(event_id)],
                event_id,
                of_type,
                LENGTHS[len(subject)],
                subject,
                self._time,
                schema,
                self._key,
                LENGTHS[len(sequence)],
                sequence,
                self._end,
            )
        )


_ID, _SUBJECT, _SEQUENCE = map(header_name, ("ce_id", "ce_subject", "ce_sequence"))
_BEGIN, _BEGIN_TRACED = [
    LENGTHS[count] + header("ce_specversion", SPEC_VERSION) + _ID for count in (COUNT, COUNT + 1)
]
_END = header("content-type", CONTENT_TYPE)


@lru_cache(maxsize=TYPES_CACHED_MAX)
def _of_type(source: bytes, kind: str) -> tuple[bytes, bytes]:
    """What stands between id and subject, and between time and key."""
    named = header("ce_source", source) + header("ce_type", kind.encode())
    return named + _SUBJECT, header("ce_dataschema", dataschema(kind))
