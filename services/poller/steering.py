"""What an operator may do to cursors: which are meant, and what they become.  Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from bus.errors import Misuse
from schemas.cursor import Cursor
from schemas.message import iso, parse_instant
from services.poller.source import AccountSettings, Facts
from services.poller.standing import meaning_changed


def chosen(cursors: Iterable[Cursor], account: str, stream: str | None = None) -> list[Cursor]:
    """The cursors of an account, `name` or `source/name`, or the one of its stream.

    Raises Misuse naming what there is.
    """
    known = list(cursors)
    labels = sorted({label_of(one) for one in known})
    label = one_account(account, labels, "nothing was ever polled for it")
    mine = [one for one in known if label_of(one) == label]
    if stream is None:
        return mine
    found = [one for one in mine if one.stream == stream]
    if not found:
        there = ", ".join(sorted(one.stream for one in mine))
        raise Misuse(f"{label} has no stream {stream!r}; there are: {there}")
    return found


def one_account(asked: str, labels: Iterable[str], otherwise: str) -> str:
    """The `source/name` that is meant.  Raises Misuse."""
    known = list(labels)
    found = [label for label in known if asked in (label, label.partition("/")[2])]
    if not found:
        there = ", ".join(known) or "none"
        raise Misuse(f"account {asked!r}: {otherwise}; accounts there are: {there}")
    if len(found) > 1:
        raise Misuse(f"account {asked!r} is in several systems; say one of: {', '.join(found)}")
    return found[0]


def label_of(cursor: Cursor) -> str:
    """`source/name` of its account."""
    return f"{cursor.source}/{cursor.account}"


def instant(text: str, option: str) -> datetime:
    """An instant that was typed.  Raises Misuse."""
    try:
        return parse_instant(text)
    except ValueError as error:
        raise Misuse(f"{option}: {error}, such as 2026-01-31T12:00:00Z") from error


def rewound(cursor: Cursor, facts: Facts, settings: AccountSettings, to: datetime) -> Cursor:
    """The cursor with which everything since `to` is read again; an unfinished pass is dropped.

    Raises Misuse where a position is no instant, for a cursor that means something else now, for
    an instant the stream has not passed, and for one before all that it may read.
    """
    where = f"{label_of(cursor)} {cursor.stream}"
    if not facts.rewinds:
        raise Misuse(
            f"{where} cannot be rewound; `shipfeed sources {cursor.source}` shows which streams can"
        )
    if changed := meaning_changed(cursor, facts):
        raise Misuse(f"{where}: {changed}; rewind after that")
    position = parse_instant(cursor.position) if cursor.position else cursor.connected_at
    if to >= position:
        raise Misuse(f"{where} stands at {iso(position)}: {iso(to)} is not before that")
    earliest = settings.start_from or cursor.connected_at
    if to < earliest:
        begins = "its start_from" if settings.start_from else "when it was connected"
        raise Misuse(
            f"{where} reads nothing before {iso(earliest)}, {begins}: {iso(to)} is too early"
        )
    proven_until = cursor.proven_until and min(cursor.proven_until, to)
    return cursor.model_copy(
        update={
            "position": iso(to),
            "sweep": None,
            "sweep_began_at": None,
            "proven_until": proven_until,
        }
    )


def halted(cursor: Cursor, *, paused: bool) -> Cursor:
    """The cursor with its stream paused, or let go on."""
    return cursor.model_copy(update={"paused": paused})
