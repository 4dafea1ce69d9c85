"""`[[targets]]` and subscriptions that write back: what is refused, and in which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bus.errors import BadConfig
from bus.settings import Config
from services.notifier.settings import read_subscriptions
from services.notifier.write_backs.settings import read_targets

TARGET = {"name": "river", "system": "digital_river"}


def config(*subscriptions: dict[str, Any], folder: Path) -> Config:
    """With one target, whose key lies in `folder`."""
    (folder / "key").write_text("sk_test_1")
    target = {**TARGET, "secret": f"file:{folder / 'key'}"}
    return Config({"targets": [target], "subscriptions": list(subscriptions)})


def back(name: str = "back", **channel: Any) -> dict[str, Any]:
    """A `[[subscriptions]]` table."""
    wish = {"type": "write_back", "target": "river", **channel}
    return {"name": name, "types": ["package.shipped"], "channel": wish}


def test_a_subscription_that_writes_back_is_taken_with_its_files(tmp_path: Path) -> None:
    """Two of one target, too, when both go by the target's ids."""
    (tmp_path / "map").write_text('{"1001": "7"}')
    (tmp_path / "costs").write_text("{}")
    files = {"order": f"file:{tmp_path / 'map'}", "costs": f"file:{tmp_path / 'costs'}"}
    tables = [back(**files, currency="EUR", partner_id="p1"), back("other", order="order_id")]

    [first, second] = read_subscriptions(config(*tables, folder=tmp_path))
    [target] = read_targets(config(folder=tmp_path))
    assert first.channel.record().model_dump() == {
        **tables[0]["channel"],
        "partner_id": "p1",
    }
    assert second.channel.record().model_dump()["order"] == "order_id"
    assert (target.name, target.unknown_wait_seconds) == ("river", 900)


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        (back(target="lake"), "no [[targets]] table is named lake; there are: river"),
        (back(order="number"), "order_number, order_id or file:PATH"),
        (back(order="file:"), "order_number, order_id or file:PATH"),
        (back(order="file:/none/map"), "channel.order: /none/map cannot be read"),
        (back(costs="file:/none/costs", currency="EUR"), "channel.costs: /none/costs"),
        (back(costs="file:/none/costs"), "channel.currency: costs need one"),
        (back(currency="euro"), "channel.write_back.currency"),
        (back(currency="EUR"), "channel.currency does nothing without channel.costs"),
        ({**back(), "rate_per_second": 5}, "rate_per_second does nothing"),
        (back(map="x"), "map: unknown key"),
        ({**back(), "echo": True}, "echo: what was written back is never written back again"),
        ({**back(), "types": ["package.*"]}, "'package.*' is not written back"),
        ({**back(), "types": ["package.shipped", "package.delivered"]}, "fulfillment.items_ca"),
    ],
)
def test_a_wrong_subscription_is_refused_by_name(
    tmp_path: Path, table: dict[str, Any], complaint: str
) -> None:
    """One line that names the table, the key, and what would be right."""
    with pytest.raises(BadConfig) as caught:
        read_subscriptions(config(table, folder=tmp_path))

    assert complaint in str(caught.value)
    assert "[[subscriptions]] back" in str(caught.value)


def test_two_ways_to_the_orders_of_one_target_are_refused(tmp_path: Path) -> None:
    """One order would stand under two keys, with two owners."""
    tables = [back("one"), back("two", order="order_id")]

    with pytest.raises(BadConfig, match=r"two channel\.order: one finds the orders of river"):
        read_subscriptions(config(*tables, folder=tmp_path))


@pytest.mark.parametrize(
    ("tables", "complaint"),
    [
        ([{**TARGET, "secret": "sk_test_1"}], "[[targets]] river secret: a secret may not stand"),
        ([{**TARGET, "secret": "env:NOBODY_SETS_IT"}], "NOBODY_SETS_IT is not set"),
        ([TARGET], "[[targets]] river secret"),
        ([{**TARGET, "secret": "env:PATH", "url": "x"}], "url: unknown key"),
        ([{**TARGET, "secret": "env:PATH", "requests_per_second": 0}], "requests_per_second"),
        ([{**TARGET, "secret": "env:PATH"}] * 2, "used twice"),
        (
            [{**TARGET, "secret": "env:PATH", "unknown_wait_seconds": float("inf")}],
            "unknown_wait_seconds: Input should be less than or equal to 604800",
        ),
        (
            [{**TARGET, "secret": "env:PATH", "timeout_seconds": 5, "unknown_wait_seconds": 14.9}],
            "[[targets]] river: unknown_wait_seconds is 14.9, expected at least 15",
        ),
    ],
)
def test_a_wrong_target_is_refused_by_name(tables: list[dict[str, Any]], complaint: str) -> None:
    """One line that names the table and the key; never the secret."""
    with pytest.raises(BadConfig) as caught:
        read_targets(Config({"targets": tables}))

    assert complaint in str(caught.value)
    assert "sk_test_1" not in str(caught.value)
