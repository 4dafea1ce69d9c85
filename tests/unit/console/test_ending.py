"""When a demo has ended well."""

from __future__ import annotations

import pytest

from console.demo import Ending
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
