"""The configuration of the demo, for whatever systems there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from bus.settings import Config
from console.settling import list_keys
from console.staging import ACCOUNT, Stage
from schemas.filters import Exact
from services.notifier.settings import read_subscriptions
from services.notifier.write_backs.settings import read_targets
from services.poller.settings import accounts
from testbed.simulators import fulfilled_from, simulators


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Read from the file the demo would write."""
    (tmp_path / "token").write_text("demo-token", encoding="utf-8")
    (tmp_path / "secret").write_text("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "utf-8")
    stage = Stage(
        {source: f"http://127.0.0.1:1/{source}" for source in simulators()},
        "http://127.0.0.1:1/hooks",
        ["127.0.0.0/8"],
        token=f"file:{tmp_path}/token",
        secret=f"file:{tmp_path}/secret",
        start_from="2026-01-01T00:00:00Z",
    )
    (tmp_path / "shipfeed.toml").write_text(stage.configuration(), encoding="utf-8")
    return Config.read(tmp_path / "shipfeed.toml", {})


def test_every_system_has_an_account_that_its_source_accepts(config: Config) -> None:
    """A new system joins by its files alone: its secrets are found, its own keys are said."""
    assert [f"{source}/{ACCOUNT}" for source in simulators()] == [
        account.label for account in accounts(config)
    ]


def test_every_account_is_polled_within_seconds_and_has_lists_to_wait_for(config: Config) -> None:
    """Or the demo would take the minutes and hours of the defaults."""
    for account in accounts(config):
        assert account.poll_interval_seconds <= 3, account.label
        assert account.poll_interval_seconds_max == account.poll_interval_seconds, account.label
        assert account.settle_interval_seconds <= 9, account.label
        assert list_keys([account]), account.label


def test_one_subscriber_wants_everything(config: Config) -> None:
    """From the first event on, history too."""
    subscription = config.tables("subscriptions")[0]

    assert (["*"], "earliest", True) == (
        subscription["types"],
        subscription["start_from"],
        subscription["backfill"],
    )


def test_what_ships_in_one_system_is_written_to_the_one_that_sold_it(config: Config) -> None:
    """With a target and a subscription for each; both are what the notifier accepts."""
    targets = read_targets(config)
    wishes = [one for one in read_subscriptions(config) if one.channel.type == "write_back"]

    assert list(fulfilled_from()) == [one.system for one in targets]
    assert [one.filters for one in wishes] == [
        (Exact(exact={"source": f"/{source}/{ACCOUNT}"}),) for source in fulfilled_from().values()
    ]
    assert all(one.unknown_wait_seconds <= 15 for one in targets)
