"""Lists of many pages: read whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from services.notifier.exchange import PAGES_MAX, Page, all_pages
from services.notifier.target import Unread


async def test_pages_are_followed_to_the_end() -> None:
    """In their order, each asked for by what the one before named."""
    asked: list[str | None] = []
    pages = {None: Page([1, 2], "b"), "b": Page([], "a"), "a": Page([3], None)}

    async def read(after: str | None) -> Page[int]:
        asked.append(after)
        return pages[after]

    assert await all_pages(read) == [1, 2, 3]
    assert asked == [None, "b", "a"]


@pytest.mark.parametrize(
    "pages",
    [
        {None: Page([1], "a"), "a": Page([1], "a")},
        {None: Page([1], "a"), "a": Page([2], "b"), "b": Page([3], "a")},
    ],
)
async def test_a_ring_is_not_followed_twice(pages: Mapping[str | None, Page[int]]) -> None:
    """Whether it is of one page or of several."""

    async def read(after: str | None) -> Page[int]:
        return pages[after]

    with pytest.raises(Unread, match="comes back") as raised:
        await all_pages(read)
    assert raised.value.outcome == "unknown"


async def test_a_list_that_always_goes_on_is_given_up() -> None:
    """After so many pages somebody has to look; one fewer is read."""
    asked: list[str | None] = []

    async def read(after: str | None) -> Page[int]:
        asked.append(after)
        return Page([len(asked)], None if len(asked) == end else str(len(asked)))

    end = PAGES_MAX
    assert len(await all_pages(read)) == PAGES_MAX
    asked, end = [], PAGES_MAX + 1
    with pytest.raises(Unread) as raised:
        await all_pages(read)
    assert (raised.value.outcome, len(asked)) == ("refused", PAGES_MAX)
