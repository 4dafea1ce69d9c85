"""Gates and channels of one copy: shares, what an answer means for all, what is replaced."""

from __future__ import annotations

from typing import Any

from bus.clock import Clock, SystemClock
from bus.settings import KafkaSettings
from schemas.delivery import Outcome
from schemas.subscription import LogChannel, Subscription, WebhookChannel
from services.notifier.breaker import FAILURES_MAX
from services.notifier.channel import Channel, Result, Surroundings
from services.notifier.endpoints import Endpoints
from services.notifier.gates import RETURNS_APART_SECONDS, TRIES_EACH, Gates, Line
from services.notifier.settings import NotifierSettings
from services.notifier.subscriptions import SubscriptionStore

KAFKA, CLOCK = KafkaSettings(prefix="t"), SystemClock()
PARTITIONS = 6


def subscription(**wish: Any) -> Subscription:
    return Subscription.model_validate(
        {
            "id": "erp",
            "types": ("*",),
            "channel": LogChannel(),
            "start_offsets": {},
            "created_at": CLOCK.now(),
            **wish,
        }
    )


class StandingClock(SystemClock):
    """Its monotonic seconds are those that a test says."""

    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


def made(*, clock: Clock = CLOCK, **wish: Any) -> tuple[Endpoints, Gates]:
    """Of a copy that knows one subscription, `erp`."""
    endpoints = Endpoints(KAFKA, SubscriptionStore(KAFKA, clock), clock, lambda _: None)
    surroundings = Surroundings(
        clock=clock,
        allow_networks=(),
        connect_timeout_seconds=1,
        total_timeout_seconds=1,
        connections_max=1,
    )
    gates = Gates(endpoints, surroundings, NotifierSettings(), PARTITIONS)
    say(endpoints, **wish)
    return endpoints, gates


def say(endpoints: Endpoints, **wish: Any) -> None:
    """What the topic says of it now."""
    endpoints._known.take("erp", subscription(**wish).to_json())
    endpoints._changed()


def claimed(gates: Gates) -> int:
    """All that may start now."""
    claim, count = gates.claims(gates.moment(), lambda: None), 0
    while not claim("erp", 0.0):
        count += 1
    return count


def settle(gates: Gates, count: int, result: Result | None = None) -> None:
    for _ in range(count):
        gates.landed("erp", result)
        gates.settled("erp")


def test_a_copy_has_the_share_of_a_limit_that_it_has_of_the_partitions() -> None:
    """All its partitions share it; what it gives up, another copy has."""
    _, gates = made(concurrency=12)
    leaves = [gates.join(lambda number=number: None, print) for number in range(3)]  # type: ignore[misc]
    assert claimed(gates) == 6
    settle(gates, 6)
    for leave in leaves[1:]:
        leave()

    assert claimed(gates) == 2


def test_what_nobody_knows_may_not_start() -> None:
    """A delivery can be there before its subscription is heard of."""
    _, gates = made()

    assert gates.claims(gates.moment(), lambda: None)("crm", 0.0) == float("inf")


def test_an_answer_that_speaks_for_the_endpoint_is_obeyed_at_once() -> None:
    """410 stops it, Retry-After delays it, before anything is written."""
    _, gates = made()
    gates.join(lambda: None, list[str]().append)
    settle(gates, claimed(gates), Result("busy", retry_after_seconds=60))
    assert (claimed(gates), gates.held("erp", gates.moment())) == (0, "paused")

    _, gates = made()
    gates.join(lambda: None, list[str]().append)
    settle(gates, claimed(gates), Result("gone"))
    assert (claimed(gates), gates.held("erp", gates.moment())) == (0, "gone")


def test_an_endpoint_that_comes_and_goes_brings_its_deliveries_forward_now_and_then() -> None:
    """Each time looks at all that waits; a return too soon is made up for by a later success."""
    clock, brought = StandingClock(), list[str]()
    _, gates = made(clock=clock, concurrency=60)
    gates.join(lambda: None, brought.append)
    for seconds, count in ((0, 1), (0.1, 1), (0.2, 1), (RETURNS_APART_SECONDS, 2)):
        clock.seconds = seconds
        failures: list[Outcome] = ["rejected"] * FAILURES_MAX
        for outcome in (*failures, "delivered"):
            claim = gates.claims(gates.moment(), lambda: None)
            assert claim("erp", 0.0) == 0
            settle(gates, 1, Result(outcome))
        assert len(brought) == count


def test_many_tries_at_once_share_a_few_channels() -> None:
    """One opened for all is slower than several, and one for each try is a waste."""
    endpoints, gates = made()
    found = endpoints.get("erp")
    assert found is not None
    for _ in range(2 * TRIES_EACH + 1):
        gates._line(found).tries += 1

    assert [line.tries for line in gates._lines["erp"]] == [TRIES_EACH, TRIES_EACH, 1]


async def test_a_channel_that_was_replaced_closes_behind_its_last_try() -> None:
    """A try in flight ends on the channel it began on."""
    closed: list[str] = []

    class Slow(Channel):
        async def send(self, *_: object) -> Result:
            say(endpoints, channel=WebhookChannel(url="https://example.com/", secrets=()))
            assert closed == []
            return Result("delivered")

        async def close(self) -> None:
            closed.append("closed")

    endpoints, gates = made()
    before = endpoints.get("erp")
    assert before is not None
    gates._lines["erp"] = [Line(before, Slow())]
    await gates.send(before, None, 1)  # type: ignore[arg-type] # the channel does not look at it
    await gates.close()

    assert closed == ["closed"]
