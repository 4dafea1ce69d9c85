"""Which order is worked on next, and that none is worked on twice at once."""

from __future__ import annotations

import math

from schemas.write_back import order_folder
from services.notifier.write_backs.agenda import Agenda

A, B, C = (order_folder("shop", order) for order in ("a", "b", "c"))


def test_the_first_due_is_begun_first_and_another_time_takes_the_place_of_the_old() -> None:
    """Also when it is put earlier, put later, or taken off."""
    agenda = Agenda()
    for folder, due_at in ((A, 30.0), (B, 20.0), (C, 10.0), (C, 40.0), (A, 15.0), (B, None)):
        agenda.put(folder, due_at)

    waits = [agenda.wait_seconds("shop", now) for now in (5.0, 15.0, 16.0)]
    assert waits == [10.0, 0.0, 0.0]
    assert agenda.begin("shop") == A
    assert agenda.wait_seconds("shop", 16.0) == 24.0
    assert (agenda.at_work["shop"], agenda.is_at_work(A)) == ({A}, True)


def test_an_order_at_work_is_due_again_only_once_it_is_put() -> None:
    """Its end alone puts it nowhere; targets without anything due are not looked at."""
    agenda = Agenda()
    agenda.put(A, 1.0)
    agenda.put(order_folder("other", "a"), 2.0)
    agenda.begin("shop")
    agenda.end(A)

    assert agenda.wait_seconds("shop", 9.0) == math.inf
    assert agenda.targets() == ["other"]
    agenda.put(A, 1.0)
    assert agenda.wait_seconds("shop", 9.0) == 0.0
    assert (agenda.begin("shop"), agenda.begin("other")) == (A, order_folder("other", "a"))
