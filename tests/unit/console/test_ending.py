"""When a demo has ended well."""

from __future__ import annotations

import pytest

from console.demo import CAUGHT_UP_MARGIN_SECONDS, Ending, Outage
from console.staging import PROBE_SECONDS_MAX
from testbed.audit import Report


@pytest.mark.parametrize(
    ("report", "disturbed", "unsettled", "ok"),
    [
        (Report(), False, [], True),
        (Report(missing=1), True, [], False),
        (Report(duplicate=1), True, [], False),
        (Report(wrong=1), True, [], False),
        (Report(redelivered=1), False, [], False),
        (Report(redelivered=1), True, [], True),
        (Report(), True, ["a poll"], False),
    ],
)
def test_a_repeat_needs_an_excuse_and_nothing_may_be_on_its_way(
    report: Report, *, disturbed: bool, unsettled: list[str], ok: bool
) -> None:
    """A repeated webhook-id is allowed only after a kill or a fault."""
    ending = Ending(report, kills=0, seconds=1.0, unsettled=unsettled, disturbed=disturbed)

    assert ok == ending.ok


@pytest.mark.parametrize(
    ("disturbed", "beyond_seconds", "ok"), [(False, 0, True), (False, 0.1, False), (True, 99, True)]
)
def test_a_subscriber_that_is_back_is_not_kept_waiting(
    disturbed: bool, beyond_seconds: float, ok: bool
) -> None:
    """A probe, its backlog and ten seconds; a notifier that is killed meanwhile takes longer."""
    bound_seconds = PROBE_SECONDS_MAX + 2 + CAUGHT_UP_MARGIN_SECONDS
    outage = Outage(12, backlog=200, caught_up_seconds=bound_seconds + beyond_seconds)
    ending = Ending(Report(), kills=0, seconds=1.0, disturbed=disturbed, outage=outage)

    assert ending.ok == ok
    assert ending.as_dict()["outage"]["bound_seconds"] == bound_seconds
