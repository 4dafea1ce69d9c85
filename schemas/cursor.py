"""What a poller remembers: a cursor for each stream, a mark for each record it may read again."""

from __future__ import annotations

from typing import Any

from schemas.keys import joined
from schemas.message import Instant, StateRecord


class Cursor(StateRecord):
    """Where a stream's next poll starts.

    `position` is in the stream's own words and null before the first poll; `sweep` is the progress
    of a pass over pages that has not ended, in the source's own JSON; `fingerprint` is the digest
    of the settings that give `position` its meaning.  `connected_at` is by the upstream's clock
    where that is behind ours; `paused`: an operator wants no polls.  `sweep_began_at` is when the
    unfinished pass began, `proven_until` when the last complete one did, or the instant up to
    which all that was due by its id has been read: until then nothing is missing.
    """

    source: str
    account: str
    stream: str
    position: str | None = None
    sweep: dict[str, Any] | None = None
    done: bool = False
    paused: bool = False
    connected_at: Instant
    succeeded_at: Instant | None = None
    sweep_began_at: Instant | None = None
    proven_until: Instant | None = None
    fingerprint: str = ""

    @property
    def key(self) -> str:
        """Its key on the cursors topic."""
        return cursor_key(self.source, self.account, self.stream)


class Mark(StateRecord):
    """That a record was written to raw with this content, or a parent of records was found.

    `content` is the digest of the whole record minus the source's volatile fields; `observed_at`
    the start of the request that brought it; `due_at` when `due_stream` is to read it by its id,
    null when only lists bring it.  `refusals` counts how often the upstream has refused that read
    since `refused_since`; a read that succeeds resets both.  `changes` counts changes of the
    content, each within two days of the one before: what changes often is written once more when
    it stays.
    """

    source: str
    account: str
    resource: str
    upstream_id: str
    content: str
    observed_at: Instant
    due_at: Instant | None = None
    due_stream: str | None = None
    refusals: int = 0
    refused_since: Instant | None = None
    changes: int = 0

    @property
    def key(self) -> str:
        """Its key on the cursors topic."""
        return mark_key(self.source, self.account, self.resource, self.upstream_id)


def cursor_key(source: str, account: str, stream: str) -> str:
    """`cursor/source/account/stream`."""
    return joined("cursor", source, account, stream)


def mark_key(source: str, account: str, resource: str, upstream_id: str) -> str:
    """`mark/source/account/resource/upstream id`."""
    return joined("mark", source, account, resource, upstream_id)
