"""What all systems mean alike by a status, and what is made of their JSON."""

from __future__ import annotations

from typing import Any

import pytest

from services.notifier.replies import decoded, hint_of, in_path, json_number, outcome_of, text_of
from services.notifier.target import Outcome


@pytest.mark.parametrize(
    ("statuses", "outcome"),
    [
        ((301, 302, 304, 307, 308, 400, 402, 404, 405, 406, 410, 413, 415, 422, 451), "refused"),
        ((401, 403), "unauthorized"),
        ((409,), "conflict"),
        ((429,), "busy"),
        ((101, 202, 204, 206, 299, 303, 408, 500, 501, 502, 503, 504, 599, 999), "unknown"),
    ],
)
def test_what_a_status_says_of_a_call(statuses: tuple[int, ...], outcome: Outcome) -> None:
    """What is not certain is unknown, above all every 5xx."""
    assert {outcome_of(status) for status in statuses} == {outcome}


def test_where_all_mean_the_same_it_is_said_what_to_do() -> None:
    """A redirect, a key; for the rest the system has words of its own."""
    assert "base_url" in hint_of(308)
    assert "key" in hint_of(401)
    assert hint_of(400) == hint_of(500) == ""


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"a":"\xff"}', b"[1]", b"[" * 200_000])
def test_what_is_no_object_is_one_kind_of_error(body: bytes) -> None:
    """Cut, of no encoding, something else, without a bottom."""
    with pytest.raises(ValueError, match=r"\w"):
        decoded(body, dict[str, Any])


def test_half_an_emoji_harms_nothing() -> None:
    """Sources cut texts; no strict parser takes what is left."""
    assert decoded(b'{"a":"x\\ud83d"}', dict[str, str]) == {"a": "x\N{REPLACEMENT CHARACTER}"}


def test_an_empty_text_is_none() -> None:
    """A number is its digits."""
    assert [text_of(one) for one in (None, "", " ", 0, " a b ")] == [None, None, None, "0", "a b"]


def test_a_text_stays_one_segment_of_a_path() -> None:
    """Whatever stands in it; what a path cannot name is refused."""
    assert in_path("a/../?#%é\ud83d") == "a%2F..%2F%3F%23%25%C3%A9%3F"
    for text in ("", ".", ".."):
        with pytest.raises(ValueError, match="id of nothing"):
            in_path(text)


def test_an_amount_is_a_number_of_json() -> None:
    """As short as it is; none stays none."""
    found = [json_number(one) for one in (None, "400", "400.0", "0.10", "12345678901234567")]

    assert found == [None, 400, 400, 0.1, 12345678901234567]
    assert isinstance(found[2], int)
    for text in ("NaN", "Infinity", "-1", "a lot"):
        with pytest.raises(ValueError, match="quantity"):
            json_number(text)
