"""What an outage of an endpoint costs: how late events are afterwards, and which tries count."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import structlog

from schemas.delivery import Outcome
from schemas.subscription import EndpointHealth
from services.notifier.gates import OPEN_AGAIN_SECONDS
from services.notifier.lanes import SPREAD_SECONDS_MAX
from services.notifier.retries import JITTER, RETRY_AFTER_SECONDS_MAX
from tests.unit.notifier.outages import BEGAN_AT, HOUR, Play, play

PROBE_SECONDS_MAX = 300.0
CAUGHT_UP_SECONDS = PROBE_SECONDS_MAX * (1 + JITTER) + SPREAD_SECONDS_MAX + 5
SOON_SECONDS = SPREAD_SECONDS_MAX + 5


@pytest.mark.parametrize("lanes", [1, 40])
@pytest.mark.parametrize("outage_hours", [0.02, 3])
@pytest.mark.parametrize("outcome", ["transient", "busy"])
def test_after_an_outage_all_events_arrive_within_the_longest_probe_wait(
    lanes: int, outage_hours: float, outcome: Outcome
) -> None:
    """However long it was away and however few events there are, and the newest ones too."""
    back_at = outage_hours * HOUR

    async def story() -> None:
        one = Play(lambda _, at: "delivered" if at >= back_at else outcome)
        one.start()
        for lane in range(lanes):
            await one.add(str(lane))
        await one.clock.sleep(back_at - 1)
        await one.add("0")
        await one.all_arrived(1 + CAUGHT_UP_SECONDS)
        assert one.set_aside == []

    play(story)


@pytest.mark.parametrize("outcome", ["rejected", "redirect"])
def test_after_an_outage_that_answers_all_events_arrive_behind_the_first_that_does(
    outcome: Outcome,
) -> None:
    """A login that ran out opens no breaker; the first success shows that it is over."""

    async def story() -> None:
        one = Play(lambda _, at: "delivered" if at >= HOUR else outcome)
        one.start()
        for lane in range(40):
            await one.add(str(lane))
        await one.clock.sleep(HOUR)
        await one.add("new")
        await one.all_arrived(SOON_SECONDS)

    play(story)


def test_after_a_pause_that_was_asked_for_all_events_arrive() -> None:
    """Retry-After says when to come again; the schedule's hours do not."""

    async def story() -> None:
        one = Play(lambda _, at: "delivered" if at >= HOUR else "busy", retry_after=HOUR)
        one.start()
        await one.add("old")
        await one.clock.sleep(1)
        pending = next(iter(one.holdings.lanes))
        pending.due_at += RETRY_AFTER_SECONDS_MAX  # a late step of the schedule
        await one.add("new")
        await one.all_arrived(HOUR + SOON_SECONDS)

    play(story)


def test_a_probe_costs_no_step_of_the_schedule() -> None:
    """Three hours of probes leave the first event with the tries it had; they are all counted."""

    async def story() -> None:
        one = Play(lambda *_: "transient")
        one.start()
        event = await one.add("0")
        await one.clock.sleep(3 * HOUR)
        delivery = one.delivery(event)
        assert delivery.attempts == len(one.attempts) > 30
        assert delivery.attempts - delivery.free_attempts <= 3
        assert [one.number for one in one.attempts] == list(range(1, delivery.attempts + 1))

    play(story)


def test_no_event_is_set_aside_while_its_endpoint_is_down() -> None:
    """An outage longer than the whole schedule: one try more once it is back, then it arrives."""

    async def story() -> None:
        schedule = (5.0, 60.0)
        one = Play(
            lambda _, at: "delivered" if at >= HOUR else "transient", schedule_seconds=schedule
        )
        one.start()
        for lane in range(6):
            await one.add(str(lane))
        await one.all_arrived(HOUR + CAUGHT_UP_SECONDS)
        assert one.set_aside == []

    play(story)


