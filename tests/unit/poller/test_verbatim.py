"""One record that a parser refuses does not hold up the page it stands in."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from services.poller.source import Page, Response, Unreadable
from services.poller.verbatim import NESTING_MAX, flattened
from tests.unit.poller.test_zentail import NOW, cursor, read, stream

GOOD = b'{"orderNumber":2,"lastUpdatedTs":"2026-02-02T00:00:00Z"}'
HALF = b"\\ud83d"
DEEP = b"[" * 5000 + b'"]"' + b"]" * 5000


def odd(value: bytes, number: bytes = b"1") -> bytes:
    """An order with a field of this value, none of ours."""
    return b'{"orderNumber":%b, "lastUpdatedTs":"2026-02-01T00:00:00Z","x":%b}' % (number, value)


def page_of(*records: bytes) -> Page:
    return read(b'{"results":[' + b", ".join(records) + b'],"pagination":{"hasNext":false}}')


ODD = [
    pytest.param(b'"Ana ' + HALF + b'"', id="high half at the end"),
    pytest.param(b'"Ana ' + HALF + b'!"', id="high half inside"),
    pytest.param(b'"\\uDE00 Ana"', id="low half"),
    pytest.param(b'"' + HALF + HALF + b'\\ude00"', id="a half before a pair"),
    pytest.param(b'"\\\\' + HALF + b'\\""', id="a half after an escaped backslash"),
    pytest.param(DEEP, id="nested 5000 deep"),
    pytest.param(b'{"a":' * 5000 + b"1" + b"}" * 5000, id="objects 5000 deep"),
    pytest.param(b'["' + HALF + b'",' + DEEP + b"]", id="both, the half first"),
    pytest.param(b"[" + DEEP + b',"' + HALF + b'"]', id="both, the nesting first"),
]


@pytest.mark.parametrize("value", ODD)
def test_an_odd_field_stops_no_page_and_changes_no_byte(value: bytes) -> None:
    """The order goes on as it stood, between its neighbors, escaped backslashes and all."""
    also = b'{"orderNumber":3,"lastUpdatedTs":"2026-02-03T00:00:00Z","x":"\\\\ud83d \\ufffd"}'

    page = page_of(GOOD, odd(value), also)

    assert [found.body for found in page.found] == [GOOD, odd(value), also]
    assert [found.upstream_id for found in page.found] == ["2", "1", "3"]
    assert page.rejected == ()


@pytest.mark.parametrize("value", ODD)
def test_an_order_asked_for_by_its_id_may_have_an_odd_field(value: bytes) -> None:
    """Also with white space around it; its status is read, so that it is not asked for forever."""
    body = odd(value)[:-1] + b',"status":"SHIPPED"}'
    one = stream("orders", mode="per_order")
    sweep = one.begin(cursor("orders"), NOW, ["1"])

    (found,) = one.read(sweep, Response(200, {}, b"\n " + body + b"\n", NOW)).found

    assert found.body == body
    assert found.due is None


def test_a_number_that_is_no_unicode_is_nobodys_id() -> None:
    """Two that differ only in what cannot be read must not become one fulfillment."""
    bad = odd(b"0", b'"A' + HALF + b'"')

    page = page_of(bad, GOOD)

    (rejected,) = page.rejected
    assert (rejected.upstream_id, rejected.path, rejected.body) == ("", "$.orderNumber", bad)
    assert [found.upstream_id for found in page.found] == ["2"]


def test_an_instant_outside_the_calendar_is_the_fault_of_one_record() -> None:
    """In UTC it would lie in the year 10000."""
    bad = b'{"orderNumber":1,"lastUpdatedTs":"9999-12-31T23:59:59-05:00"}'

    page = page_of(bad, GOOD)

    (rejected,) = page.rejected
    assert (rejected.upstream_id, rejected.path) == ("1", "$.lastUpdatedTs")
    assert page.found[0].updated_at == datetime(2026, 2, 2, tzinfo=UTC)


@pytest.mark.parametrize("body", [b"[" * 5000, b"{" * 5000 + b'"', DEEP, b'{"results":' + DEEP])
def test_a_page_that_is_no_page_at_all_stays_unreadable(body: bytes) -> None:
    """Nothing in it can be told apart."""
    with pytest.raises(Unreadable):
        read(body)


def test_what_is_nested_less_deep_is_left_alone() -> None:
    """Brackets in texts count for nothing; what lies deeper becomes one value, as long as it."""
    plain = b"[" * NESTING_MAX + b'"[[\\"{"' + b"]" * NESTING_MAX
    deeper = b"[" * NESTING_MAX + b'[1,"]]"]' + b"]" * NESTING_MAX

    assert flattened(plain) == plain
    assert flattened(deeper) == b"[" * NESTING_MAX + b"0       " + b"]" * NESTING_MAX
