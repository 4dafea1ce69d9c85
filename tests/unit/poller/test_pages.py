"""Where a list ends, its order and its doubles: the table of what pages really look like."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.poller.pages import goes_on, plausible, version_of, without_doubles
from services.poller.source import Found
from services.poller.window import after_page, begun

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("count", "longest", "told", "more"),
    [
        pytest.param(0, 0, None, False, id="empty"),
        pytest.param(9, 0, None, False, id="a short first page is the last"),
        pytest.param(10, 0, None, True, id="a first page may have been cut short"),
        pytest.param(50, 50, None, True, id="as long as the longest"),
        pytest.param(49, 50, None, False, id="shorter than an earlier one"),
        pytest.param(250, 0, None, True, id="as long as was asked for"),
        pytest.param(50, 0, False, False, id="the answer says that it is the last"),
        pytest.param(1, 50, True, True, id="the answer says that there are more"),
    ],
)
def test_where_a_pass_ends(count: int, longest: int, told: bool | None, more: bool) -> None:
    """The answer decides; without a word of it, the lengths of the pages do."""
    assert goes_on(count, asked=250, longest=longest, told=told) == more


def test_a_version_can_be_a_day_ahead_and_no_more() -> None:
    """Zones are mistaken by hours; 2062 is no last update."""
    assert plausible(NOW + timedelta(hours=23), NOW)
    assert not plausible(NOW + timedelta(hours=25), NOW)
    assert not plausible(datetime.max.replace(tzinfo=UTC), NOW)


@pytest.mark.parametrize(
    ("told", "stamp"),
    [
        pytest.param(["2026-03-01T12:00:00Z", "x"], "2026-03-01T12:00:00Z", id="the last update"),
        pytest.param([None, "2026-03-01T12:00:00Z"], "2026-03-01T12:00:00Z", id="null: created"),
        pytest.param(["", "2026-03-01t12:00:00z"], "2026-03-01t12:00:00z", id="lower case"),
        pytest.param(["2026-03-01T11:59:60Z"], "2026-03-01T11:59:60Z", id="a leap second"),
        pytest.param([1772366400000], "1772366400000", id="milliseconds since 1970"),
    ],
)
def test_a_version_is_read_in_any_spelling_and_kept_as_it_was(
    told: list[object], stamp: str
) -> None:
    """The text goes back to the one who wrote it; what is null until the first edit is skipped."""
    assert version_of(*told) == (stamp, NOW)


@pytest.mark.parametrize("told", [[], [None, None], ["soon", "2026-03-01T12:00:00Z"], [[]]])
def test_a_version_that_cannot_be_read_is_none(told: list[object]) -> None:
    """The row is set aside alone."""
    with pytest.raises(ValueError, match=r"date or time|no last update"):
        version_of(*told)


@pytest.mark.parametrize(
    ("seconds", "kept"),
    [
        pytest.param((5, 3), 0, id="the newer by version"),
        pytest.param((3, 5), 1, id="the newer by version, last"),
        pytest.param((5, 5), 1, id="equal versions: the last"),
        pytest.param((None, None), 1, id="no versions: the last"),
        pytest.param((10**9, 3), 1, id="a version of 2062 does not count"),
        pytest.param((5, 9, 7), 1, id="of three"),
    ],
)
def test_of_doubles_the_newest_counts(seconds: tuple[int | None, ...], kept: int) -> None:
    """By a version that can be true, else by its place in the page."""
    start = NOW - timedelta(hours=1)
    doubles = [
        Found("1", b"%d" % place, None if at is None else start + timedelta(seconds=at))
        for place, at in enumerate(seconds)
    ]
    other = Found("2", b"{}", NOW)
    assert set(without_doubles([doubles[0], other, *doubles[1:]], NOW)) == {doubles[kept], other}


@pytest.mark.parametrize(("size", "requests_more"), [(250, 1), (40, 30)])
def test_windows_of_a_list_that_tells_no_total_are_read_whole(
    size: int, requests_more: int
) -> None:
    """Of a server that cuts pages to 40 all comes; of one that does not, one request more."""
    rows = {str(number): NOW - timedelta(seconds=number) for number in range(100)}
    sweep, until = begun(since=NOW - timedelta(hours=1), until=NOW), NOW
    read: set[str] = set()
    requests = 0
    onward: dict[str, object] | None = sweep
    while onward is not None:
        requests += 1
        assert requests <= 1 + requests_more, "too many requests"
        first, last = (datetime.fromisoformat(str(onward[name])) for name in ("from", "to"))
        inside = [one for one, at in rows.items() if first <= at <= min(last, until)]
        page = inside[(int(str(onward["page"])) - 1) * size :][:size]
        read |= set(page)
        onward = after_page(onward, page, asked=250, told=None)
    assert read == set(rows)