@pytest.mark.parametrize("outcome", ["transient", "rejected"])
def test_an_overdue_event_has_one_try_more_after_its_endpoints_first_success(
    outcome: Outcome,
) -> None:
    """The endpoint is back and refuses this event alone: it is set aside, the next one arrives."""

    async def story() -> None:
        def answer(event: str, at: float) -> Outcome:
            return "transient" if at < HOUR else outcome if event == "evt_0" else "delivered"

        one = Play(answer, schedule_seconds=(5.0, 60.0))
        one.start()
        for lane in ("0", "0", "1", "2"):
            await one.add(lane)
        await one.all_arrived(HOUR + 2 * CAUGHT_UP_SECONDS)  # it may be the first probe
        assert one.set_aside == ["evt_0"]
        assert set(one.delivered_at) == {"evt_1", "evt_2", "evt_3"}

    play(story)


def test_an_event_that_always_fails_is_no_outage_and_keeps_its_schedule() -> None:
    """Five of them open the breaker again and again; each try ahead of its time waits longer."""

    async def story() -> None:
        bad = {f"evt_{number}" for number in range(5)}
        one = Play(lambda event, _: "transient" if event in bad else "delivered")
        one.start()
        for lane in range(5):
            await one.add(f"bad{lane}")
        for number in range(360):
            await one.add(f"good{number}")
            await one.clock.sleep(10)
        assert len(one.delivered_at) == 360
        assert one.set_aside == []
        for event in bad:
            delivery = one.delivery(event)
            assert delivery.attempts - delivery.free_attempts <= 4
            assert delivery.free_attempts < HOUR / 60

    play(story)


@pytest.mark.parametrize("how", ["enabled", "another channel", "another copy's success"])
def test_what_waits_is_due_when_somebody_says_that_the_endpoint_is_well(how: str) -> None:
    """An operator, or another copy, which has had a success."""

    async def story() -> None:
        one = Play(lambda _, at: "delivered" if at >= HOUR else "rejected")
        one.start()
        await one.add("0")
        if how == "enabled":
            one.say(disabled_reason="asked", revision=2)
        await one.clock.sleep(HOUR)
        if how == "another copy's success":
            at = BEGAN_AT + timedelta(seconds=HOUR)
            found = EndpointHealth(subscription="erp", succeeded_at=at, updated_at=at)
            one.endpoints._known.health["erp"] = found
            one.endpoints._changed()
        else:
            url = {"type": "webhook", "url": "https://example.com/", "secrets": ()}
            one.say(revision=3, **({} if how == "enabled" else {"channel": url}))
            one.start_channel()
        await one.all_arrived(SOON_SECONDS)

    play(story)


@pytest.mark.parametrize("known", ["failing", "back"])
def test_the_next_owner_of_a_partition_knows_of_the_outage(known: str) -> None:
    """What failed in an outage is due when its partition is taken over, since nobody else asks."""

    async def story() -> None:
        one = Play(lambda _, at: "delivered" if at >= HOUR else "rejected")
        one.start()
        await one.add("0")
        await one.clock.sleep(HOUR)
        await one.dispatcher.close(0)
        at = BEGAN_AT + timedelta(seconds=HOUR)
        told = {"failing_since": BEGAN_AT} if known == "failing" else {"succeeded_at": at}
        found = EndpointHealth(subscription="erp", updated_at=at, **told)
        one.endpoints._known.health["erp"] = found
        one.dispatcher = one.begin()
        one.start()
        await one.all_arrived(SOON_SECONDS)

    play(story)


def test_a_copy_that_cannot_open_a_channel_holds_its_events_and_writes_nothing(
    tmp_path: Path,
) -> None:
    """No master key, no file: one warning, held by that reason, and no try until it is there."""
    secret = tmp_path / "secret"

    async def story() -> None:
        one = Play(lambda *_: "delivered")
        secrets = [{"reference": f"file:{secret}"}]
        one.say(channel={"type": "webhook", "url": "https://127.0.0.1/", "secrets": secrets})
        one.dispatcher.start()
        with structlog.testing.capture_logs() as lines:
            for lane in range(3):
                await one.add(str(lane))
            await one.clock.sleep(HOUR)
        assert one.gates.held("erp", one.gates.moment()) == "secret"
        assert str(secret) in one.gates.unusable()["erp"]
        assert one.attempts == []
        assert [line["event"] for line in lines] == ["notifier.channel_unusable"]
        secret.write_text("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
        await one.clock.sleep(OPEN_AGAIN_SECONDS + 1)
        assert one.attempts != []
        assert one.gates.unusable() == {}

    play(story)
