"""Content that goes back and forth while no version orders it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from schemas.raw import Provenance
from services.normalizer.flapping import AGREED, HORIZON, last_told
from services.normalizer.mapper import Seen, Snapshot, ids, tracking
from services.normalizer.merge import merge
from services.normalizer.model import Event, Fulfillment, LineItem, OrderRef, RawRef
from services.normalizer.stubs import closed
from tests.unit.normalizer.feed import NOON

MINUTE, HOUR = 60, 3600
CHANGED = ["package.tracking_changed"]
REMAINS = timedelta(seconds=1)


class Replicas:
    """One fulfillment, read from whichever replica answers."""

    def __init__(self) -> None:
        self.stored: Fulfillment | None = None
        self.events: list[Event] = []
        self.seconds = 0.0
        self._offset = 0

    @property
    def state(self) -> Fulfillment:
        """What is remembered, as it is written and read again."""
        assert self.stored is not None
        return Fulfillment.from_json(self.stored.to_json())

    def read(
        self, number: str | None, after: float = MINUTE, version: int | None = None
    ) -> list[str]:
        """One observation, so many seconds after the last; the types of its events."""
        self.seconds += after
        seen = Seen(
            "pending" if number is None else "shipped",
            upstream_ids=ids(package_id="70551"),
            trackings=tracking(number),
            line_items=(LineItem(sku="MUG", quantity="1"),),
        )
        updated_at = None if version is None else NOON + timedelta(seconds=version)
        snapshot = Snapshot(
            "shipment",
            (OrderRef("1"),),
            None,
            status_raw="sent" if number else "packed",
            updated_at=updated_at,
            packages=(seen,),
        )
        at = NOON + timedelta(seconds=self.seconds)
        provenance = Provenance("acme", "a", "shipments", "head", "1", at)
        stored = self.state if self.stored else None
        outcome = merge(stored, snapshot, provenance, RawRef("t.raw", 0, self._offset))
        self._offset += 1
        self.stored = outcome.state or self.stored
        self.events += outcome.events
        return [one.type for one in outcome.events]

    def flaps(self, version: int | None = None) -> list[list[str]]:
        """What is told of A, B, A, B."""
        return [self.read(number, version=version) for number in ("A", "B", "A", "B")]

    @property
    def numbers(self) -> list[Any]:
        """What the state shows."""
        return [one.number for package in self.state.packages for one in package.trackings]


@pytest.mark.parametrize("version", [None, 1], ids=["no version", "equal versions"])
def test_a_change_that_comes_again_waits_until_it_stays(version: int | None) -> None:
    """The state shows the last read; the difference to what was told last comes an hour later."""
    replicas = Replicas()

    assert replicas.flaps(version)[1:] == [CHANGED, CHANGED, []]
    assert replicas.numbers == ["B"]
    assert last_told(replicas.state).packages[0].trackings == tracking("A")
    assert replicas.read("B", 30 * MINUTE, version) == []
    assert replicas.read("B", 30 * MINUTE, version) == CHANGED
    (change,) = replicas.events[-1].data.changes
    assert (change.before, change.after) == (tracking("A"), tracking("B"))
    assert replicas.read("B", HOUR, version) == []


def test_what_goes_back_and_forth_for_hours_is_told_once_it_stays() -> None:
    """Each other read begins the hour anew, and what was told at last is no news."""
    replicas = Replicas()
    replicas.flaps()
    for number in "ABABAB":
        assert replicas.read(number, 50 * MINUTE) == []
        assert replicas.numbers == [number]
    assert replicas.read("A", 50 * MINUTE) == []
    assert replicas.read("A", HOUR) == []
    assert last_told(replicas.state) == replicas.state


def test_a_third_content_waits_like_the_others() -> None:
    """What is told is the difference to what was told last, never to what was read between."""
    replicas = Replicas()
    replicas.flaps()
    assert replicas.read("C") == []
    assert replicas.read("C", AGREED.total_seconds()) == CHANGED
    (change,) = replicas.events[-1].data.changes
    assert (change.before, change.after) == (tracking("A"), tracking("C"))


def test_a_newer_version_says_which_is_right() -> None:
    """What waits is told at once with it."""
    replicas = Replicas()
    replicas.flaps(1)
    assert replicas.read("B", version=2) == CHANGED
    assert replicas.state.flapping is None


def test_versions_are_told_however_often_content_returns() -> None:
    """Each newer version is a fact of its own."""
    replicas = Replicas()
    for version, number in enumerate("ABABAB"):
        assert replicas.read(number, version=version)
    assert len(replicas.events) == 3 + 5


def test_the_same_change_after_the_horizon_is_news() -> None:
    """Within two days it is one that came again."""
    for apart, told in ((HORIZON, []), (HORIZON + REMAINS, CHANGED)):
        replicas = Replicas()
        replicas.read("A")
        assert replicas.read("B") == replicas.read("A") == CHANGED
        assert replicas.read("B", apart.total_seconds() - MINUTE) == told


def test_changes_that_lead_on_are_told() -> None:
    """A, B, C, B, A: no change of it comes twice."""
    replicas = Replicas()
    replicas.read("A")
    assert [replicas.read(number) for number in "BCBA"] == [CHANGED] * 4


def test_a_departure_that_comes_and_goes_is_told_as_it_is_at_the_end() -> None:
    """Shipped, withdrawn, shipped; then it waits, and every announcement names the first one."""
    replicas = Replicas()
    replicas.read(None)
    assert replicas.read("A") == [*CHANGED, "package.shipped", "fulfillment.shipped"]
    assert replicas.read(None) == [*CHANGED, "package.shipment_retracted"]
    assert replicas.read("A") == []
    assert not closed(replicas.state)
    assert replicas.read("A", HOUR)[0] == "package.restored"
    assert [one.type for one in replicas.events].count("package.shipped") == 1


def test_revisions_and_ids_of_events_are_never_used_twice() -> None:
    """However long it goes on, and though what waits was not told."""
    replicas = Replicas()
    for _ in range(4):
        replicas.flaps()
        replicas.read("B", HOUR)
        replicas.read("B", HOUR)
    assert len({one.id for one in replicas.events}) == len(replicas.events)
    assert [one.sequence for one in replicas.events] == sorted(
        one.sequence for one in replicas.events
    )
