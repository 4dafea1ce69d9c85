"""What a command means for one partition."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from schemas.command import Recover, Retry, Target
from schemas.delivery import Delivery
from services.notifier.commands import CarriedOut, recovered, retried, targets_of
from services.notifier.fan_out import delivery_of
from services.notifier.match import matcher
from tests.unit.notifier.test_fan_out import NOW, event

HERE = 3


def retry(*offsets: int, partition: int = HERE, letter: int | None = None) -> Retry:
    targets = tuple(
        Target(partition=partition, event_id=f"evt_{one}", event_offset=one, letter_offset=letter)
        for one in offsets
    )
    return Retry(subscription="erp", number=7, created_at=NOW, targets=targets)


def failing(offset: int, **values: Any) -> Delivery:
    later = {"attempts": 4, "due_at": NOW + timedelta(hours=9), "failing_since": NOW}
    return delivery_of("erp", event(offset), NOW).model_copy(update={**later, **values})


def done(command: Retry, *unfinished: Delivery, read: tuple[int, ...] = ()) -> CarriedOut:
    return retried(
        command,
        HERE,
        100,
        unfinished=unfinished,
        events={f"evt_{offset}": event(offset) for offset in read},
        matcher=matcher(["package.*"]),
        now=NOW,
    )


@pytest.mark.parametrize(("asked", "offset"), [({3: 5}, 5), ({3: 50}, 20), ({4: 5}, 20), ({}, 20)])
def test_recover_moves_a_position_back_and_never_forward(
    asked: dict[int, int], offset: int
) -> None:
    """The number is noted whether it moves or not."""
    command = Recover(subscription="erp", number=7, created_at=NOW, from_offsets=asked)

    found = recovered(command, HERE, 20)
    assert (found.offset, found.command) == (offset, 7)


def test_a_failing_delivery_is_due_now_with_all_its_tries() -> None:
    """Its lane deadline counts anew, too; its event and its place stay."""
    (found,) = done(retry(4), failing(4)).due

    assert (found.attempts, found.due_at, found.failing_since) == (0, NOW, None)
    assert (found.event_id, found.event_offset) == ("evt_4", 4)


def test_what_has_all_its_tries_and_is_due_is_not_written_again() -> None:
    """Nothing would change."""
    assert done(retry(), failing(4, attempts=0, due_at=NOW), failing(5)).due == [
        failing(5, attempts=0, due_at=NOW, failing_since=None)
    ]


def test_a_finished_delivery_is_begun_again_from_its_event() -> None:
    """The same event, so the same id; one that is asked for twice is begun once."""
    found = done(retry(4, 4), read=(4,))

    assert [(one.key, one.event_offset, one.attempts) for one in found.begun] == [
        ("erp/evt_4", 4, 0)
    ]
    assert (found.due, found.lost) == ([], [])
    assert (found.position.offset, found.position.command) == (100, 7)


def test_a_redriven_delivery_says_where_its_body_is() -> None:
    """Its own topic may have forgotten it."""
    (found,) = done(retry(4, letter=55), read=(4,)).begun

    assert found.letter_offset == 55


@pytest.mark.parametrize(("force", "begun"), [(False, 0), (True, 1)])
def test_an_event_that_is_not_wanted_is_sent_by_force_only(force: bool, begun: int) -> None:
    """A retry is no way past the types and filters of its subscription."""
    command = retry(4).model_copy(update={"force": force})
    events = {"evt_4": event(4)}
    unwanted = matcher(["fulfillment.*"])
    found = retried(command, HERE, 100, unfinished=(), events=events, matcher=unwanted, now=NOW)

    assert (len(found.begun), len(found.unwanted), found.lost) == (begun, 1 - begun, [])


def test_an_event_that_is_gone_is_told_of() -> None:
    """Neither unfinished nor to be read: not passed over in silence."""
    found = done(retry(4, 5), read=(5,))

    assert [one.event_id for one in found.lost] == ["evt_4"]
    assert [one.event_id for one in found.begun] == ["evt_5"]


def test_what_the_position_has_not_reached_comes_by_itself() -> None:
    """Else it would come twice."""
    found = done(retry(100), read=(100,))

    assert (found.begun, found.lost) == ([], [])


def test_other_partitions_are_their_owners_business() -> None:
    """The number is noted all the same."""
    command = retry(4, partition=HERE + 1)

    assert targets_of(command, HERE) == []
    assert done(command).position.command == 7


def test_no_target_is_taken_for_the_position_that_stands_beside_deliveries() -> None:
    """What it is called makes the position's own key, and a position is no delivery."""
    (target,) = retry(4).targets
    named = target.model_copy(update={"event_id": "position"})

    assert targets_of(retry(4).model_copy(update={"targets": (named, target)}), HERE) == [target]
