"""Maps of orders and costs of items: read again when changed, and never half read."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.notifier.write_backs.files import BYTES_MAX, BadFile, item_costs, order_ids


def test_a_map_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    """The same path, other content; what is not a map is asked for without a file."""
    path = tmp_path / "orders.json"
    path.write_text('{"1001": "291973150336"}')
    ids = order_ids(f"file:{path}")
    assert ids is not None
    before = ids.value()
    path.write_text('{"1001": "291973150336", "1002": "7"}')

    assert before == {"1001": "291973150336"}
    assert ids.value() == {"1001": "291973150336", "1002": "7"}
    assert order_ids("order_number") is None


def test_a_file_that_is_no_good_any_more_changes_nothing(tmp_path: Path) -> None:
    """What it last said stays in force while it is half written or gone."""
    path = tmp_path / "orders.json"
    path.write_text('{"1001": "7"}')
    ids = order_ids(f"file:{path}")
    assert ids is not None
    found = [ids.value()]
    for text in ('{"1001": "7", "10', '{"1001": 7}', "[]"):
        path.write_text(text)
        found.append(ids.value())
    path.unlink()
    found.append(ids.value())
    path.write_text('{"1001": "8"}')

    assert found == [{"1001": "7"}] * 5
    assert ids.value() == {"1001": "8"}


def test_costs_are_decimals_as_text_and_either_may_be_left_out(tmp_path: Path) -> None:
    """A float would be money that nobody wrote down."""
    path = tmp_path / "costs.json"
    path.write_text('{"mug": {"distributor_cost": "1.20"}, "pot": {"shipping_cost": "0"}}')
    costs = item_costs(f"file:{path}").value()

    told = {sku: (one.distributor_cost, one.shipping_cost) for sku, one in costs.items()}
    assert told == {"mug": ("1.20", None), "pot": (None, "0")}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"mug": {"distributor_cost": 1.2}}', "Expected `str"),
        ('{"mug": {"distributor_cost": "-1"}}', "matching regex"),
        ('{"mug": {"cost": "1"}}', "unknown field"),
        ('{"mug": {}, "pot": {}, "mug": {}}', "mug stands there twice"),
        ("{", "JSON object"),
        (" " * (BYTES_MAX + 1), "split it"),
    ],
)
def test_a_file_that_never_was_any_good_is_refused(
    tmp_path: Path, text: str, complaint: str
) -> None:
    """The line names the file and what is wrong with it."""
    path = tmp_path / "costs.json"
    path.write_text(text)

    for _ in range(2):
        with pytest.raises(BadFile, match=complaint) as caught:
            item_costs(f"file:{path}").value()
        assert str(path) in str(caught.value)
