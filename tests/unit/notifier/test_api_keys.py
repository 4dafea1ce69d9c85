"""Keys by their text, and bodies by their depth."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.api_key import ApiKey, Scope
from services.notifier.api.auth import is_loopback
from services.notifier.api.gate import depth_of
from services.notifier.api_keys import (
    expired,
    has_unknown_id,
    loses_admin,
    minted_key,
    recognized,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
JSON = st.recursive(
    st.none() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


def test_a_key_is_recognized_by_its_text_alone() -> None:
    """Which is not in the record."""
    keys = [minted_key("ops", "read", created_at=NOW, expires_at=None) for _ in range(3)]
    records = [key for key, _ in keys]

    assert [recognized(text, records) for _, text in keys] == records
    assert all(text.split("_", 2)[2] not in str(key) for key, text in keys)


@given(st.text())
def test_no_other_text_is_a_key(text: str) -> None:
    """Whatever it is: none is made of it, and nothing breaks."""
    key, right = minted_key("ops", "read", created_at=NOW, expires_at=None)

    for wrong in (text, f"sfk_{key.id}_{text}", right + text if text else "", right[:-1]):
        assert recognized(wrong, [key]) is None


def test_a_key_expires_at_its_instant() -> None:
    """Without one it does not."""
    limited, _ = minted_key("ops", "read", created_at=NOW, expires_at=NOW + timedelta(days=1))
    lasting, _ = minted_key("ops", "read", created_at=NOW, expires_at=None)

    assert [expired(limited, NOW + timedelta(days=n)) for n in (0, 1)] == [False, True]
    assert not expired(lasting, NOW + timedelta(days=9999))


def test_a_key_of_unknown_id_is_told_from_a_wrong_one() -> None:
    """The former may have been made by another copy a moment ago, the latter never opens."""
    key, text = minted_key("ops", "read", created_at=NOW, expires_at=None)
    _, other = minted_key("ops", "read", created_at=NOW, expires_at=None)

    assert [has_unknown_id(one, [key]) for one in (other, text, text + "x", "", "sfk_x_y")] == [
        True,
        *[False] * 4,
    ]


def test_the_last_admin_key_and_the_last_key_are_worth_a_question() -> None:
    """Without them nobody may change anything, or this machine is let in without a key."""

    def key(scope: Scope, days: int | None = None) -> ApiKey:
        expires_at = NOW + timedelta(days=days) if days is not None else None
        return minted_key("ops", scope, created_at=NOW, expires_at=expires_at)[0]

    admin, other, read, over = key("admin"), key("admin"), key("read"), key("admin", 0)
    cases = {
        "the only key": (read, [read], True),
        "the only admin": (admin, [admin, read], True),
        "the other is over": (admin, [admin, over], True),
        "one of two": (admin, [admin, other], False),
        "a reader beside an admin": (read, [read, admin], False),
        "a reader among readers": (read, [read, key("read")], False),
        "one that is over, beside a reader": (over, [over, read], False),
        "one that is over, alone": (over, [over], True),
    }
    assert {name: loses_admin(one, known, NOW) for name, (one, known, _) in cases.items()} == {
        name: loses for name, (_, _, loses) in cases.items()
    }


@given(JSON)
def test_the_depth_of_a_body_is_that_of_its_arrays_and_objects(value: Any) -> None:
    """Brackets in strings do not count."""

    def depth(part: Any) -> int:
        inner = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
        own = 1 if isinstance(part, dict | list) else 0
        return own + max(map(depth, inner), default=0)

    assert depth_of(json.dumps(value).encode()) == depth(value)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("", False),
        ("0.0.0.0", False),
        ("::", False),
        ("127.1", False),
        ("2130706433", False),
        ("localhost.shop.example", False),
        ("10.0.0.1", False),
    ],
)
def test_only_this_machine_is_this_machine(host: str, expected: bool) -> None:
    """No resolver is asked, and no odd form is taken for an address."""
    assert is_loopback(host) is expected
