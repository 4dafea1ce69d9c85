"""What is written back, in words: which are meant, what each says, what is to be done."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from typer.testing import CliRunner

from bus.errors import Misuse
from console.commands.write_backs import app
from console.rehearsing import Rehearsed
from console.wording import says, scene, story
from console.writing_back import Filter, Found, named, next_step
from schemas.write_back import State, Wanted, WantedItem, WriteBack

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def wanted(target: str = "river", **more: Any) -> Wanted:
    """Two mugs of order 100."""
    values: dict[str, Any] = {"order": "100", "items": (WantedItem(sku="mug", quantity="2"),)}
    return Wanted(
        subscription="dr",
        target=target,
        way="order_number",
        event_id="evt_1",
        event_type="package.shipped",
        event_at=NOON,
        fulfillment="zentail/acme/orders/1",
        **{**values, **more},
    )


def write_back(state: State, wish: Wanted | None = None, **more: Any) -> WriteBack:
    return WriteBack(
        wanted=wish or wanted(), place=0, state=state, due_at=NOON, updated_at=NOON, **more
    )


HELD = write_back("held", reason="Two lines of mug", candidates=("l1", "l2"))
NOWHERE = wanted(order=None, problem="the event names no order")


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        (Filter(), True),
        (Filter(state="held", target="river", reason="two LINES"), True),
        (Filter(state="done"), False),
        (Filter(target="ocean"), False),
        (Filter(reason="three"), False),
    ],
)
def test_all_that_is_asked_for_has_to_fit(asked: Filter, meant: bool) -> None:
    """What is left out asks for nothing; words count in any case."""
    assert asked.takes(HELD) is meant


def test_one_is_named_by_its_key_or_its_event() -> None:
    """An event may be written back by several."""
    ocean = write_back("done", wanted(target="ocean"))

    assert named([HELD, ocean], "evt_1") == [HELD, ocean]
    assert named([HELD, ocean], "ocean/100/evt_1") == [ocean]
    with pytest.raises(Misuse, match="nothing is written back for evt_2"):
        named([HELD, ocean], "evt_2")


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (HELD, "Two lines of mug"),
        (NOWHERE, "the event names no order"),
        (write_back("waiting"), ""),
        (write_back("done", fulfillment_id="ful_1"), "ful_1"),
        (write_back("done", fulfillment_id="ful_1", found=True), "ful_1, found there"),
        (write_back("done", found=True, reason="settled by X"), "nothing, settled by X"),
    ],
)
def test_each_says_what_it_became_or_why_it_stands(one: Found, words: str) -> None:
    """In a list, one line of it."""
    assert says(one) == words


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (wanted(), "nothing: a notifier"),
        (write_back("waiting"), "nothing: it is tried again by itself"),
        (write_back("sending"), "nothing: the target is read"),
        (write_back("unknown"), "nothing: the target is read"),
        (write_back("done"), "nothing: it is done"),
        (HELD, "shipfeed write-backs retry river/100/evt_1"),
        (HELD, "shipfeed write-backs settle river/100/evt_1 --as FULFILLMENT, or --nothing"),
        (write_back("held", NOWHERE), "write-backs send dr --since 2026-03-01T12:00:00Z"),
    ],
)
def test_whoever_asks_is_told_the_next_step(one: Found, words: str) -> None:
    """Or that there is none to take."""
    assert words in next_step(one)


def test_a_story_leaves_out_what_is_not_known() -> None:
    """A line for each thing that is."""
    told = story(write_back("unknown", wanted(items=None), calls=1, sent_at=NOON)).splitlines()

    assert "items: its source does not say" in told
    assert "calls: 1, the last at 2026-03-01T12:00:00Z" in told
    assert not any(line.startswith(("tracking:", "call:", "candidates:")) for line in told)
    assert "candidates: l1, l2" in story(HELD)


@pytest.mark.parametrize(
    ("outcome", "more", "line"),
    [
        (
            "send",
            {"method": "POST", "path": "/fulfillments", "body": {"orderId": "7"}},
            'POST /fulfillments {"orderId": "7"}',
        ),
        ("there", {"says": "ful_1"}, "there already: ful_1"),
        ("held", {"says": "why", "candidates": ("a", "b")}, "would be held: why [a, b]"),
        ("sending", {}, "being sent"),
    ],
)
def test_a_scene_is_an_event_and_what_would_come_of_it(
    outcome: Any, more: dict[str, Any], line: str
) -> None:
    """The call as it would go out, or why there would be none."""
    one = Rehearsed("evt_1", "package.shipped", NOON, "100", outcome, **more)

    assert scene(one).splitlines() == [
        "2026-03-01T12:00:00Z package.shipped evt_1 order 100",
        f"  {line}",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("retry",), "--all-held"),
        (("retry", "evt_1", "--all-held"), "--all-held"),
        (("retry", "evt_1", "--target", "river"), "--all-held"),
        (("list", "--state", "lost"), "no state 'lost'; there are: wanted, waiting"),
        (("settle", "evt_1", "--as", " ", "--kafka", "a:1"), "--as FULFILLMENT or --nothing"),
        (("settle", "evt_1", "--as", "ful_1", "--nothing"), "--as FULFILLMENT or --nothing"),
        (("settle", "evt_1"), "--as FULFILLMENT or --nothing"),
        (("send", "back", "--since", "noon"), "--since"),
        (("send", "back", "--since", "earliest", "--count", "3", "--kafka", "a:1"), "--count"),
    ],
    ids=str,
)
def test_a_slip_is_told_in_words(arguments: tuple[str, ...], words: str) -> None:
    """Before Kafka is asked for anything."""
    result = CliRunner().invoke(app, arguments)

    assert isinstance(result.exception, Misuse)
    assert words in str(result.exception)
