"""Which cursors an operator means, and what may become of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bus.errors import Misuse
from schemas.cursor import Cursor
from schemas.message import iso
from services.poller.source import AccountSettings, Facts
from services.poller.steering import chosen, halted, instant, rewound

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FACTS = Facts("head", "orders", 8, 120, "f", rewinds=True)


def cursor(source: str = "zentail", account: str = "acme", **fields: Any) -> Cursor:
    known = {"stream": "head", "connected_at": NOW - timedelta(days=30), "fingerprint": "f"}
    return Cursor(source=source, account=account, **{**known, **fields})


def settings(**keys: Any) -> AccountSettings:
    return AccountSettings(source="zentail", name="acme", base_url="https://up.example", **keys)


STANDING = cursor(
    position=iso(NOW),
    sweep={"since": "x"},
    sweep_began_at=NOW,
    proven_until=NOW,
    succeeded_at=NOW,
)


def test_an_account_is_named_alone_or_with_its_system() -> None:
    """All of its streams, or the one that is named."""
    cursors = [cursor(), cursor(stream="settle"), cursor(account="globex")]

    assert chosen(cursors, "acme") == chosen(cursors, "zentail/acme") == cursors[:2]
    assert chosen(cursors, "acme", "settle") == cursors[1:2]


@pytest.mark.parametrize(
    ("account", "stream", "words"),
    [
        ("nobody", None, "accounts there are: panora/acme, zentail/acme, zentail/globex"),
        ("acme", None, "say one of: panora/acme, zentail/acme"),
        ("zentail/acme", "watch", "zentail/acme has no stream 'watch'; there are: head"),
    ],
)
def test_what_is_not_there_is_answered_with_what_is(
    account: str, stream: str | None, words: str
) -> None:
    """A mistake is one line that ends in the choices."""
    cursors = [cursor(), cursor("panora"), cursor(account="globex")]
    with pytest.raises(Misuse, match=words):
        chosen(cursors, account, stream)


def test_a_rewound_cursor_begins_there_anew() -> None:
    """Its unfinished pass is dropped, and nothing after the instant is proven any more."""
    to = NOW - timedelta(days=3)
    after = rewound(STANDING, FACTS, settings(), to)

    assert (after.position, after.sweep, after.sweep_began_at) == (iso(to), None, None)
    assert after.proven_until == to
    assert (after.connected_at, after.fingerprint) == (STANDING.connected_at, "f")


def test_history_is_rewound_down_to_start_from() -> None:
    """Which may lie before the account was connected."""
    to = NOW - timedelta(days=50)

    assert rewound(STANDING, FACTS, settings(start_from=to), to).position == iso(to)


@pytest.mark.parametrize(
    ("facts", "start_from", "days", "words"),
    [
        (replace(FACTS, rewinds=False), None, 3, "cannot be rewound; `shipfeed sources zentail`"),
        (replace(FACTS, fingerprint="other"), None, 3, "accept_new_cursor = true"),
        (FACTS, None, 0, "stands at 2026-03-01T12:00:00Z: .* is not before that"),
        (FACTS, None, 31, "2026-01-30T12:00:00Z, when it was connected"),
        (FACTS, NOW - timedelta(days=2), 3, "2026-02-27T12:00:00Z, its start_from"),
    ],
)
def test_a_rewind_that_would_not_do_what_is_said_is_refused(
    facts: Facts, start_from: datetime | None, days: float, words: str
) -> None:
    """Never silently less: forward, before all that is read, or where a position is no instant."""
    to = NOW - timedelta(days=days)
    with pytest.raises(Misuse, match=words):
        rewound(STANDING, facts, settings(start_from=start_from), to)


def test_pausing_moves_nothing() -> None:
    """A resumed cursor is the one that was paused, its unfinished pass and all."""
    paused = halted(STANDING, paused=True)

    assert paused.paused
    assert halted(paused, paused=False) == STANDING


@pytest.mark.parametrize("text", ["yesterday", "2026-03-01", "2026-03-01T12:00:00"])
def test_an_instant_without_a_zone_is_refused_by_its_option(text: str) -> None:
    """A local time would be someone else's."""
    with pytest.raises(Misuse, match=f"--to: '{text}' is not .* such as 2026"):
        instant(text, "--to")
